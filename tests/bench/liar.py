"""A server that breaks one promise: usage: liar.py WORKLOAD PORT, and how by LIE."""

import os
import socket
import sys
import threading


def serve(peer, lie):
    data = peer.recv(64)
    if lie == 'wrong byte':
        data = data[:-1] + bytes([data[-1] ^ 1])
    elif lie == 'short':
        data = data[:-1]
    elif lie == 'long':
        data += b'x'
    peer.sendall(data)
    if lie == 'reset':
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        peer.close()
        return
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(4096):
        pass
    if lie == 'leak':
        kept.append(peer)
    else:
        peer.close()


kept = []
listener = socket.create_server(('127.0.0.1', int(sys.argv[2])), backlog=4096)
while True:
    accepted = listener.accept()[0]
    lie = os.environ.get('LIE', 'wrong byte')
    if lie == 'silent' or (lie == 'silent once' and not kept):
        kept.append(accepted)
        continue
    threading.Thread(target=serve, args=(accepted, lie), daemon=True).start()
