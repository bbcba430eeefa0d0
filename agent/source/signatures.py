"""Who signed a commit: GPG signatures judged by gpgv, SSH signatures by ssh-keygen, against keys that the host trusts.

The keys lie in one directory: `*.gpg` and `*.asc` are GPG keys, `*.signers` are files of allowed signers (ssh-keygen(1)), whose
validity dates hold for the moment of the commit. A commit cannot be dated back before the last one that was accepted, so a
key that has expired since then signs nothing new.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from agent.errors import ConfigInvalid, RevisionRejected

OFF, TIP, RANGE = "off", "tip", "range"
MODES = (OFF, TIP, RANGE)
KEYS = (".gpg", ".asc", ".signers")  # endings of files of keys
SEAL = re.compile(r"^Gitops-Seal: *\S", re.MULTILINE)  # a trailer of a signed commit that vouches for all before it
MAX_COMMITS = 10_000  # of one step forward
_SSH = b"-----BEGIN SSH SIGNATURE-----"
_STEP = "sign it (git commit -S) with a key that this host trusts"


class Ended(Protocol):
    """A command that ended."""

    @property
    def status(self) -> int:
        """Its exit status."""

    @property
    def stdout(self) -> str:
        """What it printed."""


Run = Callable[[Sequence[str], bytes], Ended]
"""Runs a command that only reads, on some bytes. Raises an error of its own when it cannot be started."""


@dataclass(frozen=True)
class Trust:
    """How commits are verified, and against which keys. A mode that is not set is `range` as soon as there is a key."""

    mode: str = OFF
    directory: str = ""
    run: Run | None = None

    @property
    def in_effect(self) -> str:
        """The mode. Raises ConfigInvalid when somebody else could change a key."""
        return self.mode or (RANGE if self.files(*KEYS) else OFF)

    def mark(self) -> str:
        """A word that is another one when the mode or any key is; empty when nothing is verified."""
        try:
            found = [(path, os.stat(path)) for path in self.files(*KEYS)]
        except (ConfigInvalid, OSError) as error:
            return str(error)
        keys = " ".join(f"{path}:{stats.st_size}:{stats.st_mtime_ns}" for path, stats in found)
        return f"{self.in_effect} {keys}" if self.in_effect != OFF else ""

    def files(self, *suffixes: str) -> list[str]:
        """Key files by their endings. Raises ConfigInvalid when somebody else could change one."""
        try:
            names = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return []
        paths = [os.path.join(self.directory, name) for name in names if name.endswith(suffixes)]
        for path in [self.directory, *paths]:
            found = os.stat(path)
            if found.st_uid not in (0, os.geteuid()) or stat.S_IMODE(found.st_mode) & 0o022:
                raise ConfigInvalid(
                    f"{path} can be changed by others, so nothing it says is trusted", f"chmod go-w {path}"
                )
        return paths


def verify(repository: Any, tip: str, accepted: str, trust: Trust) -> str:  # noqa: ANN401  (pygit2 is imported late)
    """Verify the way from the accepted commit (empty: none) to the tip; who signed the tip.

    Raises RevisionRejected for a commit that nobody trusted has signed, ConfigInvalid when there is no key.
    """
    mode = trust.in_effect
    if mode == OFF:
        return ""
    if not trust.files(*KEYS):
        step = f"put GPG keys (*.gpg, *.asc) or allowed signers (*.signers) there, or set verify: {OFF}"
        raise ConfigInvalid(f"verify is {mode}, and {trust.directory} has no key", step)
    commit = repository[tip]
    floor = repository[accepted].commit_time if accepted and accepted in repository else 0
    who = signer(commit, floor, trust)
    if mode == RANGE and accepted:
        for older in _range(repository, commit, accepted):
            signer(older, floor, trust)
    return who


def _range(repository: Any, tip: Any, accepted: str) -> Iterator[Any]:  # noqa: ANN401
    """List the commits between, newest first, up to what a signed seal vouches for."""
    waiting, seen = [tip], {str(tip.id)}
    while waiting:
        commit = waiting.pop()
        yield commit
        if SEAL.search(commit.message):
            continue
        for parent in commit.parents:
            name = str(parent.id)
            if name in seen or name == accepted or repository.descendant_of(accepted, name):
                continue
            if len(seen) >= MAX_COMMITS:
                raise RevisionRejected(
                    f"there are more than {MAX_COMMITS} commits since {accepted[:7]}", "seal them with a signed commit"
                )
            seen.add(name)
            waiting.append(parent)


def signer(commit: Any, floor: int, trust: Trust) -> str:  # noqa: ANN401
    """Who signed one commit; `floor` is the time of the last accepted one. Raises RevisionRejected."""
    signature, payload = commit.gpg_signature
    shown = f'{str(commit.id)[:7]} "{commit.message.strip().partition(chr(10))[0][:60]}"'
    if not signature:
        raise _refused(commit, f"{shown} is not signed", _STEP)
    judge = _by_ssh if signature.startswith(_SSH) else _by_gpg
    with _file(signature, "signature") as path:
        who = judge(path, payload, max(commit.commit_time, floor), trust)
    if not who:
        raise _refused(commit, f"{shown} is not signed by a key that this host trusts, or was changed since", _STEP)
    return who


def _refused(commit: Any, message: str, step: str) -> RevisionRejected:  # noqa: ANN401
    return RevisionRejected(message, step, commit=str(commit.id), reason="VerifyFailed")


def _by_gpg(signature: str, payload: bytes, _moment: int, trust: Trust) -> str:
    """By the status lines of gpgv: it must say that the signature is good, and nothing of expiry or revocation."""
    for path in trust.files(".gpg", ".asc"):
        with _file(_binary(path), "keyring") as keyring:
            said = _run(trust, ("gpgv", "--status-fd", "1", "--keyring", keyring, signature, "-"), payload)
        lines = [line.split() for line in said.stdout.splitlines() if line.startswith("[GNUPG:] ")]
        kinds = {line[1] for line in lines if len(line) > 1}
        valid = next((line for line in lines if line[1:2] == ["VALIDSIG"]), None)
        if said.status == 0 and valid and "GOODSIG" in kinds and not kinds & {"EXPKEYSIG", "REVKEYSIG", "EXPSIG"}:
            name = next(" ".join(line[3:]) for line in lines if line[1] == "GOODSIG")
            return f"{name} ({valid[2][-16:]})"
    return ""


def _by_ssh(signature: str, payload: bytes, moment: int, trust: Trust) -> str:
    """By ssh-keygen: a principal of the allowed signers whose key it is, valid at the moment, for the purpose `git`."""
    at = f"-Overify-time={datetime.fromtimestamp(moment, UTC):%Y%m%d%H%M%S}Z"
    for signers in trust.files(".signers"):
        found = _run(trust, ("ssh-keygen", "-Y", "find-principals", at, "-f", signers, "-s", signature), payload)
        for principal in found.stdout.splitlines() if found.status == 0 else ():
            verified = ("ssh-keygen", "-Y", "verify", at, "-f", signers, "-I", principal, "-n", "git", "-s", signature)
            if _run(trust, verified, payload).status == 0:
                return principal
    return ""


def _binary(path: str) -> bytes:
    """A keyring as gpgv takes it: without the armour (RFC 9580, 6.2) that a text file of keys has."""
    with open(path, "rb") as file:
        data = file.read(1 << 20)
    blocks = re.findall(
        rb"-----BEGIN [^\n]*-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n(.*?)(?:\r?\n=[^\n]*)?\r?\n-----END", data, re.DOTALL
    )
    return b"".join(base64.b64decode(block) for block in blocks) or data


def _run(trust: Trust, argv: Sequence[str], data: bytes) -> Ended:
    if trust.run is None:
        raise ConfigInvalid("signatures cannot be verified here", "use agentctl")
    return trust.run(argv, data)


@contextmanager
def _file(text: bytes, name: str) -> Iterator[str]:
    """A file that only we can read, for programs that take a signature or keys by their path."""
    import tempfile  # the daemon, which only reads the settings, does without

    with tempfile.TemporaryDirectory(prefix="gitops-agent-") as directory:
        path = os.path.join(directory, name)
        with open(path, "wb") as file:
            file.write(text)
        yield path
