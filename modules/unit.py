"""unit: hold one systemd unit enabled, active or masked, or not, and restart it when what it reads changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from modules.api import (
    Content,
    Drift,
    Host,
    HostView,
    Observation,
    Resource,
    ResourceError,
    State,
    Unsupported,
    Value,
    Withheld,
)
from modules.fields import (
    BOOLEAN,
    FILE_CONTENT,
    INTEGER,
    NAME,
    RESOURCE_IDS,
    TEMPLATE_CONTENT,
    TEXT_CONTENT,
    TEXT_CONTENTS,
    choice,
    identity,
    option,
)
from modules.systemd import NEVER_STOPPED, Shown, condition_fails, daemon_reload, entered_since, look, under_us
from modules.unit_names import dropin_problem, files_of, instance_of, name_problem, template_of
from modules.unit_state import AS_ACTIVE, AS_ENABLED, NOT_INSTALLABLE, UNMET, forgets, properties
from modules.unit_text import ABSENT, DIRECTORY, FOREIGN, OwnText

__all__ = ["ABSENT", "FOREIGN", "Unit", "daemon_reload"]


@dataclass(frozen=True, kw_only=True)
class Unit(Resource, kind="unit", identity="name"):
    """A systemd unit: its text, whether it starts at boot, runs now, or is masked, and when it is restarted or reloaded.

    A field that is left out is left alone. A unit without an [Install] section (`static`, `generated`, `transient`,
    `indirect`: systemctl(1), is-enabled) has nothing to enable or disable, so both are in sync; `enabled-runtime` is
    neither. `active: true` starts what is stopped or has failed, and is content with a oneshot that has run well since
    boot, and with a unit whose own conditions keep it from running. `enabled: true` and `active: true` unmask.

    `content`, `template` or `source` is the whole unit file, `dropins` are added to it or to what a package brings; they
    lie in /etc/systemd/system, begin with a line that says whose they are, and are gone when Git lets go of them. A
    unit file may be a `file` resource as well. systemd reads unit files again before the unit is looked at.

    A change of its own text restarts it, and one of a template's text its instances, unless `on_change` says otherwise.
    A refresh never starts a unit that is stopped. The agent itself, the bus, logind and what carries the network are never restarted under the agent: that
    they are owed a restart is said by `agentctl status` until somebody has restarted them.
    """

    restarted_by = ("active",)
    runtime = ("active",)
    refreshed_for = ("content", "dropins")
    diffed = ("content", "dropins")
    awaits = ("daemon-reload",)

    name: str = identity(NAME, "The unit with its suffix, such as `nginx.service` or `getty@tty1.service`.")
    content: Content | None = option(TEXT_CONTENT, "The text of its unit file.")
    template: Content | None = option(TEMPLATE_CONTENT, "A template of the repository that its unit file is.")
    source: Content | None = option(FILE_CONTENT, "A file of the repository that its unit file is.")
    dropins: Mapping[str, Content] | None = option(
        TEXT_CONTENTS, "Texts that add to its unit file or override it, by file name, such as `limits.conf`."
    )
    enabled: bool | None = option(BOOLEAN, "Whether it is started at boot, or by what its [Install] section names.")
    active: bool | None = option(BOOLEAN, "Whether it runs now.")
    masked: bool | None = option(BOOLEAN, "Whether nothing can start it; a unit that does not exist can be masked too.")
    restart_on: tuple[str, ...] = option(RESOURCE_IDS, "Restart it when one of these changed.", ())
    reload_on: tuple[str, ...] = option(
        RESOURCE_IDS, "Reload it when one of these changed; a unit that cannot reload is restarted.", ()
    )
    on_change: str = option(
        choice("restart", "try-restart", "reload-or-restart", "try-reload-or-restart", "reload", "report"),
        "What a change of its own text does: `restart` it, or have it reload (`reload-or-restart`: restarted if it cannot). "
        "One that has failed is an error then, which stays until it runs; with `try-restart` and `try-reload-or-restart` "
        "it is left as it is. With `reload` it is never restarted, whatever changed; with `report` it is left alone "
        "altogether, and status says what it is owed.",
        "restart",
    )
    timeout: int = option(INTEGER, "How many seconds it may take to start, stop, restart or reload.", 300)

    def problems(self) -> Sequence[str]:
        """Find names that no one unit can have, and wishes that contradict each other or the agent's own life."""
        if problem := name_problem(self.name):
            return (problem,)
        found = []
        wishes = (self.enabled, self.active, self.masked)
        refreshes = self.restart_on or self.reload_on
        says = refreshes or self.text.contents or self.dropins is not None
        if not says and all(value is None for value in wishes):
            found.append("says nothing; give one of content, dropins, enabled, active, masked, restart_on, reload_on")
        if self.masked and (self.enabled or self.active):
            found.append("`masked: true` keeps it from being enabled or active; keep one of them")
        found += self._text_problems()
        if self.timeout < 1:
            found.append("timeout must be at least 1 second")
        if "@." in self.name and (self.active is not None or refreshes):
            found.append(
                f"`{self.name}` is a template, which never runs; name an instance such as {instance_of(self.name)}"
            )
        if self.name in NEVER_STOPPED and (self.active is False or self.masked):
            found.append(f"the agent does not stop or mask {self.name} under itself")
        return found

    def _text_problems(self) -> Sequence[str]:
        given = [name for name in ("content", "template", "source") if getattr(self, name) is not None]
        found: list[str] = []
        if len(given) > 1:
            found.append(f"give only one of {' and '.join(given)}")
        if given and self.masked:
            found.append(f"`masked: true` stands where {given[0]} would be; keep one of them")
        if any(text.secret for text in self.text.contents.values()):
            found.append("a secret has no place in a unit's text, which everybody can read; use an EnvironmentFile")
        return [*found, *filter(None, map(dropin_problem, self.dropins or ()))]

    @property
    def text(self) -> OwnText:
        """The files that it brings."""
        return OwnText(self.name, self.content or self.template or self.source, self.dropins or {})

    def provides(self) -> Sequence[str]:
        """Its name, and the files that it brings."""
        files = (key for path in self.text.contents for key in (f"path:{path}", f"content:{path}"))
        return (f"unit:{self.name}", *files)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """Its unit file and drop-ins (its template's too), those of the service that it starts, and its package."""
        package = self.name.rpartition(".")[0].partition("@")[0]
        template = [(f"unit:{name}",)] if (name := template_of(self.name)) else []
        return (*template, *((key,) for key in files_of(self.name)), (f"package:{package}",))

    def refresh_on(self) -> Mapping[str, tuple[str, ...]]:
        """What a change of others asks for."""
        return {"restart": self.restart_on, "reload": self.reload_on}

    def text_of(self) -> Sequence[str]:
        """Itself, and the template of an instance; a template itself never runs."""
        names = [] if "@." in self.name else [self.name, *filter(None, [template_of(self.name)])]
        return [f"unit:{name}" for name in names]

    @property
    def own_refresh(self) -> str:
        """What a change of its text asks for."""
        return "reload" if "reload" in self.on_change else "restart"

    def withholds(self, action: str) -> str:
        """Why it is left alone: it was asked for, or the agent stands on it."""
        if self.on_change == "report":
            return f"left to you by `on_change: report`: systemctl {action} {self.name}"
        return under_us(self.name, action)

    def refreshed_since(self, host: HostView, action: str, since: float) -> bool:
        """Whether it was started (or reloaded) since, by whomever. What is stopped reads all when it is started."""
        return host.root != "/" or entered_since(host, self.name, action, since)

    def is_refreshed_by(self, observed: State, drift: Drift) -> bool:
        """Whether it was started, and not only waited for: what is starting is restarted for its own text alone."""
        own = not set(drift).isdisjoint(self.refreshed_for) and self.own_refresh == "restart"
        waited_for = self.is_under_way(observed) and (not own or bool(self.withholds("restart")))
        return super().is_refreshed_by(observed, drift) and not waited_for

    def is_under_way(self, observed: State) -> bool:
        """Whether it is starting: with what it was started with."""
        return bool(self.active) and observed.get("active") == "activating"

    def remark(self, observed: State) -> str:
        """What a wish that is in sync did not do."""
        if self.active and observed.get("active") == UNMET:
            return "it does not run, for a condition in its unit file is not met"
        if self.enabled and observed.get("enabled") in NOT_INSTALLABLE:
            return (
                f"`enabled: true` does nothing: it is {observed['enabled']}, with no [Install] section to enable it by"
            )
        return ""

    def desired(self, observed: State) -> State:
        """The wishes, each resolved against the states that are as good on this unit (systemctl(1), is-enabled)."""
        unmasked = False if self.enabled or self.active else None
        wanted: dict[str, Value] = {"masked": unmasked if self.masked is None else self.masked}
        if self.enabled is not None:
            seen = observed.get("enabled")
            wanted["enabled"] = seen if seen in AS_ENABLED[self.enabled] else self.enabled
        if self.active is not None:
            seen = observed.get("active")
            wanted["active"] = seen if seen in AS_ACTIVE[self.active] else self.active
        if observed.get("loaded") == "stale" or self.enabled or self.active:
            wanted["loaded"] = "current"
        return self.text.desired(observed) | wanted

    def undo(self, prior: State) -> Self | None:
        """It goes back to how it was: what it brought is gone, and a unit that was not there is stopped and disabled."""
        managed = {name for name, value in self.desired(prior).items() if value is not None}
        stopped = (
            {"active": False} if prior.get("active") in AS_ACTIVE[False] else {}
        )  # one that had failed did not run
        before = {
            name: value for name, value in {**prior, **stopped}.items() if name in managed and isinstance(value, bool)
        }
        if self.text.content and (prior.get("loaded") == "not-found" or prior.get("enabled") == "no unit file"):
            before |= {"enabled": False} if "@." in self.name else {"enabled": False, "active": False}
        if before.get("masked"):
            before = {name: value for name, value in before.items() if name == "masked" or not value}
        kept = self._kept(prior)
        if not before and kept.text.contents == self.text.contents:
            return None
        enabled, active, masked = (before.get(name) for name in ("enabled", "active", "masked"))
        name = self.name if self.text.contents else str(prior.get("alias_of", self.name))  # the alias may be gone
        return replace(kept, name=name, enabled=enabled, active=active, masked=masked)

    def _kept(self, prior: State) -> Self:
        """It with only those of its texts in whose place there was something before: that is lost, so ours stay."""
        existed = {str(line).partition(" ")[0] for line in _lines(prior.get("dropins"))}
        dropins = {name: text for name, text in self.text.dropins.items() if name in existed}
        # That ours are to go is something to say.
        nothing: dict[str, Content] | None = {} if self.text.contents else None
        content = self.text.content if prior.get("content", ABSENT) != ABSENT else None
        return type(self)(name=self.name, content=content, dropins=dropins or nothing, timeout=self.timeout)

    def refresh(self, host: Host, action: str) -> None:
        """Restart or reload it if it runs. Raises ResourceError with the last lines of its journal, or Withheld."""
        from modules.unit_changes import Refresh, refresh_unit

        if reason := self.withholds(action):
            raise Withheld(reason)
        if host.root == "/":
            verb = "only-reload" if self.on_change == "reload" else action
            refresh_unit(host, self.name, Refresh(verb, self.timeout, tries=self.on_change.startswith("try-")))

    def contents(self, host: HostView, drift: Drift) -> tuple[bytes, bytes] | None:
        """Its files as `systemctl cat` shows them."""
        return self.text.shown(host) if {"content", "dropins"}.intersection(drift) else None

    def recover(self, host: Host) -> None:
        """Remove temporary files."""
        for path in self.text.contents:
            host.files.sweep(path)

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """Two or three calls of systemctl for all."""
        shown = look(host, list(dict.fromkeys(unit.name for unit in wanted)))
        entries = frozenset(host.files.listdir(DIRECTORY))
        return [unit._look(host, shown[unit.name], entries) for unit in wanted]  # noqa: SLF001  (its own class)

    def _look(self, host: HostView, shown: Shown, entries: Collection[str]) -> Observation:
        if host.root != "/" and self.active is not None:
            return _no_active(host)
        state = self.state(shown)
        if isinstance(state, ResourceError):
            return state
        if self.active and state["active"] is False and condition_fails(host, shown):
            state = {**state, "active": UNMET}
        try:
            return {**state, **self.text.observe(host.files, entries)}
        except ResourceError as error:
            return error

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """Write, unmask, disable, stop, remove, mask, enable, start; each once for all units that need it."""
        from modules.unit_changes import converge_units

        return converge_units(host, {unit.name: unit for unit, _ in steps})

    def state(self, shown: Shown) -> Observation:
        """The properties of a unit as systemd shows it."""
        if self.active and (problem := forgets(shown, will_be_enabled=bool(self.enabled))):
            return ResourceError(problem)
        return properties(shown, self.name)


def _lines(value: Value) -> Sequence[str]:
    return value if isinstance(value, tuple) else ()


def _no_active(host: HostView) -> Unsupported:
    return Unsupported(
        f"no unit runs in the root {host.root}, so `active` cannot be held there; leave it out with `when`"
    )
