"""What is seen of a host from outside, and what a world must offer for the random tests to be run in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tests.invariants.remote import Remote
from tests.invariants.wishes import Sealed

NO_TEXTS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Service:
    """A service, and what it read when it last started, or was told to read again."""

    active: bool = False
    reads: int = 0  # another number after each time that it read
    read: Mapping[str, str] = field(default_factory=dict)  # texts by path


@dataclass(frozen=True)
class Seen:
    """A host at one moment."""

    files: Mapping[str, str]  # below /srv, texts by path
    services: Mapping[str, Service]
    floor: str  # the accepted commit, as the agent's own file or database says
    reference: str  # the same, as its clone says
    inventory: frozenset[str]
    pending: frozenset[str]  # of these, what an interrupted pass left half done
    owed: int  # refreshes
    tries: int  # how often that was tried which can never be applied
    verdict: str  # of the last pass; empty before the first
    held: str  # the commit that it held
    conditions: frozenset[str]
    failed: frozenset[str]  # resources


class World(Protocol):
    """A host, its agent, and the repository that it follows."""

    remote: Remote

    def seal(self, secret: Sealed) -> bytes:
        """The secret as it lies in the repository."""

    def see(self) -> Seen:
        """Look at the host."""

    def put(self, path: str, text: str) -> None:
        """Write a file, as a person on the host does."""

    def remove(self, path: str) -> None:
        """Remove one."""

    def stop(self, unit: str) -> None:
        """Stop a service."""

    def let_fail(self, unit: str, *, fails: bool) -> None:
        """Have a service fail whenever it starts or reads again, or no longer."""

    def run(self, reason: str, *, approved: bool = False) -> bool:
        """Make one pass for a reason; whether it looked at the host at all."""

    def die(self, at: int) -> bool:
        """Begin a pass and end it by force, the later the greater the number; False when it was over before."""

    def forgive(self) -> None:
        """Forget what was rolled back, as a person says."""

    def look(self) -> None:
        """Have every verb say what it has to say."""

    def said(self) -> bytes:
        """All that the agent has said since this was last asked, and all that it keeps."""

    def close(self) -> None:
        """End it."""
