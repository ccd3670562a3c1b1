"""What cannot be done is one clear line on stderr, exit status 2 and an empty stdout."""
import errno
import os
import sys

import harness
from harness import PATIENCE, Case, Server, as_ordinary_user, program, run, scratch

LISTEN = ('--listen', '127.0.0.1:0')
NO_IO_URING = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'without_io_uring.py')


class Refusals(Case):
    def refuses(self, words, *named, env=None):
        """The line names the program and everything in `named`."""
        with self.subTest(words=words, env=env):
            status, out, err = run([program(words[0]), *words[1:]], env, within=PATIENCE)
            self.assertEqual((status, out), (2, ''), err)
            self.assertRegex(err, rf'^{words[0]}: [^\n]+\n$')
            self.assertEqual(err.count('\n'), 1, err)
            for each in named:
                self.assertIn(each, err)

    def test_missing_options(self):
        self.refuses(['echo'], '--listen')
        self.refuses(['once', *LISTEN], '--bytes')
        self.refuses(['once', '--bytes', '1'], '--listen')
        self.refuses(['fetch'], 'ADDR')
        self.refuses(['echo', '--listen'], '--listen')

    def test_unknown_options(self):
        self.refuses(['echo', *LISTEN, '--nonsense'], '--nonsense')
        self.refuses(['echo', *LISTEN, 'nonsense'], 'nonsense')
        self.refuses(['once', *LISTEN, '--bytes', '1', '--send', '1'], '--send')
        self.refuses(['fetch', '127.0.0.1:1', '--drain', '1s'], '--drain')
        self.refuses(['ringdown-info', 'nonsense'], 'nonsense')
        # Also where something that is required is missing.
        self.refuses(['echo', '--bogus'], "'--bogus'")
        self.refuses(['fetch', '--bogus'], "'--bogus'")

    def test_addresses(self):
        for text in ('nonsense', 'localhost:0', '127.0.0.1', '127.0.0.1:', '127.0.0.1:99999',
                     '127.0.0.1:-1', '127.0.0.1:1x', '256.0.0.1:1', '::1:80', '[::1]', '[::1:80',
                     '[127.0.0.1]:80', ':80', '', 'unix:', 'unix:@', 'unix:' + 'x' * 200,
                     '127.0.0.1:0\n'):
            self.refuses(['echo', '--listen', text])
            self.refuses(['fetch', text])
        self.refuses(['echo', '--listen', 'nonsense'], "'nonsense'", '127.0.0.1:80', '[::1]:80',
                     'unix:/path', 'unix:@name')
        self.refuses(['echo', '--listen', '127.0.0.1:99999'], "'127.0.0.1:99999'", '0 to 65535')

    def test_addresses_that_cannot_be_listened_on(self):
        self.refuses(['echo', '--listen', '192.0.2.1:0'], '192.0.2.1:0', 'Cannot assign')
        missing = scratch('missing') + '/socket'
        self.refuses(['echo', '--listen', f'unix:{missing}'], missing, 'No such file')

    def test_addresses_in_use(self):
        path = scratch('socket')
        for listen in ('127.0.0.1:0', '[::1]:0', f'unix:{path}', f'unix:@{os.path.basename(path)}'):
            with Server('echo', listen=listen) as server:
                for name in ('echo', 'once'):
                    more = ['--bytes', '1'] if name == 'once' else []
                    self.refuses([name, '--listen', server.address, *more], server.address,
                                 'in use')
                with server.connect() as client:  # it is still there
                    harness.round_trip(client)
                server.report()
                server.drained()

    def test_a_path_that_is_no_socket_is_left_alone(self):
        path = scratch('precious')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('precious')
        self.refuses(['echo', '--listen', f'unix:{path}'], path, 'in use')
        with open(path, encoding='utf-8') as file:
            self.assertEqual(file.read(), 'precious')

    def test_endings(self):
        for text in ('nonsense', 'GRACEFUL', '', 'none', 'delivered'):
            self.refuses(['echo', *LISTEN, '--ending', text], '--ending', 'graceful', 'abort',
                         'background', 'wait')

    def test_times(self):
        for option in ('--deadline', '--idle', '--drain'):
            for text in ('', 's', '5', '5 s', '-5s', '5parsecs', '5S', '5sx', 'nan', 'nans', 'infs',
                         '1e400s', '0x5s', '--'):
                self.refuses(['echo', *LISTEN, f'{option}={text}'], option)
        self.refuses(['echo', *LISTEN, '--idle', '5parsecs'], "'5parsecs'", '250ms', '5s')
        for text in ('525601m', '1e300s'):
            self.refuses(['echo', *LISTEN, '--drain', text], f"'{text}'", 'at most 525600m')

    def test_sizes(self):
        for text in ('', 'B', '-1', '1KB', '1kib', '1 KiB', 'nan', 'inf', '1e400', '1TiB'):
            self.refuses(['once', *LISTEN, f'--bytes={text}'], '--bytes')
            self.refuses(['echo', *LISTEN, f'--discard-max={text}'], '--discard-max')
        self.refuses(['once', *LISTEN, '--bytes', 'many'], "'many'", '64KiB')
        for option in ('once', *LISTEN, '--bytes'), ('fetch', '127.0.0.1:1', '--send'):
            self.refuses([*option, '1.5'], "'1.5'", 'whole number of bytes')
            self.refuses([*option, '8388609GiB'], "'8388609GiB'", 'at most 8388608GiB')

    def test_sizes_that_no_memory_holds(self):
        for size in ('1000GiB', '8000000GiB'):
            self.refuses(['once', *LISTEN, '--bytes', size], '--bytes', 'memory', 'at most', 'MiB')
            self.refuses(['fetch', '127.0.0.1:1', '--send', size], '--send', 'memory', 'at most')

    def test_sizes_beyond_a_limit_of_the_process(self):
        words = ['prlimit', f'--as={256 << 20}', program('once'), *LISTEN, '--bytes', '512MiB']
        status, out, err = run(words, within=PATIENCE)
        self.assertEqual((status, out), (2, ''), err)
        self.assertRegex(err, r'^once: --bytes: [^\n]*memory[^\n]*\n$')

    def test_options_of_the_demo(self):
        self.refuses(['demo', '--connections', '5'], '--connections', '5', '12')
        self.refuses(['demo', '--bogus'], '--bogus')
        self.refuses(['demo', '--server', scratch('missing')], '--server', 'missing')

    def test_threads_that_cannot_be_started(self):
        for more in ((), ('--metrics', '127.0.0.1:0')):
            limited = [*as_ordinary_user(), 'prlimit', '--nproc=3']
            words = [*limited, program('echo'), *LISTEN, '--threads', '8', *more]
            if os.geteuid() != 0:
                self.skipTest('only root can become nobody')
            status, out, err = run(words, within=PATIENCE)
            if 'Permission denied' in err:
                self.skipTest('nobody may not run what was built here')
            self.assertEqual((status, out), (2, ''), err)
            self.assertRegex(err, r'^echo: [^\n]*8 threads[^\n]*fewer\n$')

    def test_numbers_of_threads(self):
        for text in ('0', '65', '-1', 'many', '1.5', ''):
            self.refuses(['echo', *LISTEN, f'--threads={text}'], '--threads')

    def test_metrics_addresses(self):
        self.refuses(['echo', *LISTEN, '--metrics', 'nonsense'], '--metrics', "'nonsense'")
        self.refuses(['echo', *LISTEN, '--metrics', '192.0.2.1:0'], '192.0.2.1:0')
        with Server('echo', '--metrics', '127.0.0.1:0') as server:
            for taken in (server.address, server.metrics):
                self.refuses(['once', *LISTEN, '--bytes', '1', '--metrics', taken], taken, 'in use')

    def test_a_live_view_without_a_terminal(self):
        self.refuses(['echo', *LISTEN, '--live'], '--live', 'no terminal')

    def test_report_files_that_cannot_be_written(self):
        missing = scratch('missing') + '/reports'
        self.refuses(['echo', *LISTEN, '--reports', missing], missing, 'No such file')
        self.refuses(['echo', *LISTEN, '--reports', os.path.dirname(scratch())], 'directory')
        self.refuses(['echo', *LISTEN, '--reports', ''], '--reports', "''", 'stdout')

    def test_environment_variables(self):
        for words in (['echo', *LISTEN], ['once', *LISTEN, '--bytes', '1'],
                      ['fetch', '127.0.0.1:1'], ['ringdown-info']):
            self.refuses(words, 'RINGDOWN_DISABLE', "'nonsense'", 'multishot_recv',
                         env={'RINGDOWN_DISABLE': 'nonsense'})
            self.refuses(words, 'RINGDOWN_DISABLE', "'nonsense'",
                         env={'RINGDOWN_DISABLE': 'multishot_recv,nonsense'})
            self.refuses(words, 'RINGDOWN_FIN', "'nonsense'", 'system_call', 'operation', 'probe',
                         env={'RINGDOWN_FIN': 'nonsense'})

    def without_io_uring(self, error, *named):
        for words in (['echo', *LISTEN], ['once', *LISTEN, '--bytes', '1'],
                      ['fetch', '127.0.0.1:1'], ['ringdown-info']):
            status, out, err = run([sys.executable, NO_IO_URING, str(error), program(words[0]),
                                    *words[1:]])
            if status == 77:
                self.skipTest('no seccomp filters here')
            if words[0] == 'ringdown-info':  # which says what there is all the same
                self.assertRegex(out, r'(?m)^! io_uring_setup +no \(.*seccomp profile')
                self.assertRegex(out, r'(?m)^  io_uring_enter +yes$')
                out = ''
            self.assertEqual((status, out), (2, ''), err)
            self.assertRegex(err, rf'^{words[0]}: [^\n]*io_uring[^\n]*\n$')
            for each in named:
                self.assertIn(each, err)

    def test_a_kernel_without_io_uring(self):
        self.without_io_uring(errno.ENOSYS, '6.1')

    def test_a_system_that_does_not_permit_io_uring(self):
        self.without_io_uring(errno.EPERM, 'io_uring_disabled')

    def test_help_is_no_refusal(self):
        for name in ('echo', 'once', 'fetch', 'ringdown-info'):
            for option in ('--help', '-h'):
                status, out, err = run([program(name), option])
                self.assertEqual((status, err), (0, ''))
                self.assertIn(f'Usage: {name}', out)


if __name__ == '__main__':
    harness.main()
