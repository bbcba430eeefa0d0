"""dpkg's database: what is installed, from one read whatever the number of packages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

from modules.api import HostView
from modules.package_backend import Known

STATUS = "/var/lib/dpkg/status"
_UPDATES = "/var/lib/dpkg/updates"  # what a running or interrupted dpkg has not yet folded into the status file
_NEEDS = (b"Depends", b"Pre-Depends")
_FIELDS = ("Package", "Status", "Architecture", "Version", "Provides", "Depends", "Pre-Depends")
_WHOLE = ("installed", "triggers-awaited", "triggers-pending")  # pending triggers do not keep it from working
_AS_STATUS_FILE = "".join(f"{field}: ${{{field}}}\n" for field in _FIELDS) + "\n"


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

    def providers(self, names: Collection[str]) -> Mapping[str, Sequence[str]]:
        """The installed packages that provide each virtual package that is provided at all, sorted."""
        wanted = {name.partition(":")[0]: name for name in names}
        found: defaultdict[str, list[str]] = defaultdict(list)
        for provided, known in self._provided if wanted else ():
            if provided in wanted and known.status == "installed":
                found[wanted[provided]].append(known.name)
        return {name: sorted(providers) for name, providers in found.items()}

    def needed_by(self, name: str) -> set[str]:
        """The installed packages that must be there for one to be, at any remove; of alternatives only the last one left."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for stanza in self._stanzas.get(waiting.pop().encode(), ()):
                needs = {able[0] for clause in _clauses(stanza) if len(able := self._able(clause)) == 1}
                waiting += needs - found
                found |= needs
        return found

    def _able(self, names: Sequence[str]) -> list[str]:
        """The installed packages of these names, and those that provide one of them."""
        providing = {known.name for provided, known in self._provided if provided in names and known.is_there}
        return sorted(providing.union(name for name in names if (known := self.find(name)) and known.is_there))

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
    """Read the database of a host that has one."""
    if host.files.listdir(_UPDATES):
        return Database(host.probe("dpkg-query", "-W", f"-f={_AS_STATUS_FILE}").stdout.encode())
    return Database(host.files.read(STATUS))


def _parse(stanza: bytes) -> Known:
    wish, flag, status = [*_field(stanza, b"Status").split(), "", "", ""][:3]
    return Known(
        stanza[9 : stanza.find(b"\n")].decode(),
        _field(stanza, b"Architecture"),
        _field(stanza, b"Version"),
        "installed" if status in _WHOLE else status,
        held=wish == "hold",
        broken=flag == "reinstreq",
    )


def _field(stanza: bytes, name: bytes) -> str:
    start = stanza.find(b"\n%b: " % name)
    if start < 0:
        return ""
    start += len(name) + 3
    end = stanza.find(b"\n", start)
    return stanza[start : end if end >= 0 else None].decode()


def _clauses(stanza: bytes) -> Iterator[Sequence[str]]:
    """The names of each dependency of a package, several where one of them is enough."""
    for field in _NEEDS:
        for clause in _field(stanza, field).split(","):
            if names := [words[0].partition(":")[0] for one in clause.split("|") if (words := one.split())]:
                yield names


def _provided_names(stanza: bytes) -> Iterator[str]:
    for provided in _field(stanza, b"Provides").split(","):
        if words := provided.split():
            yield words[0].partition(":")[0]
