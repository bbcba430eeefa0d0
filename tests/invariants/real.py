"""The same tools as on a host: ssh-keygen and gpg sign, ssh-keygen and gpgv verify, age seals and opens."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from agent.cli.opening import opener, trust
from agent.cli.opening import seal as seal_for
from tests.hosts.signing import Signers
from tests.invariants.fake import Tools
from tests.invariants.wishes import Sealed


class Real:
    """Keys in a directory: of people who sign, of this host, and of another one."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.signers, self.trusted = directory, Signers(directory / "people"), directory / "trusted.d"
        self.trusted.mkdir(mode=0o755)
        for name, text in (("people.signers", self.signers.allowed("alice")), ("ops.asc", self.signers.gpg_key())):
            (self.trusted / name).write_text(text)
            (self.trusted / name).chmod(0o644)
        for name in ("host", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key(name)], check=True)
        self.seal = cache(self._seal)  # the same sealed again is of no interest

    def tools(self) -> Tools:
        """What the world of fakes is given instead of its own."""
        verify = trust("", "").run
        assert verify is not None
        return Tools(self.sign, verify, self.seal, opener(self.key("host")), self.trusted)

    def key(self, name: str) -> str:
        """The file of a private key."""
        return str(self.directory / name)

    def sign(self, by: str, commit: bytes) -> str:
        """A signature as git asks for it: of ops by GPG, of others by ssh."""
        key = str(self.signers.directory / by)
        by_gpg = (
            "gpg",
            "--homedir",
            str(self.signers.gnupg),
            "--batch",
            "--armor",
            "--detach-sign",
            "-u",
            "ops@example.com",
        )
        command = by_gpg if by == "ops" else ("ssh-keygen", "-Y", "sign", "-n", "git", "-f", key)
        return subprocess.run(command, input=commit, capture_output=True, check=True).stdout.decode()

    def _seal(self, secret: Sealed) -> bytes:
        recipient = Path(f"{self.key('host' if secret.ours else 'stranger')}.pub").read_text().strip()
        return seal_for([recipient], secret.text.encode())

    def close(self) -> None:
        """End what GPG leaves running."""
        self.signers.end()
