"""Floor: the newest commit that was accepted, which every later one has to contain.

It is kept twice, in the state database and in a file of its own, because a clone is a thing to throw away: whoever could make
the agent lose it could sell it an older revision. When both are lost, whoever else remembers it is believed, and that is said.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.errors import RevisionRejected, StateUnusable

NAME = "accepted"  # in the database
FORMAT = 1
KEPT_SIGNERS, KEPT_REFUSALS, KEPT_DECISIONS = 20, 20, 100
Witnesses = Mapping[str, Callable[[], str]]
"""Who else may know the accepted commit, by the words that name them, the best first."""


class Memory(Protocol):
    """The state database, as far as it is needed."""

    def recall(self, name: str) -> str:
        """What was remembered under a name; empty when nothing was."""

    def remember(self, **values: str) -> None:
        """Remember values by name."""


class Floor:
    """The accepted commit of a host, who signed it, and what was decided about others.

    Nothing is written when nothing changes, and never when it is not `writable`. `path` is the file.
    """

    def __init__(self, memory: Memory, path: str, witnesses: Witnesses, *, writable: bool) -> None:
        self.notices: list[str] = []
        self._memory, self._path, self._writable = memory, path, writable
        self._kept = read_floor(path)
        self.commit = self._found(witnesses)
        if self.commit:
            self._keep(accepted=self.commit)

    def _found(self, witnesses: Witnesses) -> str:
        in_file, in_database = str(self._kept.get("accepted", "")), self._memory.recall(NAME)
        if in_file:  # it is written first
            if in_database != in_file:
                said = f"says {in_database[:7]}" if in_database else "does not know it"
                self._say(in_file, f"{self._path}, the state database {said}")
            return in_file
        if in_database:
            self._say(in_database, f"the state database, {self._path} was lost")
            return in_database
        for name, ask in witnesses.items():
            commit = ask()
            if commit:
                self._say(commit, f"{name}: the floor was lost with the state database and {self._path}")
                return commit
        return ""

    def _say(self, commit: str, what: str) -> None:
        self.notices.append(f"the accepted revision, {commit[:7]}, is taken from {what}")

    def signer(self, commit: str) -> str:
        """Who signed an accepted commit; empty when that is not known."""
        return str(self._kept.get("signers", {}).get(commit, ""))

    def accept(self, commit: str, signed_by: str) -> None:
        """Let every later commit have to contain this one, which passed the gate."""
        if commit == self.commit:
            return
        if self.signer(self.commit) and not signed_by:
            self.notices.append(f"{commit[:7]} was accepted without a signature, unlike the one before: verify is off")
        signers = {**self._kept.get("signers", {}), **({commit: signed_by} if signed_by else {})}
        self._move(commit, signers=dict(list(signers.items())[-KEPT_SIGNERS:]))

    def accept_anyway(self, commit: str, by: str, reason: str) -> None:
        """Take a commit for accepted because a person says so; that is kept."""
        decision = {
            "at": round(time.time(), 3),
            "commit": commit,
            "instead_of": self.commit,
            "by": by,
            "reason": reason,
        }
        self._move(commit, decisions=[*self._kept.get("decisions", ()), decision][-KEPT_DECISIONS:])

    def refuse(self, rejection: RevisionRejected) -> None:
        """Keep that a commit was refused, once."""
        refusal = {"commit": rejection.commit, "reason": rejection.reason, "message": str(rejection)}
        kept = list(self._kept.get("refusals", ()))
        if kept and {name: kept[-1].get(name) for name in refusal} == refusal:
            return
        self._keep(refusals=[*kept, {"at": round(time.time(), 3), **refusal}][-KEPT_REFUSALS:])

    def _move(self, commit: str, **more: Any) -> None:  # noqa: ANN401  (JSON)
        self.commit = commit
        self._keep(accepted=commit, accepted_at=round(time.time(), 3), **more)

    def _keep(self, **changes: Any) -> None:  # noqa: ANN401
        if not self._writable:
            return
        if any(self._kept.get(name) != value for name, value in changes.items()):
            self._kept = {"format": FORMAT, **self._kept, **changes}
            try:
                _write(self._path, self._kept)
            except OSError as error:
                hint = "make room on its file system, or see what else is wrong with it"
                raise StateUnusable(f"{self._path} cannot be written: {error.strerror}", hint) from error
        self._memory.remember(**{NAME: self.commit})


def read_floor(path: str) -> dict[str, Any]:
    """What the file says; empty when there is none, or when it cannot be understood."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    shape = {"format": int, "accepted": str, "signers": dict, "refusals": list, "decisions": list}
    fits = isinstance(found, dict) and all(isinstance(found.get(name, kind()), kind) for name, kind in shape.items())
    return found if fits and found.get("format") == FORMAT else {}


def _write(path: str, value: Mapping[str, Any]) -> None:
    """Replace the file in one step, lasting, for root alone."""
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
