"""One measurement: a server and the load, pinned, in a network of their own."""

import json
import os
import signal
import subprocess
import time

import namespace

PORT = 7000
DISTURBED = 0.05  # share of the time that others may take
# On one CPU the kernel's own threads count as others: freeing ended connections takes 7 to 10 %.
DISTURBED_ONE_CPU = 0.15
STARTS_WITHIN = 10


class Failed(Exception):
    """The load found something wrong, or a program did not do what it should."""


class Stage:
    def __init__(self, build, seconds, warm_up):
        self.build = build
        self.seconds = seconds
        self.warm_up = warm_up
        self.cpus = sorted(os.sched_getaffinity(0))
        self.isolated = True
        try:
            namespace.become_root_of_our_own()
            namespace.enter_new()
        except OSError as refused:
            self.isolated = False
            self.not_isolated_because = str(refused)

    def contestants(self):
        folder = os.path.join(self.build, 'bench', 'servers')
        return {name for name in os.listdir(folder)
                if os.path.isfile(os.path.join(folder, name))
                and os.access(os.path.join(folder, name), os.X_OK)}

    def program(self, *parts):
        return os.path.join(self.build, 'bench', *parts)

    def run(self, bench, contestant, count=False):
        """Returns what the load measured, with `disturbed` added; raises Failed."""
        if self.isolated:
            namespace.enter_new()
        server_cpu = self.cpus[0]
        load_cpu = server_cpu if bench.one_cpu or len(self.cpus) == 1 else self.cpus[1]
        server = subprocess.Popen([self.program('servers', contestant), bench.workload, str(PORT)],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            os.sched_setaffinity(server.pid, {server_cpu})
            self._wait_until_it_listens(server, contestant)
            measured = self._run_load(bench, server.pid, load_cpu, count)
        except Failed as failure:
            raise Failed(f'{bench.name}, {contestant}: {failure}') from None
        finally:
            self._end(server)
        measured['disturbed'] = is_disturbed(measured, bench, load_cpu == server_cpu)
        return measured

    def _wait_until_it_listens(self, server, contestant):
        give_up = time.monotonic() + STARTS_WITHIN
        while not namespace.listens(PORT):
            if server.poll() is not None:
                raise Failed(f'{contestant} ended with status {server.returncode}')
            if time.monotonic() > give_up:
                raise Failed(f'{contestant} does not listen on port {PORT}')
            time.sleep(0.002)

    def _run_load(self, bench, server, cpu, count):
        arguments = [self.program('load', 'load'), bench.workload, str(PORT),
                     '--server', str(server), '--seconds', str(self.seconds * bench.longer),
                     '--warm-up', str(self.warm_up), *bench.load]
        if count:
            arguments.append('--count')
        load = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        os.sched_setaffinity(load.pid, {cpu})
        try:
            out, err = load.communicate(timeout=60 + 2 * self.seconds * bench.longer)
        except subprocess.TimeoutExpired:
            load.kill()
            load.communicate()
            raise Failed('the load did not end') from None
        if load.returncode != 0:
            raise Failed(err.strip() or f'the load ended with status {load.returncode}')
        return json.loads(out)

    @staticmethod
    def _end(server):
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def is_disturbed(measured, bench, shared_cpu):
    """Tells whether others had a CPU while server or load wanted it.

    On CPUs of their own neither ever waits for the other; on one, what both leave of the time was
    taken by others, because a load that keeps no rate never lets the CPU rest.
    """
    time_ns = measured['seconds'] * 1e9
    if shared_cpu:
        if bench.paced or bench.workload == 'drain':
            return False
        used = measured['cpu_nanoseconds'] + measured['load_cpu_nanoseconds']
        return used < (1 - DISTURBED_ONE_CPU) * time_ns
    waited = max(measured['waited_nanoseconds'], measured['load_waited_nanoseconds'])
    return waited > DISTURBED * time_ns
