"""unit: hold one systemd unit enabled, active or masked, or not, and restart it when what it reads changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Drift, Host, HostView, Observation, Resource, ResourceError, State, Unsupported, Value
from modules.fields import BOOLEAN, NAME, RESOURCE_IDS, identity, option
from modules.systemd import NEVER_STOPPED, Shown, daemon_reload, look, paths_of

__all__ = ["Unit", "daemon_reload"]

_SUFFIXES = ("service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice")
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,250}")
_ACTIVE: Mapping[str, Value] = {"active": True, "reloading": True, "refreshing": True, "inactive": False}
_ENABLED: Mapping[str, Value] = {"enabled": True, "disabled": False}
_NOT_INSTALLABLE = ("static", "indirect", "generated", "transient", "no unit file")
_ACCEPTED: Mapping[bool, tuple[str, ...]] = {  # what is as good as enabled, and as disabled
    True: _NOT_INSTALLABLE,
    False: (*_NOT_INSTALLABLE, "linked", "linked-runtime", "masked", "masked-runtime", "bad"),
}
_ENDED = "ran and ended"
_BROUGHT_BY = {"timer": "service", "socket": "service", "path": "service"}  # what these start, by the same name


@dataclass(frozen=True, kw_only=True)
class Unit(Resource, kind="unit", identity="name"):
    """A systemd unit: whether it starts at boot, runs now, or is masked, and when it is restarted or reloaded.

    A field that is left out is left alone. A unit without an [Install] section (`static`, `generated`, `transient`,
    `indirect`: systemctl(1), is-enabled) has nothing to enable or disable, so both are in sync; `enabled-runtime` is
    neither. `active: true` starts what is stopped or has failed, and is content with a oneshot that has run well since
    boot. `enabled: true` and `active: true` unmask. A refresh never starts a unit that is stopped, and restarts one
    that cannot reload. Unit files are `file` resources; systemd reads them again before the unit is looked at.
    """

    restarted_by = ("active",)
    runtime = ("active",)
    awaits = ("daemon-reload",)

    name: str = identity(NAME, "The unit with its suffix, such as `nginx.service` or `getty@tty1.service`.")
    enabled: bool | None = option(BOOLEAN, "Whether it is started at boot, or by what its [Install] section names.")
    active: bool | None = option(BOOLEAN, "Whether it runs now.")
    masked: bool | None = option(BOOLEAN, "Whether nothing can start it; a unit that does not exist can be masked too.")
    restart_on: tuple[str, ...] = option(RESOURCE_IDS, "Restart it when one of these changed.", ())
    reload_on: tuple[str, ...] = option(RESOURCE_IDS, "Reload it when one of these changed.", ())

    def problems(self) -> Sequence[str]:
        """Find names that no one unit can have, and wishes that contradict each other or the agent's own life."""
        if problem := _name_problem(self.name):
            return (problem,)
        found = []
        if all(value is None for value in (self.enabled, self.active, self.masked)) and not self._refreshes:
            found.append("says nothing; give one of enabled, active, masked, restart_on, reload_on")
        if self.masked and (self.enabled or self.active):
            found.append("`masked: true` keeps it from being enabled or active; keep one of them")
        if "@." in self.name and (self.active is not None or self._refreshes):
            found.append(
                f"`{self.name}` is a template, which never runs; name an instance such as {_instance(self.name)}"
            )
        if self.name in NEVER_STOPPED:
            if self._refreshes:
                found.append(f"the agent does not restart or reload {self.name} under itself; do it by hand")
            if self.active is False or self.masked:
                found.append(f"the agent does not stop or mask {self.name} under itself")
        return found

    @property
    def _refreshes(self) -> bool:
        return bool(self.restart_on or self.reload_on)

    def provides(self) -> Sequence[str]:
        """Its name."""
        return (f"unit:{self.name}",)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """Its unit file and drop-ins (its template's too), those of the service that it starts, and its package."""
        stem, _, suffix = self.name.rpartition(".")
        paths = paths_of(self.name)
        if started := _BROUGHT_BY.get(suffix):
            paths += paths_of(f"{stem}.{started}")
        directories = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
        keys = [
            f"in:{where}/{path}" if path.endswith(".d") else f"path:{where}/{path}"
            for where in directories
            for path in paths
        ]
        return (*((key,) for key in dict.fromkeys(keys)), (f"package:{stem.partition('@')[0]}",))

    def refresh_on(self) -> Mapping[str, tuple[str, ...]]:
        """What a change of others asks for."""
        return {"restart": self.restart_on, "reload": self.reload_on}

    def desired(self, observed: State) -> State:
        """The wishes, each resolved against the states that are as good on this unit (systemctl(1), is-enabled)."""
        unmasked = False if self.enabled or self.active else None
        wanted: dict[str, Value] = {"masked": unmasked if self.masked is None else self.masked}
        if self.enabled is not None:
            seen = observed.get("enabled")
            wanted["enabled"] = seen if seen in _ACCEPTED[self.enabled] else self.enabled
        if self.active is not None:
            good = observed.get("active") == (_ENDED if self.active else "failed")
            wanted["active"] = observed["active"] if good else self.active
        if observed.get("loaded") == "stale" or self.enabled or self.active:
            wanted["loaded"] = "current"
        return wanted

    def undo(self, prior: State) -> Self | None:
        """Go back to how it was; a unit that was not there is disabled and stopped, for its file leaves with it."""
        managed = {name for name, value in self.desired(prior).items() if value is not None}
        before = {name: value for name, value in prior.items() if name in managed and isinstance(value, bool)}
        if before.get("masked"):
            before = {name: value for name, value in before.items() if name == "masked" or not value}
        if not before:
            return None
        enabled, active, masked = (before.get(name) for name in ("enabled", "active", "masked"))
        return type(self)(name=self.name, enabled=enabled, active=active, masked=masked)

    def observe(self, host: HostView) -> State:
        """What systemd shows of it. Raises ResourceError."""
        found = self.observe_all(host, [self])[0]
        if isinstance(found, ResourceError):
            raise found
        return found

    def apply(self, host: Host, drift: Drift) -> None:
        """Enable, start, mask it, or the reverse. Raises ResourceError."""
        if error := self.apply_all(host, [(self, drift)])[0]:
            raise error

    def refresh(self, host: Host, action: str) -> None:
        """Restart or reload it if it runs. Raises ResourceError with the last lines of its journal."""
        from modules.unit_changes import refresh_unit

        if host.root == "/":
            refresh_unit(host, self.name, action)

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """Two or three calls of systemctl for all."""
        shown = look(host, list(dict.fromkeys(unit.name for unit in wanted)))
        return [
            _no_active(host) if host.root != "/" and unit.active is not None else unit.state(shown[unit.name])
            for unit in wanted
        ]

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """Unmask, enable and disable, mask, stop, start; each once for all units that need it."""
        from modules.unit_changes import converge_units

        return converge_units(host, {unit.name: unit for unit, _ in steps})

    def state(self, shown: Shown) -> Observation:
        """The properties of a unit as systemd shows it."""
        if self.active and (problem := _forgets(shown, will_be_enabled=bool(self.enabled))):
            return ResourceError(problem)
        active = _ACTIVE.get(shown.active, shown.active)
        if active is False and _ended_well(shown):
            active = _ENDED
        loaded = "current" if shown.load in ("loaded", "masked") else shown.load
        state: dict[str, Value] = {
            "enabled": _enabled(shown),
            "active": active,
            "masked": shown.load == "masked" or shown.file_state.startswith("masked"),
            "loaded": "stale" if shown.stale else loaded,
        }
        if shown.id != self.name:
            state["alias_of"] = shown.id
        return state


def _no_active(host: HostView) -> Unsupported:
    return Unsupported(
        f"no unit runs in the root {host.root}, so `active` cannot be held there; leave it out with `when`"
    )


def _enabled(shown: Shown) -> Value:
    if not shown.exists:
        return False
    return _ENABLED.get(shown.file_state, shown.file_state or "no unit file")


def _is_short(shown: Shown) -> bool:
    """Whether it is a oneshot, which is inactive again as soon as it has done its work."""
    return shown.detail("Type") == "oneshot" and shown.detail("RemainAfterExit") == "no" and shown.load == "loaded"


def _ended_well(shown: Shown) -> bool:
    return _is_short(shown) and shown.detail("Result") == "success" and bool(shown.detail("ExecMainStartTimestamp"))


def _forgets(shown: Shown, *, will_be_enabled: bool) -> str:
    """Why `active` cannot be held: systemd forgets a oneshot that nothing refers to, so it would run in every pass."""
    if not _is_short(shown) or shown.active != "inactive" or shown.is_referenced:
        return ""
    if will_be_enabled and shown.file_state == "disabled":
        return ""
    return (
        f"{shown.id} is a oneshot that systemd forgets as soon as it ended, so `active: true` would run it again and "
        "again; set RemainAfterExit=yes in it, enable it, or have a timer start it"
    )


def _instance(template: str) -> str:
    return template.replace("@.", "@NAME.")


def _name_problem(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    if not _NAME.fullmatch(name):
        return f"`{name}` is not the name of one unit: letters, digits and `:_.\\@-`, no globs and no paths"
    if not dot or not stem or suffix not in (*_SUFFIXES, "device", "scope"):
        return f"`{name}` has no suffix; give the full unit name, such as {name}.service"
    if suffix in ("device", "scope"):
        return f"`{name}` comes and goes with what it stands for; a {suffix} is not held by the agent"
    return ""
