"""A network namespace for each measurement, so that ports and TIME_WAIT start equal."""

import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags):
    if _libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def become_root_of_our_own():
    """Without root, a user namespace gives the right to make network namespaces."""
    if os.geteuid() == 0:
        return
    user, group = os.geteuid(), os.getegid()
    _unshare(CLONE_NEWUSER)
    for name, text in (('setgroups', 'deny'), ('uid_map', f'0 {user} 1'),
                       ('gid_map', f'0 {group} 1')):
        with open(f'/proc/self/{name}', 'w') as file:
            file.write(text)


def enter_new():
    """Moves this process, and what it starts from now on, into an empty network."""
    _unshare(CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack('16sh14x', b'lo', 0)
        flags = struct.unpack('16sh14x', fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack('16sh14x', b'lo', flags | IFF_UP))
    with open('/proc/sys/net/ipv4/ip_local_port_range', 'w') as file:
        file.write('1024 65535')


def listens(port):
    """True when something in our network listens on the port; asking does not disturb it."""
    with open('/proc/self/net/tcp') as table:
        return any(f':{port:04X} 00000000:0000 0A' in line for line in table)
