"""session-server: who sends what is no request is reset, and standard error says why."""
import harness
from harness import Case, Server, end_of, name_of


class Malformed(Case):
    def test_lines_are_named_on_standard_error(self):
        for sent, shown in ((b'nonsense\n', 'nonsense'), (b'1 0\n', '1 0'), (b'\n', ''),
                            (b'1 0 9999999\n', '1 0 9999999'), (b'a\x1b[31m\xff\n', 'a?[31m?'),
                            (b'x' * 100, 'x' * 64)):
            with self.subTest(sent), Server('session-server') as server:
                client = server.connect()
                client.sendall(sent)
                self.assertEqual(end_of(client), 'RST')
                server.report()
                self.assertEqual(server.errors(), f"session-server: {name_of(client)}: '{shown}' "
                                                  'is no request; write ID MS BYTES\n')
                server.drained(errors='.*\n')


if __name__ == '__main__':
    harness.main()
