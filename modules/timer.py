"""timer: run a command by the clock, as systemd does it: the replacement for a line of cron."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Content, Drift, Host, HostView, Observation, Resource, ResourceError, State, Value
from modules.calendar import event_problem, span_problem
from modules.fields import BOOLEAN, INTEGER, NAME, STRING_MAP, STRINGS, TEXT, TEXT_OR_TEXTS, choice, identity, option
from modules.unit import ABSENT, FOREIGN, Unit

_NAME = re.compile(r"[A-Za-z0-9:_.\\-]{1,200}")
_PROGRAM = re.compile(r"[A-Za-z0-9/_.][A-Za-z0-9/_.+-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9/_.:=@,+-]+")


@dataclass(frozen=True, kw_only=True)
class Timer(Resource, kind="timer", identity="name"):
    """A command that runs by the clock: the units NAME.service and NAME.timer, of which the timer is enabled and active.

    `timer: backup` is `systemctl list-timers backup`, `systemctl start backup` runs it now, and `journalctl -u backup`
    tells what it said. A change of the schedule takes effect at once, one of the command with the next run: a run that is
    going on is never disturbed. When it leaves Git the timer is stopped and both files are removed; a run that is going
    on is ended. The text of units can be read by everybody: a secret belongs into a file that the command reads.
    """

    refreshed_for = ("schedule",)
    restarted_by = ("active",)
    runtime = ("active",)
    diffed = ("command", "schedule")
    awaits = ("daemon-reload",)

    name: str = identity(NAME, "The name of both units, without a suffix.")
    ensure: str = option(choice("present", "absent"), "Whether there is such a timer.", "present")
    command: tuple[str, ...] = option(
        STRINGS, "The program and its arguments, each a text of its own; no shell reads it.", ()
    )
    on_calendar: tuple[str, ...] = option(
        TEXT_OR_TEXTS, "When it runs, as in systemd.time(7): `daily`, `Mon..Fri 08:00`; one text or a list of them.", ()
    )
    user: str | None = option(NAME, "The user it runs as, instead of root.")
    persistent: bool = option(
        BOOLEAN, "Whether a run that was missed while the host was off is made up for.", default=False
    )
    randomized_delay: str | None = option(TEXT, "A time span; each run is put off by a random part of it.")
    environment: Mapping[str, str] | None = option(STRING_MAP, "Environment variables of the command.")
    description: str | None = option(TEXT, "What it is for, on one line.")
    timeout: int | None = option(
        INTEGER, "How many seconds a run may take before it is ended; without limit if left out."
    )
    enabled: bool = option(BOOLEAN, "Whether the schedule is followed, now and after a boot.", default=True)

    def problems(self) -> Sequence[str]:
        """Find what the units could not be made of."""
        found = list(self._schedule_problems()) if self.ensure == "present" else []
        if not _NAME.fullmatch(self.name) or self.name.endswith((".timer", ".service")):
            found.append(f"`{self.name}` is not the name of a timer: letters, digits and `:_.-`, and no suffix")
        if self.ensure == "absent":
            found += [
                f"{name} has no meaning with ensure: absent"
                for name in ("command", "on_calendar")
                if getattr(self, name)
            ]
        elif not self.command:
            found.append("needs a command, a list such as [/usr/local/bin/backup, --all]")
        elif not _PROGRAM.fullmatch(self.command[0]):
            found.append(f"`{self.command[0]}` is not a program: its path or name comes first, its arguments after it")
        found += (
            f"`{name}` is not a variable's name" for name in self.environment or () if not _VARIABLE.fullmatch(name)
        )
        if "\n" in (self.description or ""):
            found.append("description must be one line")
        if self.timeout is not None and self.timeout < 1:
            found.append("timeout must be at least 1 second; leave it out for none")
        return found

    def _schedule_problems(self) -> Iterator[str]:
        if not self.on_calendar:
            yield "needs on_calendar, such as `daily` or `*-*-* 03:30:00`"
        yield from (problem for event in self.on_calendar if (problem := event_problem(event)))
        if self.randomized_delay is not None and (problem := span_problem(self.randomized_delay)):
            yield f"randomized_delay: {problem}"

    def provides(self) -> Sequence[str]:
        """Both units and their files."""
        return (*self.service.provides(), *self.schedule.provides())

    def needs(self) -> Sequence[tuple[str, ...]]:
        """Its program, its user, and what the units need."""
        program = [(f"path:{self.command[0]}",)] if self.command else []
        user = [(f"user:{self.user}",)] if self.user else []
        return (*program, *user, *self.service.needs(), *self.schedule.needs())

    def desired(self, observed: State) -> State:
        """Both texts as their digests, and the timer enabled and active, or neither."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        service = self.service.desired({"content": observed.get("command")})
        schedule = self.schedule.desired({**observed, "content": observed.get("schedule")})
        return {
            "ensure": "present",
            "command": service["content"],
            "schedule": schedule["content"],
            **{name: value for name, value in schedule.items() if name not in ("content", "dropins")},
        }

    def undo(self, prior: State) -> Self | None:
        """The timer is stopped, and both of its files are removed."""
        return type(self)(name=self.name, ensure="absent") if prior.get("ensure") == "absent" else None

    def refresh(self, host: Host, action: str) -> None:
        """Have the timer follow its new schedule. Raises ResourceError."""
        self.schedule.refresh(host, action)

    def contents(self, host: HostView, drift: Drift) -> tuple[bytes, bytes] | None:
        """The files that differ, as `systemctl cat` shows them."""
        shown = [
            unit.text.shown(host)
            for name, unit in (("command", self.service), ("schedule", self.schedule))
            if name in drift
        ]
        return (b"".join(before for before, _ in shown), b"".join(after for _, after in shown)) if shown else None

    def recover(self, host: Host) -> None:
        """Remove temporary files."""
        self.service.recover(host)
        self.schedule.recover(host)

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """All units of all timers at once."""
        seen = iter(Unit.observe_all(host, [unit for timer in wanted for unit in (timer.service, timer.schedule)]))
        return [_together(service, schedule) for service, schedule in zip(seen, seen, strict=True)]

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """All units of all timers at once, but for those whose schedule systemd does not understand."""
        errors = [timer.misunderstood(host, drift) for timer, drift in steps]
        sound = [timer for (timer, _), error in zip(steps, errors, strict=True) if error is None]
        units: list[tuple[Unit, Drift]] = [(unit, {}) for timer in sound for unit in (timer.service, timer.schedule)]
        failed = Unit.apply_all(host, units) if units else []
        pairs = iter(zip(failed[::2], failed[1::2], strict=True))
        return [error or next(filter(None, next(pairs)), None) for error in errors]

    def misunderstood(self, host: Host, drift: Drift) -> ResourceError | None:
        """What systemd itself says against a new schedule."""
        asked = [("calendar", event) for event in self.on_calendar]
        asked += [("timespan", self.randomized_delay)] if self.randomized_delay else []
        try:
            for verb, text in asked if "schedule" in drift else ():
                host.probe("systemd-analyze", verb, text)
        except ResourceError as error:
            return error
        return None

    @property
    def service(self) -> Unit:
        """What runs the command."""
        if self.ensure == "absent":
            return Unit(name=f"{self.name}.service", active=False)
        return Unit(name=f"{self.name}.service", content=_content(self._service_lines()))

    @property
    def schedule(self) -> Unit:
        """What starts it by the clock."""
        name = f"{self.name}.timer"
        if self.ensure == "absent":
            return Unit(name=name, enabled=False, active=False)
        return Unit(name=name, content=_content(self._schedule_lines()), enabled=self.enabled, active=self.enabled)

    def _service_lines(self) -> Iterator[str]:
        yield from ("[Unit]", f"Description={self._description}", "", "[Service]", "Type=oneshot")
        yield f"ExecStart={' '.join(map(_argument, self.command))}"
        if self.user is not None:
            yield f"User={_specifiers(self.user)}"
        for name, value in sorted((self.environment or {}).items()):
            yield f"Environment={_quoted(_specifiers(f'{name}={value}'))}"
        if self.timeout is not None:
            yield f"TimeoutStartSec={self.timeout}"

    def _schedule_lines(self) -> Iterator[str]:
        yield from ("[Unit]", f"Description={self._description}", "", "[Timer]")
        yield from (f"OnCalendar={event}" for event in self.on_calendar)
        if self.persistent:
            yield "Persistent=true"
        if self.randomized_delay is not None:
            yield f"RandomizedDelaySec={self.randomized_delay}"
        yield from ("", "[Install]", "WantedBy=timers.target")

    @property
    def _description(self) -> str:
        return _specifiers(self.description or f"{self.name}, by the clock").rstrip("\\")


def _together(service: Observation, schedule: Observation) -> Observation:
    """What two units show, as one."""
    if isinstance(service, ResourceError):
        return service
    if isinstance(schedule, ResourceError):
        return schedule
    state: dict[str, Value] = {name: value for name, value in schedule.items() if name not in ("content", "dropins")}
    if service["loaded"] == "stale":
        state["loaded"] = "stale"
    texts = {"command": service["content"], "schedule": schedule["content"]}
    ours = any(found not in (ABSENT, FOREIGN) for found in texts.values())
    return {"ensure": "present" if ours else "absent", **texts, **state}


def _content(lines: Iterator[str]) -> Content:
    data = "".join(f"{line}\n" for line in lines).encode()
    return Content(hashlib.sha256(data).hexdigest(), len(data), data=data)


def _argument(text: str) -> str:
    """One argument as systemd.service(5) reads command lines, so that it is exactly this text again."""
    text = _specifiers(text).replace("$", "$$")
    return text if _PLAIN.fullmatch(text) else _quoted(text)


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    )
    return f'"{escaped}"'
