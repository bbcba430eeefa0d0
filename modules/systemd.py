"""What systemd says of units, in systemd's own words; few calls, whatever the number of units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from modules.api import FileView, Host, HostView, ResourceError, Unsupported

NEVER_STOPPED = ("gitops-agent.service", "dbus.service", "dbus-broker.service", "systemd-logind.service")

_MANAGER = "/run/systemd/system"  # there when systemd is the running system manager (sd_booted(3))
_CHUNK = 500  # units in one command line
_PROPERTIES = (
    "Id,LoadState,LoadError,ActiveState,SubState,UnitFileState,FragmentPath,NeedDaemonReload,Type,RemainAfterExit,"
    "Result,ExecMainCode,ExecMainStatus,ExecMainStartTimestamp,WantedBy,RequiredBy,RequisiteOf,BoundBy,UpheldBy,TriggeredBy"
)
_REFERENCES = ("WantedBy", "RequiredBy", "RequisiteOf", "BoundBy", "UpheldBy", "TriggeredBy")
_PLAIN_STATES = ("enabled", "disabled", "static")  # unit file states that need no second look

_GENERATED = "/run/systemd/generator"  # made anew by each daemon-reload, before unit files are read
_DIRECTORIES = (  # where unit files of the system lie (systemd.unit(5)), but for what systemd itself writes
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)


@dataclass(frozen=True)
class Shown:
    """One unit as systemd shows it."""

    id: str  # its real name, when it was asked for by an alias
    load: str  # LoadState: loaded, not-found, masked, bad-setting, error
    active: str  # ActiveState
    file_state: str  # UnitFileState, as in systemctl(1) is-enabled; empty when no unit file is behind it
    stale: bool = False  # its files changed since systemd read them
    details: Mapping[str, str] | None = None  # properties; only of units that needed a closer look

    @property
    def exists(self) -> bool:
        """Whether systemd finds a unit of this name (a masked one counts)."""
        return self.load != "not-found"

    def detail(self, name: str) -> str:
        """One property; empty when it is not known."""
        return (self.details or {}).get(name, "")

    @property
    def is_referenced(self) -> bool:
        """Whether something loaded refers to it, so that systemd remembers how it last ended."""
        return any(self.detail(name) for name in _REFERENCES)


def look(host: HostView, names: Sequence[str]) -> dict[str, Shown]:
    """Look at units by name; in another root only their files are seen. Raises ResourceError.

    `systemctl show` makes systemd collect every property of every unit, 2 to 4 ms each. So units that two short lists
    show to be loaded, active and plainly enabled or not are taken from there, unless their files changed since
    systemd read them; all others are shown in full.
    """
    if host.root != "/" or not names:
        return {name: _shown_file(host, name) for name in names}
    _check_manager(host)
    running = {row[0]: row for row in _rows(host, ("list-units", "--all"), names)}
    files = {row[0]: row[1] for row in _rows(host, ("list-unit-files",), names)}
    plain = [
        name
        for name in names
        if running.get(name, [""])[1:3] == ["loaded", "active"] and files.get(name) in _PLAIN_STATES
    ]
    changed = _changed_since_load(host.files, plain)
    found = {name: Shown(name, "loaded", "active", files[name]) for name in plain if name not in changed}
    return found | look_closely(host, [name for name in names if name not in found])


def look_closely(host: HostView, names: Sequence[str]) -> dict[str, Shown]:
    """Look at every property that matters. Raises ResourceError."""
    found: dict[str, Shown] = {}
    for some in _chunks([name for name in names if host.root == "/" and "@." not in name]):
        blocks = host.probe("systemctl", "--no-pager", "show", f"--property={_PROPERTIES}", "--", *some).stdout
        for name, block in zip(some, blocks.rstrip("\n").split("\n\n"), strict=True):
            found[name] = _shown(dict(line.partition("=")[::2] for line in block.splitlines()))
    # A template is a file and no unit; systemd has nothing to show of it.
    return found | {name: _shown_file(host, name) for name in names if name not in found}


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
    """What `systemctl is-enabled` says of a unit file, in any root."""
    said = host.probe("systemctl", *in_root(host), "is-enabled", "--", name, accept=(0, 1, 4)).stdout.strip()
    state = "" if said == "not-found" else said
    load = "masked" if state.startswith("masked") else "loaded" if state else "not-found"
    return Shown(name, load, "inactive", state)


def journal_lines(host: HostView, name: str, count: int = 5) -> str:
    """The last lines of a unit's journal. Raises ResourceError."""
    options = (f"--lines={count}", "--no-pager", "--output=cat", "--quiet")
    return host.probe("journalctl", "--unit", name, *options, accept=(0, 1)).stdout.strip()


def _rows(host: HostView, verb: tuple[str, ...], names: Sequence[str]) -> Iterator[list[str]]:
    for some in _chunks(names):
        listed = host.probe("systemctl", "--no-pager", "--plain", "--no-legend", *verb, "--full", "--", *some)
        yield from (row for line in listed.stdout.splitlines() if (row := line.split(None, 4)))


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))


def _shown(properties: Mapping[str, str]) -> Shown:
    return Shown(
        properties["Id"],
        properties["LoadState"],
        properties["ActiveState"],
        properties.get("UnitFileState", ""),
        properties.get("NeedDaemonReload") == "yes",
        properties,
    )


def _changed_since_load(files: FileView, names: Sequence[str]) -> set[str]:
    """Those whose unit file or drop-ins may have changed since systemd read them: only systemd can tell for sure."""
    generated = files.lstat(_GENERATED)
    if generated is None:
        return set(names)
    changed: set[str] = set()
    for directory in _DIRECTORIES:
        found = files.lstat(directory)
        if found is None:
            continue
        if found.ctime_ns >= generated.ctime_ns:
            return set(names)  # something came or went, and it could be anybody's
        entries = set(files.listdir(directory))
        changed |= {
            name
            for name in names
            if any(
                _is_newer(files, f"{directory}/{path}", generated.ctime_ns)
                for path in paths_of(name)
                if path in entries
            )
        }
    return changed


def _is_newer(files: FileView, path: str, than_ns: int) -> bool:
    found = files.lstat(path)
    if found is None:
        return False
    if found.type == "directory":
        inner = (f"{path}/{name}" for name in files.listdir(path))
        return found.ctime_ns >= than_ns or any(_is_newer(files, name, than_ns) for name in inner)
    return found.type == "symlink" or found.ctime_ns >= than_ns  # the file behind a link may change unseen


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
