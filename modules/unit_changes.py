"""Changes of units: each step once for all units that need it, and errors that say what the unit itself said."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from modules.api import Host, Interrupted, Observation, ResourceError, State, Withheld
from modules.systemd import Shown, condition_fails, daemon_reload, in_root, look_closely, under_us
from modules.unit_failure import (
    failure,
    is_failing,
    last_words,
    missing,
    reason,
    steady,
    to_be_watched,
    watched,
)
from modules.unit_text import ABSENT, DIRECTORY, OwnText, is_ours, write

_REFRESH_VERBS = {"restart": "try-restart", "reload": "try-reload-or-restart", "only-reload": "reload"}


@dataclass(frozen=True)
class Refresh:
    """A restart or reload that a unit is owed."""

    action: str  # a key of _REFRESH_VERBS
    timeout_seconds: float
    tries: bool = False  # a unit that has failed is owed nothing


class Wish(Protocol):
    """What Git says of one unit."""

    @property
    def text(self) -> OwnText:
        """The files that it brings."""

    @property
    def timeout(self) -> int:
        """Seconds that its jobs may take."""

    @property
    def own_refresh(self) -> str:
        """What a change of its files asks for."""

    def withholds(self, action: str) -> str:
        """Why that is left to a person."""

    def desired(self, observed: State) -> State:
        """The properties Git wants."""

    def state(self, shown: Shown) -> Observation:
        """The properties of the unit as systemd shows it."""


def converge_units(host: Host, wishes: Mapping[str, Wish]) -> list[ResourceError | None]:
    """Bring units, by name, to what is wished; an error for each that failed."""
    changes = _Changes(host, wishes)
    changes.run()
    return [changes.errors.get(name) for name in wishes]


def refresh_unit(host: Host, name: str, refresh: Refresh) -> None:
    """Restart or reload a unit if it runs. Raises ResourceError with the last lines of its journal, or Withheld."""
    action = refresh.action
    shown = look_closely(host, [name])[name]
    if not shown.exists:
        raise ResourceError(missing(name))
    if reason := under_us(shown.id, action.removeprefix("only-")):
        raise Withheld(reason)
    if shown.active == "failed" and not refresh.tries:
        raise ResourceError(
            f"{shown.id} has failed and is not started by a {action.removeprefix('only-')}: {failure(host, shown, '')}"
        )
    if shown.active in ("inactive", "failed"):
        return
    if shown.stale:
        daemon_reload(host)
    try:
        if action == "restart":  # else its count of starts could refuse this one
            host.run("systemctl", "reset-failed", "--", shown.id)
        host.run_job("systemctl", _REFRESH_VERBS[action], "--", shown.id, timeout_seconds=refresh.timeout_seconds)
    except Interrupted:
        raise
    except ResourceError as error:
        raise ResourceError(
            failure(host, look_closely(host, [name])[name], action, str(error).partition(": ")[2])
        ) from error
    restarts = 0 if action == "restart" else shown.restarts
    after = steady(host, [name], restarts)[name]
    if is_failing(after, restarts):
        raise ResourceError(failure(host, after, action))


class _Changes:
    """One batch of units: what systemd shows of them now, and what went wrong."""

    def __init__(self, host: Host, wishes: Mapping[str, Wish]) -> None:
        self.errors: dict[str, ResourceError] = {}
        self._host = host
        self._wishes = wishes
        self._shown = look_closely(host, list(wishes))
        self._written: Sequence[str] = ()  # those whose files were changed just now
        self._unread = False  # whether something on disk was changed that systemd has not read

    def run(self) -> None:
        """All that lies on disk is changed first, then systemd reads it once, and then units are started by it."""
        written = self._written = self._write()
        self._look_again(written)
        others = [shown for name, shown in self._shown.items() if name not in written]
        if any(shown.stale or shown.load not in ("loaded", "masked") for shown in others):
            self._reload()
        masked = self._drifting("masked", to=False)
        self._each(("unmask",), masked)
        self._each(("unmask", "--runtime"), masked)
        if masked:
            self._reload()
        self._refuse(written)
        to_disable = self._to_disable()
        self._each(("disable",), to_disable)
        self._each(("disable", "--runtime"), to_disable)
        # What its [Install] section says may have changed with it.
        self._each(("reenable",), [name for name in written if self._is_enabled(name)])
        self._each(("enable",), self._drifting("enabled", to=True))
        self._move("stop", self._drifting("active", to=False))
        self._remove()
        self._each(("mask",), self._drifting("masked", to=True))
        if self._unread:
            self._reload()
        self._refuse_unloadable()
        self._start(self._drifting("active", to=True))

    def _write(self) -> list[str]:
        """Write texts that differ; the units whose files changed."""
        entries = frozenset(self._host.files.listdir(DIRECTORY))
        differing = {}
        for name, wish in self._wishes.items():
            try:
                seen = wish.text.observe(self._host.files, entries)
            except ResourceError as error:
                self.errors[name] = error
                continue
            wanted = wish.text.desired(seen).items()
            if any(want not in (None, ABSENT, seen[key]) for key, want in wanted):
                differing[name] = wish.text
        self._unread = bool(differing)
        self.errors |= write(self._host, list(differing.values()))
        return [name for name in differing if name not in self.errors]

    def _remove(self) -> None:
        """Remove unit files of ours that Git no longer wants; units that failed are forgotten with them."""
        files = self._host.files
        going = [
            name
            for name, wish in self._wishes.items()
            if name not in self.errors and wish.text.content is None and is_ours(files, wish.text.path)
        ]
        failed = [self._shown[name].id for name in going if self._shown[name].active == "failed"]
        for name in going:
            files.unlink(self._wishes[name].text.path)
        if failed:
            self._host.run("systemctl", "reset-failed", "--", *failed, accept=(0, 1))
        self._unread = self._unread or bool(going)

    def _reload(self) -> None:
        daemon_reload(self._host)
        self._unread = False
        self._look_again(list(self._wishes))

    def _is_enabled(self, name: str) -> bool:
        wish, shown = self._wishes[name], self._shown[name]
        return shown.file_state == "enabled" and wish.desired({"enabled": True}).get("enabled") is True

    def _look_again(self, names: Sequence[str]) -> None:
        self._shown |= look_closely(self._host, names)

    def _drift(self, name: str) -> State:
        """What still differs; a unit that cannot be observed any more has failed."""
        seen = self._wishes[name].state(self._shown[name])
        if isinstance(seen, ResourceError):
            if not self._unread:  # else what it says may be of the past
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

    def _refuse(self, written: Collection[str]) -> None:
        """Leave out what nothing can be done with."""
        for name, shown in self._shown.items():
            drift = {} if name in self.errors else self._drift(name)
            path = f"{DIRECTORY}/{shown.id}"
            if drift.get("masked") and shown.id != name:
                self.errors[name] = ResourceError(f"{name} is another name of {shown.id}; declare that one as masked")
            elif drift.get("masked") and self._host.files.lstat(path) and not is_ours(self._host.files, path):
                self.errors[name] = ResourceError(
                    f"{name} cannot be masked, for its unit file is in {DIRECTORY}, where the mask would be; "
                    "disable and stop it, or have the file in /usr/local/lib/systemd/system"
                )
            elif drift.get("masked") is False:
                message = (
                    f"{name} is still masked, by a file that is not systemctl's to remove; see systemctl cat {name}"
                )
                self.errors[name] = ResourceError(message)
            elif "loaded" in drift and not shown.exists and name not in written:
                self.errors[name] = ResourceError(missing(name))
            elif drift.get("enabled") and shown.load == "error":
                self.errors[name] = self._unloadable(name)

    def _refuse_unloadable(self) -> None:
        for name, shown in self._shown.items():
            drift = {} if name in self.errors else self._drift(name)
            if "loaded" in drift and shown.load != "loaded":
                self.errors[name] = self._unloadable(name)

    def _unloadable(self, name: str) -> ResourceError:
        shown = self._shown[name]
        said = shown.detail("LoadError").partition(" ")[2].strip('"')
        return ResourceError(f"systemd cannot load {name}: {said or shown.load}{last_words(self._host, shown)}")

    def _each(self, verb: tuple[str, ...], names: Sequence[str]) -> None:
        """Do it for all at once, and for each alone when that fails."""
        if not names:
            return
        ids = [self._shown[name].id for name in names]
        try:
            self._host.run("systemctl", "--quiet", "--no-reload", *in_root(self._host), *verb, "--", *ids)
        except ResourceError as error:
            if len(names) == 1:
                self.errors[names[0]] = error
            else:
                for name in names:
                    self._each(verb, [name])
                return
        self._unread = True
        self._look_again(names)

    def _start(self, names: Sequence[str]) -> None:
        """Start them, and say why those had failed that run now."""
        died = {name: reason(self._host, self._shown[name]) for name in names if is_failing(self._shown[name])}
        self._move("start", names)
        for name, why in died.items():
            if name not in self.errors and why:
                self._host.note(f"{self._shown[name].id} had failed: {why}; it was started again")

    def _move(self, verb: str, names: Sequence[str]) -> None:
        """Start or stop all at once, then judge each by what became of it, whatever systemctl said."""
        if not names:
            return
        timeout = max(self._wishes[name].timeout for name in names)
        before = {name: self._shown[name] for name in names}
        said, interrupted = "", None
        for words, ids in self._jobs(verb, names):
            try:
                self._host.run_job("systemctl", *words, "--", *ids, timeout_seconds=timeout)
            except Interrupted as error:
                interrupted = error
            except ResourceError as error:
                said += str(error).partition(": ")[2] + "\n"
        self._look_again(names)
        if verb == "start":
            self._shown |= steady(self._host, names) | watched(self._host, *to_be_watched(before))
        for name in names:
            shown = self._shown[name]
            if verb == "start" and is_failing(shown):
                self.errors[name] = ResourceError(failure(self._host, shown, verb, said))
        for name in self._drifting("active", to=verb == "start"):
            if name in names and not (verb == "start" and condition_fails(self._host, self._shown[name])):
                self.errors[name] = interrupted or ResourceError(failure(self._host, self._shown[name], verb, said))

    def _jobs(self, verb: str, names: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
        """Words for systemctl, each with the units they are for."""
        shown = [self._shown[name] for name in names]
        # A start of what waits to be restarted would only wait with it; and the count of failed starts could refuse it.
        waiting = [one.id for one in shown if verb == "start" and (one.waits_to_restart or one.keeps_failing)]
        failed = [one.id for one in shown if verb == "start" and one.active == "failed"]
        outdated = [self._shown[name].id for name in names if verb == "start" and self._starts_by_old_text(name)]
        again = [*waiting, *outdated]
        others = [one.id for one in shown if one.id not in again]
        plan = [(["reset-failed"], [*failed, *waiting]), (["restart"], again), ([verb], others)]
        return ((words, ids) for words, ids in plan if ids)

    def _starts_by_old_text(self, name: str) -> bool:
        """Whether it is still starting by what its files said before: a start would only wait for that."""
        wish, shown = self._wishes[name], self._shown[name]
        starting = shown.active == "activating" and not shown.waits_to_restart
        return starting and name in self._written and wish.own_refresh == "restart" and not wish.withholds("restart")
