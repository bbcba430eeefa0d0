"""Changes of units: each step once for all units that need it, and errors that say what the unit itself said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from modules.api import Host, Observation, ResourceError, State
from modules.systemd import NEVER_STOPPED, Shown, daemon_reload, in_root, journal_lines, look_closely

_JOB_TIMEOUT_SECONDS = 300
_MASKS = "/etc/systemd/system"
_REFRESH_VERBS = {"restart": "try-restart", "reload": "try-reload-or-restart"}


class Wish(Protocol):
    """What Git says of one unit."""

    def desired(self, observed: State) -> State:
        """The properties Git wants."""

    def state(self, shown: Shown) -> Observation:
        """The properties of the unit as systemd shows it."""


def converge_units(host: Host, wishes: Mapping[str, Wish]) -> list[ResourceError | None]:
    """Bring units, by name, to what is wished; an error for each that failed."""
    changes = _Changes(host, wishes)
    changes.run()
    return [changes.errors.get(name) for name in wishes]


def refresh_unit(host: Host, name: str, action: str) -> None:
    """Restart or reload a unit if it runs. Raises ResourceError with the last lines of its journal."""
    shown = look_closely(host, [name])[name]
    if not shown.exists:
        raise ResourceError(_missing(name))
    if shown.id in NEVER_STOPPED:
        raise ResourceError(f"the agent does not {action} {shown.id} under itself; do it by hand")
    if shown.active in ("inactive", "failed"):
        return
    try:
        host.run("systemctl", _REFRESH_VERBS[action], "--", shown.id, timeout_seconds=_JOB_TIMEOUT_SECONDS)
    except ResourceError as error:
        raise ResourceError(_failure(host, look_closely(host, [name])[name], action, str(error))) from error
    after = look_closely(host, [name])[name]
    if _is_failing(after):
        raise ResourceError(_failure(host, after, action))


class _Changes:
    """One batch of units: what systemd shows of them now, and what went wrong."""

    def __init__(self, host: Host, wishes: Mapping[str, Wish]) -> None:
        self.errors: dict[str, ResourceError] = {}
        self._host = host
        self._wishes = wishes
        self._shown = look_closely(host, list(wishes))

    def run(self) -> None:
        if any(unit.stale or unit.load not in ("loaded", "masked") for unit in self._shown.values()):
            daemon_reload(self._host)
            self._look_again(list(self._wishes))
        self._each(("unmask",), self._drifting("masked", to=False))
        self._each(("unmask", "--runtime"), self._drifting("masked", to=False))
        self._refuse_unusable()
        self._each(("enable",), self._drifting("enabled", to=True))
        self._each(("disable",), self._to_disable())
        self._each(("disable", "--runtime"), self._to_disable())
        self._each(("mask",), self._drifting("masked", to=True))
        self._move("stop", self._drifting("active", to=False))
        self._move("start", self._drifting("active", to=True))

    def _look_again(self, names: Sequence[str]) -> None:
        self._shown |= look_closely(self._host, names)

    def _drift(self, name: str) -> State:
        """What still differs; a unit that cannot be observed any more has failed."""
        seen = self._wishes[name].state(self._shown[name])
        if isinstance(seen, ResourceError):
            self.errors[name] = seen
            return {}
        wanted = self._wishes[name].desired(seen)
        return {key: want for key, want in wanted.items() if want is not None and seen.get(key) != want}

    def _drifting(self, key: str, *, to: bool) -> list[str]:
        return [name for name in self._wishes if name not in self.errors and self._drift(name).get(key) is to]

    def _to_disable(self) -> list[str]:
        """Those to disable; also before masking, which would leave their links for the day they are unmasked."""
        enabled = ("enabled", "enabled-runtime")
        masking = [name for name in self._drifting("masked", to=True) if self._shown[name].file_state in enabled]
        return list(dict.fromkeys([*self._drifting("enabled", to=False), *masking]))

    def _refuse_unusable(self) -> None:
        for name, shown in self._shown.items():
            drift = self._drift(name)
            if drift.get("masked") and self._host.files.lstat(f"{_MASKS}/{shown.id}"):
                self.errors[name] = ResourceError(
                    f"{name} cannot be masked, for its unit file is in {_MASKS}, where the mask would be; "
                    "disable and stop it, or have the file in /usr/local/lib/systemd/system"
                )
            if drift.get("masked") is False:
                message = (
                    f"{name} is still masked, by a file that is not systemctl's to remove; see systemctl cat {name}"
                )
                self.errors[name] = ResourceError(message)
            elif "loaded" in drift and not shown.exists:
                self.errors[name] = ResourceError(_missing(name))
            elif "loaded" in drift and shown.load != "loaded":
                said = shown.detail("LoadError").partition(" ")[2].strip('"')
                message = f"systemd cannot load {name}: {said or shown.load}"
                self.errors[name] = ResourceError(message + _last_words(self._host, shown.id))

    def _each(self, verb: tuple[str, ...], names: Sequence[str]) -> None:
        """Do it for all at once, and for each alone when that fails."""
        if not names:
            return
        ids = [self._shown[name].id for name in names]
        try:
            self._host.run("systemctl", "--quiet", *in_root(self._host), *verb, "--", *ids)
        except ResourceError as error:
            if len(names) == 1:
                self.errors[names[0]] = error
            else:
                for name in names:
                    self._each(verb, [name])
                return
        self._look_again(names)

    def _move(self, verb: str, names: Sequence[str]) -> None:
        """Start or stop all at once, then judge each by what became of it, whatever systemctl said."""
        if not names:
            return
        ids = [self._shown[name].id for name in names]
        failed = [self._shown[name].id for name in names if verb == "start" and self._shown[name].active == "failed"]
        said = ""
        try:
            if failed:  # else its count of failed starts could refuse this one
                self._host.run("systemctl", "reset-failed", "--", *failed)
            self._host.run("systemctl", verb, "--", *ids, timeout_seconds=_JOB_TIMEOUT_SECONDS)
        except ResourceError as error:
            said = str(error)
        self._look_again(names)
        for name in self._drifting("active", to=verb == "start"):
            if name in names:
                self.errors[name] = ResourceError(_failure(self._host, self._shown[name], verb, said))


def _missing(name: str) -> str:
    return f"unit {name} does not exist on this host; declare the file or the package that brings it, or check the name"


def _is_failing(shown: Shown) -> bool:
    return shown.active == "failed" or shown.detail("SubState") == "auto-restart"


def _failure(host: Host, shown: Shown, verb: str, said: str = "") -> str:
    """Why a unit did not do what it was told: its result, else what systemctl said, and its last words."""
    result = _result(shown)
    if not result:
        lines = said.partition(": ")[2].splitlines()
        result = "; ".join(line for line in lines if shown.id in line and not line.startswith("See "))
    if not result:
        result = f"it is {shown.active} without having failed; a condition of it is not met, or it ended at once"
    return f"{verb} of {shown.id} failed: {result}{_last_words(host, shown.id)}"


def _result(shown: Shown) -> str:
    """How it failed, from its Result property (org.freedesktop.systemd1(5)); empty when it did not."""
    if shown.active in ("activating", "deactivating") and not _is_failing(shown):
        return f"it is still {shown.active} ({shown.detail('SubState')})"
    result, status = shown.detail("Result"), shown.detail("ExecMainStatus")
    if result in ("", "success"):
        return ""
    if result == "exit-code":
        return f"exit status {status}"
    return f"killed by signal {status}" if result in ("signal", "core-dump") else result


def _last_words(host: Host, name: str) -> str:
    try:
        host.run("journalctl", "--sync", timeout_seconds=10)  # what it said last may still be on its way
        lines = journal_lines(host, name)
    except ResourceError as error:
        return f"; its journal cannot be read: {error}"
    return f"; its journal ends:\n{lines}" if lines else "; its journal is empty"
