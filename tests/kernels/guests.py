"""Has what the guests boot: Debian's kernels, a QEMU and a busybox, unpacked below a folder.

Nothing is installed: apt downloads with sources and a state of its own, and dpkg unpacks.
"""

import os
import pathlib
import re
import shutil
import subprocess
import urllib.parse

KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
# Where Debian has each kernel, and in which package.
SUITES = {
    '6.1': ('bookworm', 'bookworm-security'),
    '6.12': ('trixie', 'trixie-security'),
    'newest': ('sid',),
}
META_PACKAGE = 'linux-image-cloud-amd64'


class Unavailable(Exception):
    """Says in one line what could not be had."""


def output_of(*command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors='replace', **more)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith('E:')]
        raise Unavailable(f'{command[0]} failed: ' + (lines or done.stderr.splitlines() or ['?'])[-1])
    return done.stdout


def mirror():
    """The address of the Debian mirror that this machine uses already, else Debian's own."""
    sites = output_of('apt-get', 'indextargets', '--format', '$(ORIGIN) $(SITE)',
                      'Created-By: Packages')
    for line in sites.splitlines():
        origin, _, site = line.partition(' ')
        if origin == 'Debian' and not urllib.parse.urlsplit(site).path.endswith('-security'):
            return site
    return 'http://deb.debian.org/debian'


class Apt:
    """apt with these suites alone, whose state lies in a folder of its own."""

    def __init__(self, folder, suites, status=None):
        self.folder = folder.resolve()
        shutil.rmtree(self.folder, ignore_errors=True)
        for each in ('lists/partial', 'archives/partial'):
            (self.folder / each).mkdir(parents=True)
        nothing_installed = self.folder / 'status'
        nothing_installed.touch()
        site = mirror()
        with open(self.folder / 'sources.list', 'w', encoding='ascii') as sources:
            for suite in suites:
                where = re.sub(r'/debian/?$', '/debian-security', site) \
                    if suite.endswith('-security') else site
                sources.write(f'deb [signed-by={KEYRING}] {where} {suite} main\n')
        settings = self.folder / 'apt.conf'
        settings.write_text(f'''
            Dir::Etc::sourcelist "{self.folder}/sources.list"; Dir::Etc::sourceparts "-";
            Dir::State::lists "{self.folder}/lists"; Dir::State::status "{status or nothing_installed}";
            Dir::Cache "{self.folder}"; Acquire::Languages "none"; APT::Sandbox::User "root";
            APT::Architecture "amd64"; Debug::NoLocking "true";
            ''', encoding='ascii')
        self.environment = {**os.environ, 'APT_CONFIG': str(settings), 'LC_ALL': 'C'}
        self.run('apt-get', '-qq', 'update')

    def run(self, *command):
        return output_of(*command, env=self.environment, cwd=self.folder / 'archives')

    def unpack(self, target):
        """Unpacks what was downloaded, whole or not at all, and drops the packages."""
        partial = target.with_name(target.name + '.partial')
        shutil.rmtree(partial, ignore_errors=True)
        for package in sorted((self.folder / 'archives').glob('*.deb')):
            output_of('dpkg', '-x', str(package), str(partial))
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        shutil.rmtree(self.folder)


def have_kernel(folder, name):
    """Returns the folder of that kernel's package, which is downloaded if it is not there."""
    target = folder / f'kernel-{name}'
    if not target.exists():
        print(f'kernels: downloading Debian\'s kernel {name} ...', flush=True)
        apt = Apt(folder / f'apt-{name}', SUITES[name])
        depends = re.search(r'Depends: linux-image-(\d\S+)',
                            apt.run('apt-cache', 'depends', META_PACKAGE))
        if not depends:
            raise Unavailable(f'no cloud kernel in Debian {SUITES[name][0]}')
        # Since Debian 14 the kernel and its modules have a package each.
        known = apt.run('apt-cache', 'pkgnames', 'linux-').split()
        packages = [package for kind in ('binary', 'modules')
                    if (package := f'linux-{kind}-{depends[1]}') in known]
        apt.run('apt-get', '-qq', 'download', *packages or [f'linux-image-{depends[1]}'])
        apt.unpack(target)
    return target


def have_tools(folder):
    """Returns the folder of a QEMU, empty if the machine has one, and that of busybox."""
    busybox, qemu = folder / 'busybox', folder / 'qemu'
    if not busybox.exists():
        print('kernels: downloading busybox ...', flush=True)
        apt = Apt(folder / 'apt-busybox', SUITES['6.1'])
        apt.run('apt-get', '-qq', 'download', 'busybox-static')
        apt.unpack(busybox)
    if shutil.which('qemu-system-x86_64'):
        return None, busybox
    if not qemu.exists():
        print('kernels: downloading QEMU ...', flush=True)
        release = pathlib.Path('/etc/os-release').read_text(encoding='utf-8')
        suite = re.search(r'^VERSION_CODENAME=(\w+)', release, re.MULTILINE)
        if not suite or 'ID=debian\n' not in release:
            raise Unavailable('this is no release of Debian: please install qemu-system-x86')
        backports = f'{suite[1]}-backports'
        apt = Apt(folder / 'apt-qemu', (suite[1], backports), '/var/lib/dpkg/status')
        # As an installation that stops after the download, so that libraries come along which this
        # machine lacks.
        apt.run('apt-get', '-qq', '-y', '--download-only', '--no-install-recommends',
                '-t', backports, 'install', 'qemu-system-x86', 'qemu-system-data', 'seabios')
        apt.unpack(qemu)
    return qemu, busybox
