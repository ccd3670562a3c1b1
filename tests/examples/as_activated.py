"""Becomes a program that inherits sockets as systemd passes them: FD,FD… PROGRAM ARGUMENTS."""
import os
import sys

passed = [int(each) for each in sys.argv[1].split(',')]
for number, descriptor in enumerate(passed):
    os.dup2(descriptor, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(passed)))
os.execv(sys.argv[2], sys.argv[2:])
