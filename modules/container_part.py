"""What containers share and outlive them: networks and volumes, held by the engine itself or by systemd through Quadlet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from modules.api import (
    AS_UNIT,
    Drift,
    Engine,
    EngineView,
    Host,
    HostView,
    Json,
    Observation,
    Resource,
    ResourceError,
    State,
    Value,
)
from modules.container_host import ENGINE_NEEDS, OURS_LABEL, chosen, pairs, refuse_another_root
from modules.container_values import LABELS
from modules.fields import NAME, STRING_MAP, choice, identity, option

_NOT_ASKED_OF_IT = ("name", "ensure", "force")


@dataclass(frozen=True, kw_only=True)
class Part(Resource, kind="", identity="name"):
    """A network or volume."""

    together = "container parts"
    runtime = ("unit",)
    what: ClassVar[str] = ""

    name: str = identity(NAME, "Its name.")
    ensure: str = option(choice("present", "absent"), "Whether it exists.", "present")
    driver: str | None = option(NAME, "Its driver; the engine has a default.")
    options: Mapping[str, str] | None = option(STRING_MAP, "Options of its driver.")
    labels: Mapping[str, str] | None = option(LABELS, "Labels.")

    @property
    def asked(self) -> Mapping[str, Any]:
        """What is asked of it, by the names of its fields, with the label that says that we made it."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NOT_ASKED_OF_IT}
        named = {name: value for name, value in given.items() if value is not None}
        return {**named, "labels": {**(self.labels or {}), OURS_LABEL: self.what}}

    def provides(self) -> Sequence[str]:
        """Its name, for the containers that use it, and as a unit."""
        unit = f"{AS_UNIT}{self.name}-{self.what}.service"
        return () if self.ensure == "absent" else (f"{self.what}:{self.name}", unit)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The engine."""
        return ENGINE_NEEDS

    def desired(self, observed: State) -> State:
        """What is given; under Quadlet also its file, and that its unit was started."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        wanted: dict[str, Value] = {name: getattr(self, name) for name in self._compared}
        unit: dict[str, Value] = {}
        if "definition" in observed:
            from modules.quadlet_part import definition

            unit = {"definition": definition(self), "unit": "started"}
        return {"ensure": "present", **wanted, "options": pairs(self.options), "labels": pairs(self.labels), **unit}

    @property
    def _compared(self) -> Sequence[str]:
        return [field.name for field in fields(self) if field.name not in (*_NOT_ASKED_OF_IT, "options", "labels")]

    def found(self, engine: EngineView) -> Json | None:
        """What the engine shows of it. Raises ResourceError."""
        raise TypeError(f"{type(self).__name__} is not looked for at {engine.program}")

    def shown(self, found: Json) -> State:
        """Its own properties in what the engine shows."""
        raise TypeError(f"{type(self).__name__} reads nothing of {len(found)} entries")

    def make(self, engine: Engine) -> None:
        """Have the engine make it. Raises ResourceError."""
        raise TypeError(f"{type(self).__name__} is not made by {engine.program}")

    def remove(self, engine: Engine) -> None:
        """Have the engine remove it, which it refuses while a container has it. Raises ResourceError."""
        raise TypeError(f"{type(self).__name__} is not removed by {engine.program}")

    def clear(self, engine: Engine, differing: Sequence[str]) -> Mapping[str, Json]:
        """Remove one that differs, for another; its containers and their places in it. Raises ResourceError when that may not be."""
        raise TypeError(f"{type(self).__name__} stays at {engine.program} though it differs in {differing}")

    def put_back(self, engine: Engine, name: str, place: Json) -> None:
        """Put a container into the new one. Raises ResourceError."""
        raise TypeError(f"{type(self).__name__} holds no {name} of {engine.program} at {len(place)} places")

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """Each from the engine; their units in one call."""
        units: Sequence[Observation] = [{}] * len(wanted)
        try:
            refuse_another_root(host)
            if wanted and host.engine.quadlet:
                from modules.quadlet_part import look

                units = look(host, wanted)
        except ResourceError as error:
            return [error] * len(wanted)
        return [part._observed(host, unit) for part, unit in zip(wanted, units, strict=True)]  # noqa: SLF001  (its own class)

    def _observed(self, host: HostView, unit: Observation) -> Observation:
        if isinstance(unit, ResourceError):
            return unit
        try:
            found = self.found(host.engine)
        except ResourceError as error:
            return error
        if found is None:
            left = self.ensure == "absent" and unit.get("definition", "absent") != "absent"
            return {"ensure": "present" if left else "absent", **unit}
        mine = {
            "options": pairs(chosen(found.get("Options"), self.options)),
            "labels": pairs(chosen(found.get("Labels"), self.labels)),
        }
        return {"ensure": "present", "driver": found["Driver"], **self.shown(found), **mine, **unit}

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """Make, make anew or remove each; under Quadlet with one daemon-reload."""
        if host.engine.quadlet:
            from modules.quadlet_part import apply

            return apply(host, steps)
        return [part._applied(host.engine, drift) for part, drift in steps]  # noqa: SLF001  (its own class)

    def _applied(self, engine: Engine, drift: Drift) -> ResourceError | None:
        try:
            if self.ensure == "absent":
                self.remove(engine)
                return None
            members = {} if "ensure" in drift else self.clear(engine, sorted(drift))
            self.make(engine)
            for name, place in members.items():
                self.put_back(engine, name, place)
        except ResourceError as error:
            return error
        return None

    def undo(self, prior: State) -> Self | None:
        """Absent, if it was not there before."""
        was_absent = prior.get("ensure") == "absent" and self.ensure == "present"
        return type(self)(name=self.name, ensure="absent") if was_absent else None
