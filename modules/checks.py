"""checks: whether what runs on a host does its work. Each kind of check is asked once at a time and never changes anything.

A check says what it sees now; the agent asks again, waits, compares with before a change, and decides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Self

from modules.api import EngineView, Json, Resource, ResourceError, Watcher
from modules.check_fields import ADDRESS, AGE, ARGV, CONTAINER, SECONDS, STATUS, UNIT, URL
from modules.fields import ABSOLUTE_PATH, BOOLEAN, NAME, TEXT, identity, option


class Health(Enum):
    """How well a thing does, the best first."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"


@dataclass(frozen=True)
class Seen:
    """One answer; `mark` must stay the same for a thing to count as steady (a count of restarts)."""

    health: Health
    message: str = ""
    mark: str = ""


HEALTHY = Seen(Health.HEALTHY)


def _asked(check: Check, host: Watcher) -> Seen:
    try:
        return check.ask(host)
    except Exception as error:  # noqa: BLE001  (one check that cannot be asked must not keep the others from it)
        known = isinstance(error, ResourceError)
        return Seen(Health.UNKNOWN, str(error) if known else f"it cannot be asked: {type(error).__name__}: {error}")


REQUIRED = "Whether a change after which it fails may be rolled back; else its failing is only told."


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check; `kind` and the field that it is about name it: `http:http://localhost/`."""

    kind: ClassVar[str] = ""
    identity_field: ClassVar[str] = ""

    required: bool = option(BOOLEAN, REQUIRED, default=True)
    timeout: int = option(SECONDS, "How long one answer may take.", 5)

    def __init_subclass__(cls, *, kind: str, identity: str) -> None:
        """File the kind's name, and the field that identifies a check of it."""
        cls.kind, cls.identity_field = kind, identity

    @property
    def id(self) -> str:
        """What it is called in status and messages."""
        return f"{self.kind}:{getattr(self, self.identity_field)}"

    def problems(self) -> Sequence[str]:
        """What is wrong with it as a whole."""
        return ()

    def ask(self, host: Watcher) -> Seen:
        """What it sees now. Raises ResourceError when it cannot look, which is no answer."""
        raise TypeError(f"{type(self).__name__} does not ask; host {host.root}")

    @classmethod
    def ask_all(cls, host: Watcher, checks: Sequence[Self]) -> list[Seen]:
        """Ask many at once; a kind overrides this when one question answers for all. What cannot be seen is unknown."""
        return [_asked(check, host) for check in checks]


@dataclass(frozen=True, kw_only=True)
class Http(Check, kind="http", identity="url"):
    """A URL answers with a status, and with a text in its first 64 KiB if one is given. Redirects are not followed."""

    url: str = identity(URL, "The URL; no password in it, and no `#`.")
    status: int = option(STATUS, "The status that is good.", 200)
    contains: str | None = option(TEXT, "A text that the answer must have.")

    def ask(self, host: Watcher) -> Seen:
        """GET it."""
        try:
            status, body = host.http(self.url, self.timeout)
        except ResourceError as error:
            return Seen(Health.DEGRADED, str(error))
        if status != self.status:
            return Seen(Health.DEGRADED, f"{self.url} answers with status {status}, not {self.status}")
        if self.contains is not None and self.contains not in body:
            return Seen(Health.DEGRADED, f"{self.url} answers without {self.contains!r}")
        return HEALTHY


@dataclass(frozen=True, kw_only=True)
class Tcp(Check, kind="tcp", identity="address"):
    """Something accepts connections at `HOST:PORT`."""

    address: str = identity(ADDRESS, "Where; an IPv6 address in brackets.")

    def ask(self, host: Watcher) -> Seen:
        """Connect, and say nothing."""
        try:
            host.connect(self.address, self.timeout)
        except ResourceError as error:
            return Seen(Health.DEGRADED, str(error))
        return HEALTHY


@dataclass(frozen=True, kw_only=True)
class CommandCheck(Check, kind="command", identity="name"):
    """A command ends with status 0. It must not change anything: it runs after every pass."""

    name: str = identity(NAME, "What the check is called.")
    argv: tuple[str, ...] = option(ARGV, "The command, as a list, which must be given; there is no shell.", ())

    def problems(self) -> Sequence[str]:
        """There is no command but the one that is given."""
        return () if self.argv else ("argv is missing: the command, as a list",)

    def ask(self, host: Watcher) -> Seen:
        """Run it, as root."""
        try:
            host.watch(*self.argv, timeout_seconds=self.timeout)
        except ResourceError as error:
            return Seen(Health.DEGRADED, str(error))
        return HEALTHY


@dataclass(frozen=True, kw_only=True)
class FileAge(Check, kind="file_age", identity="path"):
    """A file was written lately: a backup, a heartbeat."""

    path: str = identity(ABSOLUTE_PATH, "The file.")
    max_seconds: int = option(AGE, "How old it may be.", 86_400)

    def ask(self, host: Watcher) -> Seen:
        """Look at its time of modification."""
        found = host.files.lstat(self.path)
        if found is None:
            return Seen(Health.DEGRADED, f"{self.path} is not there")
        age = int(time.time() - found.mtime_ns / 1e9)
        if age > self.max_seconds:
            return Seen(Health.DEGRADED, f"{self.path} was written {age} s ago, more than {self.max_seconds} s")
        return HEALTHY


@dataclass(frozen=True, kw_only=True)
class UnitCheck(Check, kind="unit", identity="name"):
    """A unit is active and does not start over and over."""

    name: str = identity(UNIT, "The unit, with its suffix.")

    def ask(self, host: Watcher) -> Seen:
        """Ask systemd."""
        return self.ask_all(host, [self])[0]

    @classmethod
    def ask_all(cls, host: Watcher, checks: Sequence[Self]) -> list[Seen]:
        """Ask systemd once for all."""
        asked = "--property=LoadState,ActiveState,SubState,Result,NRestarts,Type"
        try:
            said = host.probe("systemctl", "--no-pager", "show", asked, "--", *(check.name for check in checks)).stdout
        except ResourceError as error:
            return [Seen(Health.UNKNOWN, str(error))] * len(checks)
        blocks = said.rstrip("\n").split("\n\n")
        if len(blocks) != len(checks):  # a pattern names any number of units
            return [Seen(Health.UNKNOWN, f"systemd tells of {len(blocks)} units, not of {len(checks)}")] * len(checks)
        shown = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
        return [_judge_unit(check.name, found) for check, found in zip(checks, shown, strict=True)]


def _judge_unit(name: str, shown: Mapping[str, str]) -> Seen:
    state, sub, mark = shown.get("ActiveState", ""), shown.get("SubState", ""), shown.get("NRestarts", "")
    if shown.get("LoadState") == "not-found":
        return Seen(Health.DEGRADED, f"{name} does not exist")
    if sub == "auto-restart":
        return Seen(
            Health.DEGRADED, f"{name} ended ({shown.get('Result')}) and is started again, {mark} times by now", mark
        )
    if state in ("active", "reloading") or (
        shown.get("Type") == "oneshot" and state == "inactive" and shown.get("Result") == "success"
    ):
        return Seen(Health.HEALTHY, "", mark)
    if state in ("activating", "deactivating"):
        return Seen(Health.PROGRESSING, f"{name} is {state} ({sub})", mark)
    return Seen(Health.DEGRADED, f"{name} is {state} ({shown.get('Result')})", mark)


@dataclass(frozen=True, kw_only=True)
class ContainerCheck(Check, kind="container", identity="name"):
    """A container runs, and is healthy by its own health check if it has one."""

    name: str = identity(CONTAINER, "The container.")

    def ask(self, host: Watcher) -> Seen:
        """Ask the engine."""
        return self.ask_all(host, [self])[0]

    @classmethod
    def ask_all(cls, host: Watcher, checks: Sequence[Self]) -> list[Seen]:
        """Ask the engine once for all."""
        try:
            found = host.engine.containers([check.name for check in checks])
            return [_judge_container(host.engine, check.name, found.get(check.name)) for check in checks]
        except ResourceError as error:
            return [Seen(Health.UNKNOWN, str(error))] * len(checks)


def _judge_container(engine: EngineView, name: str, entry: Json | None) -> Seen:
    if entry is None:
        return Seen(Health.DEGRADED, f"container {name} does not exist")
    state, status = str(entry["State"]), str(entry.get("Status", ""))
    if state != "running":
        return Seen(Health.DEGRADED, f"container {name} is {state} ({status})")
    if "(unhealthy)" in status:
        return Seen(Health.DEGRADED, f"container {name} is unhealthy by its own check")
    if "(health: starting)" in status:
        return Seen(Health.PROGRESSING, f"container {name} is starting")
    from modules.container_health import keeps_restarting

    return Seen(Health.HEALTHY, "", str(keeps_restarting(engine, name, entry)))


_KINDS: tuple[type[Check], ...] = (Http, Tcp, CommandCheck, UnitCheck, ContainerCheck, FileAge)
CHECKS: Mapping[str, type[Check]] = {kind.kind: kind for kind in _KINDS}


def built_in(resource: Resource) -> Sequence[Check]:
    """The checks that a resource brings by itself: a unit held active, a container held running."""
    if resource.kind == "unit" and getattr(resource, "active", None) is True:
        return (UnitCheck(name=resource.identity),)
    if resource.kind == "container" and getattr(resource, "ensure", "") == "running":
        return (ContainerCheck(name=resource.identity),)
    return ()
