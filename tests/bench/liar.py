"""A server that breaks one promise: usage: liar.py WORKLOAD PORT, and how by LIE."""

import os
import socket
import sys
import threading

FLOOD = bytes(i % 251 for i in range(1 << 20))


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    peer.close()


def answer(peer, lie):
    data = peer.recv(64)
    if lie == 'wrong byte':
        data = data[:-1] + bytes([data[-1] ^ 1])
    elif lie == 'short':
        data = data[:-1]
    elif lie == 'long':
        data += b'x'
    peer.sendall(data)
    if lie == 'reset':
        reset(peer)
        return
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(4096):
        pass
    if lie == 'leak':
        kept.append(peer)
    else:
        peer.close()


def flood(peer, lie):
    peer.recv(64)
    if lie == 'early':
        reset(peer)
        return
    peer.setblocking(False)
    peer.send(FLOOD[1:] if lie == 'wrong byte' else FLOOD[:64] if lie == 'finish' else FLOOD)
    peer.setblocking(True)
    peer.recv(64)
    if lie == 'deaf':
        kept.append(peer)
    elif lie == 'finish':
        peer.close()
    else:
        reset(peer)


kept = []
lie = os.environ.get('LIE', 'wrong byte')
serve = flood if sys.argv[1] == 'cancel' else answer
listener = socket.create_server(('127.0.0.1', int(sys.argv[2])), backlog=4096)
if serve is flood and lie != 'roomy':
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
while True:
    accepted = listener.accept()[0]
    if lie == 'silent' or (lie == 'silent once' and not kept):
        kept.append(accepted)
        continue
    threading.Thread(target=serve, args=(accepted, lie), daemon=True).start()
