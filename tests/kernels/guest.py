"""Boots a kernel with one test program in it, in QEMU, and passes on what that says."""

import lzma
import os
import pathlib
import re
import selectors
import shlex
import stat
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# What tests and library use and Debian's kernels have as a module.
MODULES = ('tcp_diag', 'tls')


def libraries(program):
    """The shared libraries that a program is linked with: {where in the guest: where here}."""
    told = subprocess.run(('ldd', program), capture_output=True, text=True, check=True).stdout
    linked = re.findall(r'^\s*(\S+)(?: => (/\S+))? \(0x', told, re.MULTILINE)
    return {name if name.startswith('/') else f'/lib/{name}': path or name
            for name, path in linked if (path or name).startswith('/')}


def archive(files):
    """An initramfs (cpio, newc) of {path: bytes}, and of every folder on the way."""
    folders = {'/dev', '/proc', '/sys', '/tmp', '/modules'}
    for path in files:
        folders.update(str(parent) for parent in pathlib.PurePosixPath(path).parents)
    entries = [(folder, stat.S_IFDIR, b'') for folder in sorted(folders - {'/'})]
    entries += [(path, stat.S_IFREG, content) for path, content in files.items()]
    entries += [('/TRAILER!!!', 0, b'')]
    out = bytearray()

    def pad():
        out.extend(bytes(-len(out) % 4))

    for inode, (path, kind, content) in enumerate(entries, 1):
        name = path[1:].encode() + b'\0'
        header = {'inode': inode, 'mode': kind | 0o755, 'uid': 0, 'gid': 0, 'links': 1, 'time': 0,
                  'bytes': len(content), 'major': 0, 'minor': 0, 'device major': 0,
                  'device minor': 0, 'name bytes': len(name), 'sum': 0}
        out += b'070701' + b''.join(b'%08x' % value for value in header.values()) + name
        pad()
        out += content
        pad()
    return bytes(out)


def modules(kernel):
    """[(file's name, bytes)] of MODULES and of what they depend on, in the order of loading."""
    known = {path.name.partition('.')[0].replace('-', '_'): path
             for path in kernel.rglob('*.ko*')}
    loaded = {}

    def load(name):
        if name in loaded or name not in known: # what is not there is built in
            return
        content = known[name].read_bytes()
        if known[name].suffix == '.xz':
            content = lzma.decompress(content)
        needs = re.search(rb'\0depends=([^\0]*)\0', content)
        for other in needs[1].decode().split(',') if needs else []:
            load(other.replace('-', '_'))
        loaded[name] = content

    for name in MODULES:
        load(name)
    return [(f'/modules/{number:02}-{name}.ko', content)
            for number, (name, content) in enumerate(loaded.items())]


def lines_of(stream):
    """Yields the lines of a pipe as they come, and None for each second without one."""
    rest = b''
    with selectors.DefaultSelector() as ready:
        ready.register(stream, selectors.EVENT_READ)
        while True:
            if not ready.select(1):
                yield None
                continue
            piece = os.read(stream.fileno(), 65536)
            *whole, rest = (rest + piece).split(b'\n')
            if not piece:
                whole.append(rest)
            for line in whole:
                yield line.decode(errors='replace').rstrip('\r')
            if not piece:
                return


class Guest:
    """A kernel, and how to boot it."""

    def __init__(self, kernel, qemu, busybox, scratch):
        self.scratch, self.qemu = scratch, None
        self.kernel = next(kernel.rglob('vmlinuz*'))
        self.files = {'/init': (HERE / 'init').read_bytes(),
                      '/bin/busybox': next(busybox.rglob('bin/busybox')).read_bytes(),
                      **dict(modules(kernel))}
        self.environment = dict(os.environ)
        self.command = ['qemu-system-x86_64']
        if qemu:
            self.command = [qemu / 'usr/bin/qemu-system-x86_64', '-L', qemu / 'usr/share/qemu',
                            '-L', qemu / 'usr/share/seabios']
            self.environment['LD_LIBRARY_PATH'] = os.pathsep.join(
                str(qemu / folder / 'x86_64-linux-gnu') for folder in ('lib', 'usr/lib'))

    def start(self, initramfs):
        return subprocess.Popen(
            [*self.command, '-M', 'q35', '-nodefaults', '-no-user-config', '-display', 'none',
             '-serial', 'stdio', '-no-reboot', '-m', '2048', '-smp', '2', '-cpu', 'max',
             # Time is the number of instructions, at 1 ns each, and idle time is skipped: however
             # slow the emulation and busy the machine, to a test it is a quiet machine.
             '-accel', 'tcg,thread=single', '-icount', 'shift=0,sleep=off',
             '-kernel', self.kernel, '-initrd', initramfs,
             '-append', 'console=ttyS0 quiet loglevel=1 panic=-1 oops=panic mitigations=off '
                        'init_on_alloc=0 tsc=reliable clocksource=tsc no_timer_check'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self.environment)

    def boot(self, command, environment, files):
        """Boots with files {path: bytes}, to run a command. Yields each line of the console.

        None stands for a second without one. The guest ends with the iteration, at the latest.
        """
        content = {**self.files, **files}
        plan = [f'export {name}={shlex.quote(value)}' for name, value in environment.items()]
        content['/plan'] = '\n'.join([*plan, f'set -- {shlex.join(command)}', '']).encode()
        with tempfile.NamedTemporaryFile(prefix='initramfs-', dir=self.scratch) as initramfs:
            initramfs.write(archive(content))
            initramfs.flush()
            self.qemu = self.start(initramfs.name)
            try:
                yield from lines_of(self.qemu.stdout)
            finally:
                self.qemu.kill()
                self.qemu.wait()

    def stop(self):
        if self.qemu:
            self.qemu.kill()

    def processor_seconds(self):
        """What the emulation has used: a busy machine lengthens everything but this."""
        with open(f'/proc/{self.qemu.pid}/stat', encoding='ascii', errors='replace') as stats:
            fields = stats.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
