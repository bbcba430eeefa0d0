"""apt, to be looked at: what dpkg's database says, and what the archives offer."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from modules.api import FileView, HostView, ResourceError
from modules.dpkg import Database, read_database
from modules.package_backend import OWN_PACKAGE, Offer, Options

STAMP = "/var/lib/apt/periodic/update-success-stamp"
_STAMPS = (STAMP, "/var/lib/apt/periodic/update-stamp", "/var/lib/apt/lists/partial", "/var/lib/apt/lists")
_SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")
_MARKS = "/var/lib/apt/extended_states"
_AUTOMATIC = re.compile(rb"^Package: (\S+)\nArchitecture: (\S+)\nAuto-Installed: 1$", re.MULTILINE)
_ERROR = 100  # the status of apt's programs
_VERSION_LINE = re.compile(r"(?: \*\*\*|    ) (\S+) -?\d+")


class AptView:
    """apt on one host (modules.package_backend.PackagesView)."""

    suffix = ".deb"

    def __init__(self, host: HostView) -> None:
        """`host` is the running system: apt cannot work in another root."""
        self._view = host
        self._database: Database | None = None

    def database(self) -> Database:
        """What dpkg knows."""
        self._database = read_database(self._view)
        return self._database

    @property
    def _read(self) -> Database:
        """The database as it was read last, for what does not change in it."""
        return self._database or self.database()

    def automatic(self) -> Collection[str]:
        """What came as a dependency of others, as apt-mark(8) tells."""
        if self._view.files.lstat(_MARKS) is None:
            return frozenset()
        marks = _AUTOMATIC.findall(self._view.files.read(_MARKS))
        return {self._read.plain_name(f"{name.decode()}:{of.decode()}") for name, of in marks}

    def offers(self, names: Sequence[str], repository: str = "") -> Mapping[str, Offer]:
        """What the archives have, a release before the others, as of the package lists; unknown names are missing."""
        asked = {self._read.plain_name(name): name for name in names}  # apt leaves out the native architecture
        answer = self._view.probe("apt-cache", "policy", *target_release(repository), *names, accept=(0, _ERROR))
        if answer.status and not repository:
            raise ResourceError(f"apt-cache policy: {answer.stderr.strip()}")
        found = _parse_policy(answer.stdout)  # an error with a release is that apt knows no such one
        return {asked[name]: offer for name, offer in found.items() if name in asked}

    def index_age_seconds(self, repository: str = "") -> float:  # noqa: ARG002  (all lists are fetched together)
        """How long ago the package lists were fetched; infinite when never, or when a source has changed since."""
        files = self._view.files
        fetched = max((found.mtime_ns for path in _STAMPS if (found := files.lstat(path))), default=0)
        if not fetched or any(changed > fetched for changed in _sources_changed(files)):
            return float("inf")
        return time.time() - fetched / 1e9

    def spellings(self, version: str) -> Sequence[str]:
        """With and without the epoch."""
        return version, version.partition(":")[2]

    def shaped(self, version: str, bound: str) -> str:
        """Without the epoch where the bound has none."""
        return version if ":" in bound else version.partition(":")[2] or version

    def needed_by_agent(self, names: Sequence[str]) -> Collection[str]:
        """By what dpkg's database says of dependencies."""
        return self._read.needed_by(OWN_PACKAGE).intersection(map(self._read.plain_name, names))

    def is_newer(self, version: str, other: str) -> bool:
        """By dpkg's comparison."""
        return self._view.probe("dpkg", "--compare-versions", version, "gt", other, accept=(0, 1)).status == 0

    def unsupported(self, options: Options, *, answers: bool) -> str:  # noqa: ARG002  (apt can do all there is)
        """Nothing."""
        return ""


def target_release(repository: str) -> tuple[str, ...]:
    """The options that put a release before the others; none for none."""
    return ("-o", f"APT::Default-Release={repository}") if repository else ()


def _parse_policy(text: str) -> Mapping[str, Offer]:
    offers: dict[str, Offer] = {}
    candidate, versions, name = "", list[str](), ""
    for line in text.splitlines():
        if not line.startswith(" "):
            name, candidate, versions = line.removesuffix(":"), "", []
        elif line.startswith("  Candidate: "):
            candidate = line.split(": ", 1)[1].replace("(none)", "")
        elif found := _VERSION_LINE.fullmatch(line):
            versions.append(found[1])
        offers[name] = Offer(candidate, tuple(versions))
    return offers


def _sources_changed(files: FileView) -> Iterator[int]:
    for path in (*_SOURCES, *(f"{_SOURCES[1]}/{name}" for name in files.listdir(_SOURCES[1]))):
        if found := files.lstat(path):
            yield found.ctime_ns
