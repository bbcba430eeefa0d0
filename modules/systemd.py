"""What systemd says of units, in systemd's own words; few calls, whatever the number of units."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from modules.api import FileView, Host, HostView, Unsupported

NEVER_STOPPED = ("gitops-agent.service", "dbus.service", "dbus-broker.service", "systemd-logind.service")
NEVER_RESTARTED = (*NEVER_STOPPED, "systemd-networkd.service", "NetworkManager.service", "networking.service")

_MANAGER = "/run/systemd/system"  # there when systemd is the running system manager (sd_booted(3))
_CHUNK = 500  # units in one command line
_REFERENCES = ("WantedBy", "RequiredBy", "RequisiteOf", "BoundBy", "UpheldBy", "TriggeredBy")
_PROPERTIES = (
    *("Id", "LoadState", "LoadError", "ActiveState", "SubState", "NeedDaemonReload", "DropInPaths"),
    *("Type", "RemainAfterExit", "Result", "ExecMainStatus", "ExecMainStartTimestamp", "NRestarts", "Job"),
    *("ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic", "ActiveEnterTimestampMonotonic"),
    *("InactiveExitTimestampMonotonic", *_REFERENCES),
)
_COMMANDS = (  # what a unit runs, in this order (systemd.service(5), systemd.mount(5), systemd.socket(5), systemd.swap(5))
    *("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPre"),
    *("ExecStopPost", "ExecMount", "ExecUnmount", "ExecRemount", "ExecActivate", "ExecDeactivate"),
)
_INVOCATIONS = "/run/systemd/units"  # links that are made anew whenever a unit is started
LATELY_SECONDS = 60  # how long a unit that systemd has started again is not taken for one that runs well
_GENERATED = "/run/systemd/generator"  # made anew by each daemon-reload, before unit files are read
_CONFIGURED = "/etc/systemd/system"
_DIRECTORIES = (  # where unit files of the system lie (systemd.unit(5)), but for what systemd itself writes
    _CONFIGURED,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
_LINKS = (".wants", ".requires", ".upholds")


@dataclass(frozen=True)
class Shown:
    """One unit as systemd shows it."""

    id: str  # its real name, when it was asked for by an alias
    load: str  # LoadState: loaded, not-found, masked, bad-setting, error
    active: str  # ActiveState
    file_state: str  # as in systemctl(1), is-enabled; empty when no unit file is behind it
    stale: bool = False  # its files changed since systemd read them
    details: Mapping[str, str] | None = None  # properties; only of units that needed a closer look

    @property
    def exists(self) -> bool:
        """Whether systemd finds a unit of this name (a masked one counts)."""
        return self.load != "not-found"

    @property
    def waits_to_restart(self) -> bool:
        """Whether it died, and systemd will start it again by itself after a while."""
        return self.detail("SubState").startswith("auto-restart")

    @property
    def restarts(self) -> int:
        """How often systemd has started it again by itself, since it was last started otherwise."""
        return int(self.detail("NRestarts") or 0)

    @property
    def keeps_failing(self) -> bool:
        """Whether it runs, and only because systemd has started it again a moment ago."""
        lately = time.monotonic() - self._at("ActiveEnter") < LATELY_SECONDS
        return self.active == "active" and self.restarts > 0 and lately

    @property
    def began_seconds(self) -> float:
        """When its last run began, by the monotonic clock; 0 when there was none."""
        return self._at("InactiveExit")

    @property
    def lived_seconds(self) -> float | None:
        """How long its main process ran that has ended; None while it runs, and when there was none."""
        began, ended = self._at("ExecMainStart"), self._at("ExecMainExit")
        return ended - began if 0 < began <= ended else None

    def _at(self, event: str) -> float:
        return int(self.detail(f"{event}TimestampMonotonic") or 0) / 1e6

    def detail(self, name: str) -> str:
        """One property; empty when it is not known."""
        return (self.details or {}).get(name, "")

    @property
    def is_referenced(self) -> bool:
        """Whether something loaded refers to it, so that systemd remembers how it last ended."""
        return any(self.detail(name) for name in _REFERENCES)


def look(host: HostView, names: Sequence[str]) -> dict[str, Shown]:
    """Look at units by name; in another root only their files are seen. Raises ResourceError.

    `systemctl show` has systemd collect every property of every unit, 2 to 4 ms each. So units that one short list
    shows to be loaded and active, and that a link enables, are taken from these, unless their files changed since
    systemd read them, or they were started a moment ago; all others are looked at closely.
    """
    if host.root != "/" or not names:
        return {name: _shown_file(host, name) for name in names}
    _check_manager(host)
    rows = {row[0]: row[1:3] for row in _rows(host, ("list-units", "--all"), names)}
    enabled = _enabled(host.files)
    plain = [name for name in names if name in enabled and rows.get(name) == ["loaded", "active"]]
    lately = _started_lately(host.files, plain)
    plain = [name for name in _unchanged(host.files, plain) if name not in lately]
    found = {name: Shown(name, "loaded", "active", "enabled") for name in plain}
    return found | look_closely(host, [name for name in names if name not in found])


def look_closely(host: HostView, names: Sequence[str]) -> dict[str, Shown]:
    """Look at every property that matters. Raises ResourceError."""
    shown: dict[str, Mapping[str, str]] = {}
    for some in _chunks([name for name in names if host.root == "/" and "@." not in name]):
        asked = f"--property={','.join(_PROPERTIES)}"
        blocks = host.probe("systemctl", "--no-pager", "show", asked, "--", *some).stdout.rstrip("\n").split("\n\n")
        for name, block in zip(some, blocks, strict=True):
            shown[name] = dict(line.partition("=")[::2] for line in block.splitlines())
    existing = [found["Id"] for found in shown.values() if found["LoadState"] != "not-found"]
    # Not from `show`, which goes on telling what systemd saw when it last read the files.
    states = {row[0]: row[1] for row in _rows(host, ("list-unit-files",), existing)}
    found = {}
    for name, properties in shown.items():
        real, load, active = properties["Id"], properties["LoadState"], properties["ActiveState"]
        state = states.get(real, "") if real in states or load == "not-found" else _file_state(host, real)
        stale = properties["NeedDaemonReload"] == "yes" or _has_unread_drop_in(host.files, real, properties)
        found[name] = Shown(real, load, active, state, stale, properties)
    # A template is a file and no unit; systemd has nothing to show of it.
    return found | {name: _shown_file(host, name) for name in names if name not in found}


def under_us(name: str, action: str) -> str:
    """Why the agent does not restart or reload a unit that it stands on itself; empty for all others."""
    if name not in NEVER_RESTARTED and not name.startswith("user@"):
        return ""
    return f"the agent does not {action} {name} under itself; when it suits: systemctl {action} {name}"


def entered_since(host: HostView, name: str, action: str, since: float) -> bool:
    """Whether a unit was started, or for a reload changed its state, after a time; true when it does not run."""
    stamp = "StateChangeTimestamp" if action == "reload" else "ActiveEnterTimestamp"
    asked = ("show", "--timestamp=unix", f"--property=ActiveState,{stamp}", "--", name)
    lines = host.probe("systemctl", "--no-pager", *asked).stdout.splitlines()
    shown = dict(line.partition("=")[::2] for line in lines)
    if shown["ActiveState"] in ("inactive", "failed"):
        return True
    return float(shown[stamp].removeprefix("@") or 0) > since


def condition_fails(host: HostView, shown: Shown) -> bool:
    """Whether a unit that does not run would be skipped, for a condition in its unit file does not hold now."""
    if shown.load != "loaded" or shown.active != "inactive":
        return False
    said = host.probe("systemd-analyze", "condition", f"--unit={shown.id}", accept=range(256))
    return "Conditions failed" in said.stdout + said.stderr


def daemon_reload(host: Host) -> None:
    """Make systemd read its unit files again; nothing to do where it does not run. Raises ResourceError."""
    if host.root == "/" and host.files.lstat(_MANAGER) is not None:
        host.run("systemctl", "daemon-reload")


def in_root(host: HostView) -> tuple[str, ...]:
    """The option that makes systemctl work on the files of the host's root."""
    return () if host.root == "/" else (f"--root={host.root}",)


def _check_manager(host: HostView) -> None:
    if host.files.lstat(_MANAGER) is None:
        raise Unsupported("units need systemd as the running system manager, and on this host it is not")


def _shown_file(host: HostView, name: str) -> Shown:
    """What the unit file alone says, in any root."""
    state = _file_state(host, name)
    load = "masked" if state.startswith("masked") else "loaded" if state else "not-found"
    return Shown(name, load, "inactive", state)


def _file_state(host: HostView, name: str) -> str:
    said = host.probe("systemctl", *in_root(host), "is-enabled", "--", name, accept=(0, 1, 4)).stdout.strip()
    return "" if said == "not-found" else said


def commands_of(host: HostView, name: str) -> Iterator[tuple[str, str]]:
    """What a unit runs, in order: the property that says so, and the command with how it last ended."""
    said = host.probe("systemctl", "--no-pager", "show", f"--property={','.join(_COMMANDS)}", "--", name).stdout
    lines = [line.partition("=")[::2] for line in said.splitlines()]
    return ((name, command) for name in _COMMANDS for shown, command in lines if shown == name)


def jobs_before(host: HostView, name: str) -> list[str]:
    """The units whose jobs a unit's own job waits for."""
    listed = host.probe("systemctl", "--no-pager", "--plain", "--no-legend", "list-jobs", "--before", "--", name).stdout
    found = (re.search(r"\((\S+)/\w[\w-]*\)", line) for line in listed.splitlines())
    return sorted({match[1] for match in found if match and match[1] != name})


def _rows(host: HostView, verb: tuple[str, ...], names: Sequence[str]) -> Iterator[list[str]]:
    for some in _chunks(names):
        asked = ("systemctl", "--no-pager", "--plain", "--no-legend", *verb, "--full", "--", *some)
        listed = host.probe(*asked, accept=(0, 1))  # 1 when there is none of them
        yield from (row for line in listed.stdout.splitlines() if (row := line.split(None, 4)))


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))


def _enabled(files: FileView) -> set[str]:
    """Units that a link in /etc enables, which is how systemd itself tells (systemctl(1), is-enabled)."""
    directories = [name for name in files.listdir(_CONFIGURED) if name.endswith(_LINKS)]
    return {name for directory in directories for name in files.listdir(f"{_CONFIGURED}/{directory}")}


def _unchanged(files: FileView, names: Sequence[str]) -> list[str]:
    """Those whose files surely did not change since systemd read them; of the others only systemd can tell."""
    generated = files.lstat(_GENERATED)
    if generated is None:
        return []
    changed: set[str] = set()
    there: set[str] = set()
    for directory in _DIRECTORIES:
        found = files.lstat(directory)
        if found is None:
            continue
        if found.ctime_ns >= generated.ctime_ns:
            return []  # something came or went, and it could be anybody's
        entries = set(files.listdir(directory))
        for name in names:
            paths = [path for path in paths_of(name) if path in entries]
            there |= {name for path in paths if not path.endswith(".d")}
            changed |= {name for path in paths if _is_newer(files, f"{directory}/{path}", generated.ctime_ns)}
    return [name for name in names if name in there and name not in changed]


def _started_lately(files: FileView, names: Sequence[str]) -> set[str]:
    since_ns = time.time_ns() - LATELY_SECONDS * 10**9
    found = files.lstat(_INVOCATIONS)
    if found is None or found.ctime_ns < since_ns:
        return set()
    links = {name: files.lstat(f"{_INVOCATIONS}/invocation:{name}") for name in names}
    return {name for name, link in links.items() if link is not None and link.ctime_ns >= since_ns}


def _is_newer(files: FileView, path: str, than_ns: int) -> bool:
    found = files.lstat(path)
    if found is None:
        return False
    if found.type == "directory":
        inner = (f"{path}/{name}" for name in files.listdir(path))
        return found.ctime_ns >= than_ns or any(_is_newer(files, name, than_ns) for name in inner)
    return found.type == "symlink" or found.ctime_ns >= than_ns  # the file behind a link may change unseen


def _has_unread_drop_in(files: FileView, name: str, properties: Mapping[str, str]) -> bool:
    """Whether a drop-in lies there that systemd has not read; version 252 does not tell of new directories."""
    if properties["LoadState"] != "loaded":
        return False
    read = {path.rpartition("/")[2] for path in properties["DropInPaths"].split()}
    return any(
        found.type == "file" and found.size > 0
        for directory in _DIRECTORIES
        for path in paths_of(name)
        if path.endswith(".d")
        for entry in files.listdir(f"{directory}/{path}")
        if entry.endswith(".conf") and entry not in read and (found := files.lstat(f"{directory}/{path}/{entry}"))
    )


def paths_of(name: str) -> list[str]:
    """The names that a unit's file and drop-in directories can have (systemd.unit(5)), most specific first."""
    stem, _, suffix = name.rpartition(".")
    names = [name]
    if "@" in stem:
        names.append(f"{stem.partition('@')[0]}@.{suffix}")
    prefixes = [stem.partition("@")[0]]
    while "-" in (prefix := prefixes[-1].rstrip("-")):
        prefixes.append(prefix.rpartition("-")[0] + "-")
    truncated = [f"{prefix}.{suffix}.d" for prefix in prefixes[1:]]
    return [*names, *(f"{file}.d" for file in names), *truncated, f"{suffix}.d"]
