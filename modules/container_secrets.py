"""Secrets of containers as files: in a directory of /run that only root can enter, each mounted by itself.

The files are readable to every user inside the container, and to nobody outside. They are gone after a reboot, so they
are written whenever a container is made or started.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from modules.api import Host, ResourceError

DIRECTORY = "/run/gitops-agent/secrets"


@dataclass(frozen=True)
class SecretFiles:
    """The files of one container; those of another spec have another directory, so a swap takes none from the old one."""

    container: str
    version: str  # the digest of the spec

    def path(self, name: str) -> str:
        """Where a file is on the host."""
        return f"{self._directory}/{name}"

    def write(self, host: Host, texts: Mapping[str, str]) -> None:
        """Put all of them in place. Raises ResourceError."""
        if not texts:
            return
        _make_directory(host, os.path.dirname(DIRECTORY), 0o755)
        for directory in (DIRECTORY, f"{DIRECTORY}/{self.container}", self._directory):
            _make_directory(host, directory, 0o700)
        staged = [
            host.files.stage(self.path(name), text.encode(), mode=0o444, owner=(0, 0)) for name, text in texts.items()
        ]
        for error in host.files.publish(staged):
            if error is not None:
                raise error

    def drop_others(self, host: Host) -> None:
        """Remove what containers of that name had before this one."""
        self._drop(host, self._directory)

    def drop(self, host: Host) -> None:
        """Remove all that containers of that name had."""
        self._drop(host, "")

    def _drop(self, host: Host, kept: str) -> None:
        parent = f"{DIRECTORY}/{self.container}"
        for name in host.files.listdir(parent):
            if f"{parent}/{name}" != kept:
                host.files.remove_directory(f"{parent}/{name}", recursive=True)

    @property
    def _directory(self) -> str:
        return f"{DIRECTORY}/{self.container}/{self.version[:16]}"


def _make_directory(host: Host, path: str, mode: int) -> None:
    if host.files.lstat(path) is None:
        host.files.make_directory(path, mode=mode, owner=(0, 0))
    found = host.files.lstat(path)
    if found is None or found.type != "directory" or found.uid != 0 or found.mode & ~mode:
        raise ResourceError(f"{path} must be a directory of root's with mode {mode:04o}, to hold secrets; remove it")
