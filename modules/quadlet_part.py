"""Networks and volumes that systemd holds: one Quadlet file each, of which NAME-network.service or NAME-volume.service is made.

The unit is a oneshot that makes the network or volume when there is none, so one that exists is taken as it is. What
containers mount or are in is never taken from them: their own files name these files, and order their units after them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from modules.api import Drift, Engine, EngineView, Host, HostView, Json, Observation, ResourceError
from modules.quadlet_file import QuadletFile, carry_out, complaint, marked, naming, path_of, read, write
from modules.quadlet_text import part_text
from modules.quadlet_unit import Shown, shown, start, stop

_OF_THE_UNIT = {"definition", "unit"}  # properties that say nothing of the network or volume itself


class Part(Protocol):
    """What is asked of a network or volume (modules.container_part)."""

    what: ClassVar[str]

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def ensure(self) -> str:
        """Whether it is wanted."""

    @property
    def asked(self) -> Mapping[str, Any]:
        """What is asked of it, by the names of its fields."""

    def found(self, engine: EngineView) -> Json | None:
        """What the engine shows of it."""

    def remove(self, engine: Engine) -> None:
        """Have the engine remove it."""

    def clear(self, engine: Engine, differing: Sequence[str]) -> Mapping[str, Json]:
        """Remove one that differs, for another; its containers and their places in it."""

    def put_back(self, engine: Engine, name: str, place: Json) -> None:
        """Put a container into the new one."""


def definition(part: Part) -> str:
    """The digest of its file, as plans show it."""
    return _digest(_text(part))


def look(host: HostView, parts: Sequence[Part]) -> list[Observation]:
    """Their files, and their units in one call. Raises ResourceError."""
    units = shown(host, [_stem(part) for part in parts])
    return [_seen(part, read(host, _file(part)), units[_stem(part)]) for part in parts]


def apply(host: Host, steps: Sequence[tuple[Part, Drift]]) -> list[ResourceError | None]:
    """Write or remove their files, have systemd read them once, and see that their units are there and were started."""
    return carry_out(host, [_PartChange(host, part, drift) for part, drift in steps])


class _PartChange:
    """The change of one (modules.quadlet_file.Change)."""

    def __init__(self, host: Host, part: Part, drift: Drift) -> None:
        self._host, self._part, self._drift = host, part, drift
        self._members: Mapping[str, Json] = {}
        self.unread = False

    def write(self) -> None:
        """Put its file in place, or take it away with what it defines."""
        host, part, drift = self._host, self._part, self._drift
        if part.ensure == "absent":
            self._take_away()
            return
        if self._differs and "ensure" not in drift:
            self._members = part.clear(host.engine, self._differs)
        if "definition" in drift:
            write(host, _file(part), _text(part))
        self.unread = "definition" in drift or ("unit" in drift and drift["unit"].before != "stopped")

    def begin(self) -> None:
        """Start its unit, which makes it; those that were in the one before are started again."""
        host, part = self._host, self._part
        if part.ensure == "absent":
            return
        unit = shown(host, [_stem(part)])[_stem(part)]
        if not unit.generated:
            raise ResourceError(f"Quadlet made no unit of {path_of(_file(part))}: {complaint(host, _file(part))}")
        if self._differs or unit.condition != "running":
            start(host, _stem(part))
        for name, place in self._members.items():
            if read(host, f"{name}.container") is not None:
                start(host, name)  # systemd takes it along only if it already knew that it needs this
            else:
                part.put_back(host.engine, name, place)

    def conclude(self) -> None:
        """Nothing: it is there when its unit has started."""

    @property
    def _differs(self) -> Sequence[str]:
        return sorted(self._drift.keys() - _OF_THE_UNIT)

    def _take_away(self) -> None:
        host, part = self._host, self._part
        if users := naming(host, _file(part)):
            raise ResourceError(
                f"{part.what} {part.name} is still needed: {path_of(users[0])} names {_file(part)}; remove what uses it first"
            )
        if part.found(host.engine) is not None:
            part.remove(host.engine)  # first: it is refused while a container has it
        stop(host, _stem(part))
        host.files.unlink(path_of(_file(part)))
        self.unread = True


def _seen(part: Part, file: QuadletFile | None, unit: Shown) -> Observation:
    if file is None:
        return {"definition": "absent", "unit": _condition(unit)}
    if not file.made_of:
        return ResourceError(f"{path_of(_file(part))} was written by somebody else; remove it, or leave it out of Git")
    return {"definition": _digest(file.text), "unit": _condition(unit)}


def _condition(unit: Shown) -> str:
    if not unit.generated:
        return "missing"
    if unit.stale:
        return "stale"
    return "started" if unit.condition == "running" else "stopped"


def _file(part: Part) -> str:
    return f"{part.name}.{part.what}"


def _stem(part: Part) -> str:
    return f"{part.name}-{part.what}"


def _text(part: Part) -> str:
    return marked(part_text(part.what, part.name, part.asked), {})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
