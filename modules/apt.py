"""apt, to be looked at: what dpkg's database says, and what the archives offer."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from modules.api import FileView, HostView
from modules.dpkg import Database, read_database
from modules.package_backend import Offer, Options

STAMP = "/var/lib/apt/periodic/update-success-stamp"
_STAMPS = (STAMP, "/var/lib/apt/periodic/update-stamp", "/var/lib/apt/lists/partial", "/var/lib/apt/lists")
_SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")
_MARKS = "/var/lib/apt/extended_states"
_AUTOMATIC = re.compile(rb"^Package: (\S+)\nArchitecture: (\S+)\nAuto-Installed: 1$", re.MULTILINE)
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

    def offers(self, names: Sequence[str]) -> Mapping[str, Offer]:
        """What the archives have, as of the package lists; unknown names are missing."""
        asked = {self._read.plain_name(name): name for name in names}  # apt leaves out the native architecture
        found = _parse_policy(self._view.probe("apt-cache", "policy", *names).stdout)
        return {asked[name]: offer for name, offer in found.items() if name in asked}

    def index_age_seconds(self) -> float:
        """How long ago the package lists were fetched; infinite when never, or when a source has changed since."""
        files = self._view.files
        fetched = max((found.mtime_ns for path in _STAMPS if (found := files.lstat(path))), default=0)
        if not fetched or any(changed > fetched for changed in _sources_changed(files)):
            return float("inf")
        return time.time() - fetched / 1e9

    def spellings(self, version: str) -> Sequence[str]:
        """With and without the epoch."""
        return version, version.partition(":")[2]

    def is_newer(self, version: str, other: str) -> bool:
        """By dpkg's comparison."""
        return self._view.probe("dpkg", "--compare-versions", version, "gt", other, accept=(0, 1)).status == 0

    def unsupported(self, options: Options, *, answers: bool) -> str:  # noqa: ARG002  (apt can do all there is)
        """Nothing."""
        return ""


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
