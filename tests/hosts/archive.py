"""A signed apt archive of tiny packages, served to a test host."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.hosts.machine import Machine
from tests.hosts.network import Server, local_path


@dataclass(frozen=True)
class Deb:
    """One tiny package."""

    name: str
    version: str = "1.0"
    depends: str = ""
    recommends: str = ""
    provides: str = ""
    postinst: str = ""
    control: Mapping[str, str] = field(default_factory=dict)  # more files of DEBIAN/, such as config and templates
    files: Mapping[str, str] = field(default_factory=dict)
    conffiles: Mapping[str, str] = field(default_factory=dict)


class Archive:
    """A directory that apt takes as a repository: `deb [signed-by=KEY] URL ./`."""

    def __init__(self, directory: Path, suite: str = "stable") -> None:
        self.directory = directory / "archive"
        self._suite = suite
        self.directory.mkdir(parents=True)
        self._home = directory / "gnupg"
        self._home.mkdir(mode=0o700)
        self._gpg("--quick-gen-key", "Archive of tests <archive@example.invalid>", "ed25519", "sign", "never")
        self.key = self._gpg("--export", "--armor")
        self.publish()

    def add(self, *packages: Deb) -> None:
        """Add packages, and publish."""
        for package in packages:
            self._build(package)
        self.publish()

    def remove(self, name: str, version: str) -> None:
        """Remove one, and publish."""
        self.path_of(name, version).unlink()
        self.publish()

    def publish(self) -> None:
        """Write the indices and sign them."""
        index = self._run("apt-ftparchive", "packages", ".")
        (self.directory / "Packages").write_text(index)
        (self.directory / "Packages.gz").write_bytes(gzip.compress(index.encode()))
        (self.directory / "InRelease").unlink(missing_ok=True)
        release = self._run("apt-ftparchive", "-o", f"APT::FTPArchive::Release::Suite={self._suite}", "release", ".")
        (self.directory / "Release").write_text(release)
        (self.directory / "InRelease").write_text(self._gpg("--clearsign", "-o", "-", str(self.directory / "Release")))

    def _build(self, package: Deb) -> None:
        tree = self.directory.parent / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        for path, text in {**package.files, **package.conffiles}.items():
            target = tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        control = tree / "DEBIAN"
        control.mkdir(parents=True)
        depends = f"Depends: {package.depends}\n" if package.depends else ""
        depends += f"Recommends: {package.recommends}\n" if package.recommends else ""
        depends += f"Provides: {package.provides}\n" if package.provides else ""
        described = f"Maintainer: Archive of tests <archive@example.invalid>\nDescription: tiny\n{depends}"
        (control / "control").write_text(
            f"Package: {package.name}\nVersion: {package.version}\nArchitecture: all\n{described}"
        )
        if package.conffiles:
            (control / "conffiles").write_text("".join(f"{path}\n" for path in package.conffiles))
        scripts = {"postinst": f"#!/bin/sh\n{package.postinst}\n"} if package.postinst else {}
        for name, text in {**scripts, **package.control}.items():
            (control / name).write_text(text)
            (control / name).chmod(0o755 if text.startswith("#!") else 0o644)
        self._run("dpkg-deb", "--root-owner-group", "-b", str(tree), str(self.path_of(package.name, package.version)))

    def path_of(self, name: str, version: str) -> Path:
        """The file of one package."""
        return self.directory / f"{name}_{version.replace(':', '%3a')}_all.deb"

    def _gpg(self, *arguments: str) -> str:
        return self._run("gpg", "--batch", "--yes", "--passphrase", "", "--homedir", str(self._home), *arguments)

    def _run(self, *command: str) -> str:
        environment = {**os.environ, "LC_ALL": "C", "APT_CONFIG": "/dev/null"}
        return subprocess.run(
            command, cwd=self.directory, check=True, capture_output=True, text=True, env=environment
        ).stdout


PORT = 8419


@contextlib.contextmanager
def only_archive(host: Machine, archive: Archive, asked: list[str] | None = None) -> Iterator[str]:
    """Serve an archive to a host that knows no other, nor this one yet; the URL."""
    host.write("/etc/apt/apt.conf.d/01direct", 'Acquire::http::Proxy::127.0.0.1 "DIRECT";\n')
    host.shell("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*")
    with served(archive.directory, pid=host.leader, port=PORT, asked=asked) as url:
        yield url


@contextlib.contextmanager
def served(directory: Path, *, pid: int | None = None, port: int = 0, asked: list[str] | None = None) -> Iterator[str]:
    """Serve the files of a directory; the URL. The paths that were asked for are added to `asked`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            path = directory / local_path(self.path).lstrip("/")
            data = path.read_bytes() if path.is_file() else None
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with Server(Handler, pid=pid, port=port) as server:
        yield f"http://127.0.0.1:{server.port}/"
