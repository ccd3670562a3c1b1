"""The other side: what tests do with plain sockets."""
import contextlib
import fcntl
import select
import socket
import struct
import termios
import threading


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def name_of(client):
    """A client's own address, as reports write it."""
    host, port = client.getsockname()[:2]
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def queued_for_reading(client):
    """Bytes that this side's kernel has and nobody has read."""
    return struct.unpack('i', fcntl.ioctl(client, termios.FIONREAD, b'\0' * 4))[0]


def reset(client):
    """Ends a connection by RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    client.close()


def read_to_end(client):
    """Everything until end of stream; a reset raises ConnectionResetError."""
    parts = []
    while part := client.recv(1 << 18):
        parts.append(part)
    return b''.join(parts)


def read_exactly(client, size):
    got = bytearray()
    while len(got) < size:
        part = client.recv(min(1 << 18, size - len(got)))
        if not part:
            raise AssertionError(f'end of stream after {len(got)} of {size} bytes')
        got += part
    return bytes(got)


def round_trip(client, data=b'ping'):
    client.sendall(data)
    assert read_exactly(client, len(data)) == data


def send_beside(client, data, times=1, finish=False):
    """Sends on a thread of its own; whether it could is not asked."""
    def send():
        with contextlib.suppress(OSError):
            for _ in range(times):
                client.sendall(data)
            if finish:
                client.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def fill(client, quiet=0.15):
    """Sends until nothing more goes for that long; returns how many bytes went."""
    client.setblocking(False)
    block, went = bytes(1 << 16), 0
    while select.select([], [client], [], quiet)[1]:
        with contextlib.suppress(BlockingIOError):
            went += client.send(block)
    client.settimeout(10.0)
    return went


def end_of(client):
    """How the peer ended it: 'FIN', or 'RST'. What comes before is not kept."""
    try:
        while client.recv(1 << 18):
            pass
        return 'FIN'
    except ConnectionResetError:
        return 'RST'
