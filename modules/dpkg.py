"""dpkg's database: what is installed, from one read whatever the number of packages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from modules.api import HostView, Unsupported

STATUS = "/var/lib/dpkg/status"
_UPDATES = "/var/lib/dpkg/updates"  # what a running or interrupted dpkg has not yet folded into the status file
_FIELDS = ("Package", "Status", "Architecture", "Version", "Provides")
_AS_STATUS_FILE = "".join(f"{field}: ${{{field}}}\n" for field in _FIELDS) + "\n"


@dataclass(frozen=True)
class Known:
    """One package that dpkg knows, in dpkg's words (dpkg-query(1), "Package States")."""

    name: str
    architecture: str
    version: str
    wish: str  # install, hold, deinstall, purge, unknown
    flag: str  # ok, or reinstreq when it is too broken to go on with
    status: str  # installed, config-files, half-installed, unpacked, half-configured, triggers-*

    @property
    def is_whole(self) -> bool:
        """Whether it is unpacked and configured; pending triggers do not keep it from working."""
        return self.status in ("installed", "triggers-awaited", "triggers-pending")


class Database:
    """The packages that dpkg knows, each parsed only when it is asked for."""

    def __init__(self, data: bytes) -> None:
        """`data` is the text of dpkg's status file."""
        self._stanzas: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for stanza in data.split(b"\n\n"):
            if stanza.startswith(b"Package: "):
                self._stanzas[stanza[9 : stanza.find(b"\n")]].append(stanza)

    def find(self, name: str) -> Known | None:
        """The package of this name (`name:architecture` for one that is not native); None when dpkg has nothing of it."""
        plain, _, architecture = name.partition(":")
        stanzas = self._stanzas.get(plain.encode())
        if stanzas is None:
            return None
        accepted = {architecture or self.native}
        if architecture in ("", self.native):
            accepted.add("all")
        found = [known for known in map(_parse, stanzas) if not self.native or known.architecture in accepted]
        found = [known for known in found if known.status != "not-installed"]
        return next((known for known in found if known.status == "installed"), found[0] if found else None)

    def plain_name(self, name: str) -> str:
        """A name as apt writes it: without the architecture when that is the host's own."""
        return name.removesuffix(f":{self.native}")

    def providers(self, name: str) -> list[str]:
        """The installed packages that provide the virtual package of this name, sorted."""
        return sorted(
            known.name
            for provided, known in self._provided
            if provided == name.partition(":")[0] and known.status == "installed"
        )

    @cached_property
    def native(self) -> str:
        """The architecture of the host, which is that of dpkg itself; empty where dpkg is not in its own database."""
        own = self._stanzas.get(b"dpkg")
        return _field(own[0], b"Architecture") if own else ""

    @cached_property
    def _provided(self) -> list[tuple[str, Known]]:
        return [
            (provided, _parse(stanza))
            for stanzas in self._stanzas.values()
            for stanza in stanzas
            for provided in _provided_names(stanza)
        ]


def read_database(host: HostView) -> Database:
    """Read the database of a host. Raises Unsupported where there is none, or where apt could not work on it."""
    if host.root != "/":
        raise Unsupported(
            f"packages can only be managed on the running system, not in the root {host.root}; "
            "use `when` to leave them out there"
        )
    if host.files.lstat(STATUS) is None:
        raise Unsupported(
            f"no supported package manager on this host: packages need apt and dpkg, and {STATUS} is missing"
        )
    if host.files.listdir(_UPDATES):
        return Database(host.probe("dpkg-query", "-W", f"-f={_AS_STATUS_FILE}").stdout.encode())
    return Database(host.files.read(STATUS))


def _parse(stanza: bytes) -> Known:
    wish, flag, status = [*_field(stanza, b"Status").split(), "", "", ""][:3]
    return Known(
        stanza[9 : stanza.find(b"\n")].decode(),
        _field(stanza, b"Architecture"),
        _field(stanza, b"Version"),
        wish,
        flag,
        status,
    )


def _field(stanza: bytes, name: bytes) -> str:
    start = stanza.find(b"\n%b: " % name)
    if start < 0:
        return ""
    start += len(name) + 3
    end = stanza.find(b"\n", start)
    return stanza[start : end if end >= 0 else None].decode()


def _provided_names(stanza: bytes) -> Iterator[str]:
    for provided in _field(stanza, b"Provides").split(","):
        if words := provided.split():
            yield words[0].partition(":")[0]
