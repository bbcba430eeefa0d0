"""A signed repository of tiny rpm packages, and a host whose packages are those of rpm."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import images
from tests.hosts.machine import Machine

_SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: tiny
License: none
BuildArch: noarch
AutoReqProv: no
{tags}
%description
tiny
%install
mkdir -p %{{buildroot}}/etc
{install}
{post}
%files
{files}
"""
_KEY = "Repository of tests <repository@example.invalid>"


@dataclass(frozen=True)
class Rpm:
    """One tiny package."""

    name: str
    version: str = "1.0"
    tags: str = ""  # lines such as `Requires: other`
    post: str = ""
    config: str = ""  # the text of /etc/NAME.conf

    @property
    def file(self) -> str:
        """What rpmbuild calls it."""
        return f"{self.name}-{self.version}-1.noarch.rpm"

    def spec(self) -> str:
        """Its description for rpmbuild."""
        path = f"/etc/{self.name}.conf"
        return _SPEC.format(
            name=self.name,
            version=self.version,
            tags=self.tags,
            install=f"echo '{self.config}' > %{{buildroot}}{path}" if self.config else "",
            post=f"%post\n{self.post}" if self.post else "",
            files=f"%config(noreplace) {path}" if self.config else "",
        )


SHELL = Rpm("shell", tags="Provides: /bin/sh")  # what the scripts of all others need


class Repository:
    """A directory that dnf takes as a repository."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "repository"
        self.directory.mkdir(parents=True)
        self._top = directory / "top"
        home = directory / "gnupg"
        home.mkdir(mode=0o700)
        self._environment = {**os.environ, "HOME": str(directory), "GNUPGHOME": str(home), "LC_ALL": "C.UTF-8"}
        self._run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", _KEY, "rsa2048", "sign", "never")
        self.key = self._run("gpg", "--batch", "--export", "--armor")

    def add(self, *packages: Rpm, signed: bool = True) -> None:
        """Build packages, and publish."""
        for package in packages:
            self.build(package, signed=signed)
        self._run("createrepo_c", "-q", "--update", str(self.directory))
        index = str(self.directory / "repodata/repomd.xml")
        self._run("gpg", "--batch", "--yes", "--passphrase", "", "--armor", "--detach-sign", index)

    def build(self, package: Rpm, *, signed: bool = True) -> Path:
        """Build a package into the repository, not yet published."""
        spec = self._top / "tiny.spec"
        spec.parent.mkdir(exist_ok=True)
        spec.write_text(package.spec())
        self._run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {self._top}", str(spec))
        target = self.directory / package.file
        (self._top / "RPMS/noarch" / package.file).rename(target)
        if signed:
            keys = ("--define", f"_gpg_name {_KEY}", "--define", "__gpg /usr/bin/gpg")
            self._run("rpmsign", *keys, "--addsign", str(target))
        return target

    def _run(self, *command: str) -> str:
        ended = subprocess.run(command, check=False, capture_output=True, text=True, env=self._environment, cwd="/")
        assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"
        return ended.stdout


GENERATIONS = ("dnf4-bookworm", "dnf4-trixie", "dnf5")


@contextlib.contextmanager
def rpm_machine(generation: str, agent: Path) -> Iterator[Machine]:
    """A host with the agent and one generation of dnf, where dpkg is gone and rpm counts."""
    image = images.with_dnf_5() if generation == "dnf5" else images.with_dnf(generation.partition("-")[2])
    with Machine(image) as host:
        host.install(agent)
        host.shell("mv /var/lib/dpkg /var/lib/dpkg.away; mkdir -p /var/lib/rpm /etc/rpm /etc/yum.repos.d")
        host.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")  # Debian keeps it in a home directory
        host.shell("sed -i /Proxy/d /etc/apt/apt.conf.d/00test-host; rm -rf /root/.rpmdb")
        host.shell("rm -f /usr/lib/python3/dist-packages/dnf-plugins/local.py")  # of Debian's, keeps what is installed
        if generation == "dnf5":
            host.shell("rm /usr/lib/*/libdnf5/plugins/local.so /etc/dnf/libdnf5-plugins/local.conf")
            host.shell("ln -s dnf5 /usr/bin/dnf")  # as where it is the package manager
        yield host
