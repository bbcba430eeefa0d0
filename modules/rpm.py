"""rpm's database, what is held of it, and rpm's own order of versions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

from modules.api import HostView, ResourceError
from modules.package_backend import Known

DATABASES = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
_LOCKS = "/etc/dnf/plugins/versionlock.list"  # dnf 4
_LOCKS_5 = "/etc/dnf/versionlock.toml"
_SEVERAL = re.compile(r"kernel(-.*)?|gpg-pubkey")  # what dnf lets stand beside an older version of itself
_VERSION = re.compile(r"[A-Za-z0-9._+~^:-]+")
_PRINTED = r"%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\n"
_PROVIDED = r"%{NAME}\t[%{PROVIDENAME} ]\n"
_MOST_TO_SORT = 60_000  # characters of versions in one argument of a command, which the kernel bounds


class Database:
    """The packages that rpm knows (modules.package_backend.Database)."""

    def __init__(self, host: HostView) -> None:
        """One query."""
        self._host = host
        self._found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)  # name -> version, architecture
        printed = host.probe(*_query(host, "-qa"), "--nosignature", "--nodigest", f"--qf={_PRINTED}").stdout
        for line in printed.splitlines():
            name, version, architecture = line.split("\t")
            self._found[name].append((version.removeprefix("0:"), architecture))

    def find(self, name: str) -> Known | None:
        """The package of a name; the newest when there are several."""
        found = self._of(name)
        if not found:
            return None
        versions = self.versions(name)
        newest, architecture = next(one for one in found if one[0] == versions[0])
        several = len(versions) > 1 and not _SEVERAL.fullmatch(name.partition(":")[0])
        return Known(name, architecture, newest, held=name.partition(":")[0] in self._held, several=several)

    def versions(self, name: str) -> Sequence[str]:
        """All its installed versions, the newest first."""
        found = list(dict.fromkeys(version for version, _ in self._of(name)))
        return found if len(found) < 2 else in_order(self._host, [found])[0]

    def doubled(self) -> list[str]:
        """Names of packages of which there is more than there may be, as an interrupted upgrade leaves them."""
        return sorted(name for name, found in self._found.items() if len(found) > 1 and self._is_doubled(name))

    def providers(self, names: Collection[str]) -> Mapping[str, Sequence[str]]:
        """The installed packages that provide each virtual package that is provided at all, sorted."""
        wanted = {name.partition(":")[0]: name for name in names}
        if not wanted:
            return {}
        asked = (*_query(self._host, "-q"), "--whatprovides", f"--qf={_PROVIDED}", *wanted)
        found: defaultdict[str, set[str]] = defaultdict(set)
        for line in self._host.probe(*asked, accept=(0, *range(1, 256))).stdout.splitlines():
            name, _, provided = line.partition("\t")
            for virtual in wanted.keys() & set(provided.split()):
                found[wanted[virtual]].add(name)
        return {name: sorted(providers) for name, providers in found.items()}

    def accepts(self, name: str, architecture: str) -> bool:
        """Whether a package of this architecture is what a name means."""
        asked = name.partition(":")[2] or self.native
        return architecture == asked or (architecture == "noarch" and asked == self.native)

    @cached_property
    def native(self) -> str:
        """The architecture of the host."""
        return self._host.probe("rpm", "--eval", "%{_arch}").stdout.strip()

    @cached_property
    def _held(self) -> Collection[str]:
        return set(_held_by_dnf_4(self._host)) | set(_held_by_dnf_5(self._host))

    def _of(self, name: str) -> list[tuple[str, str]]:
        found = self._found.get(name.partition(":")[0], [])
        if ":" not in name and len({architecture for _, architecture in found}) < 2:
            return found
        return [one for one in found if self.accepts(name, one[1])]

    def _is_doubled(self, name: str) -> bool:
        known = self.find(name)
        return known is not None and known.several


def in_order(host: HostView, lists: Sequence[Sequence[str]]) -> list[list[str]]:
    """Lists of versions, each newest first, by rpm's own comparison; what no version looks like is left out."""
    result: list[list[str]] = []
    for part in _parts(lists):
        tables = ",".join("{" + ",".join(f'"{v}"' for v in one if _VERSION.fullmatch(v)) + "}" for one in part)
        program = (
            f"local lists = {{{tables}}} for i, v in ipairs(lists) do "
            "table.sort(v, function(a, b) return rpm.vercmp(a, b) > 0 end) "
            'lists[i] = table.concat(v, " ") end print(table.concat(lists, ";"))'
        )
        printed = host.probe("rpm", "--eval", f"%{{lua:{program}}}").stdout
        result += [line.split() for line in printed.split(";")]
    return result


def _parts(lists: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    part, size = list[Sequence[str]](), 0
    for one in lists:
        part.append(one)
        size += sum(len(version) + 3 for version in one)
        if size > _MOST_TO_SORT:
            yield part
            part, size = [], 0
    if part:
        yield part


def _query(host: HostView, verb: str) -> tuple[str, ...]:
    return ("rpm", verb) if host.root == "/" else ("rpm", f"--root={host.root}", verb)


def _held_by_dnf_4(host: HostView) -> Iterator[str]:
    """Names in lines such as `hello-0:1.0-1.*`; comments and excludes (after `!`) come to names that nothing has."""
    if host.files.lstat(_LOCKS) is None:
        return
    for line in host.files.read(_LOCKS).decode(errors="replace").splitlines():
        yield line.strip().rsplit("-", 2)[0]


def _held_by_dnf_5(host: HostView) -> Iterator[str]:
    if host.files.lstat(_LOCKS_5) is None:
        return
    import tomllib

    try:
        locks = tomllib.loads(host.files.read(_LOCKS_5).decode(errors="replace"))
    except tomllib.TOMLDecodeError as error:
        raise ResourceError(f"cannot tell what is held: {_LOCKS_5}: {error}") from error
    for package in locks.get("packages", []):
        yield str(package.get("name", ""))
