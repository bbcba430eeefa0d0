"""People who sign commits with real keys, of ssh and of GPG, and files of the keys that a host is to trust."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.hosts.git import GitRepository


class Signers:
    """Keys in a directory: `alice` and `mallory` have ssh keys, `ops@example.com` a GPG key when it is asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.gnupg = directory, directory / "gnupg"
        self.gnupg.mkdir(parents=True, mode=0o700)
        for name in ("alice", "mallory"):
            self._run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name))

    def allowed(self, name: str, options: str = 'namespaces="git"') -> str:
        """A line of allowed signers."""
        key = " ".join((self.directory / f"{name}.pub").read_text().split()[:2])
        return f"{name}@example.com {options} {key}\n"

    def gpg_key(self) -> str:
        """The public key of ops@example.com, made when it is first asked for."""
        if "pub:" not in self._run("gpg", "--batch", "--list-keys", "--with-colons"):
            made = ("--passphrase", "", "--quick-gen-key", "Operations <ops@example.com>", "ed25519", "sign", "never")
            self._run("gpg", "--batch", *made)
        return self._run("gpg", "--batch", "--armor", "--export")

    def sign(self, repository: GitRepository, by: str) -> None:
        """Have every later commit of a checkout signed by a name, by `gpg`, or by nobody (empty)."""
        wishes = {
            "commit.gpgsign": "true" if by else "false",
            "gpg.format": "openpgp" if by == "gpg" else "ssh",
            "user.signingkey": "ops@example.com" if by == "gpg" else str(self.directory / by),
            "gpg.openpgp.program": self._wrapper(),
        }
        for name, value in wishes.items():
            self._run("git", "-C", str(repository.work), "config", name, value)

    def end(self) -> None:
        """End the agent that GPG leaves running for its keys."""
        self._run("gpgconf", "--kill", "all")

    def _wrapper(self) -> str:
        """GPG with these keys, whatever the environment says."""
        path = self.directory / "gpg"
        path.write_text(f'#!/bin/sh\nexec gpg --homedir {self.gnupg} "$@"\n')
        path.chmod(0o755)
        return str(path)

    def _run(self, *command: str) -> str:
        environment = {**os.environ, "GNUPGHOME": str(self.gnupg)}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
