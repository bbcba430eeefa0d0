"""dnf, to be looked at: what rpm's database says, and what the repositories offer. dnf 4 and 5, by their command line."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from modules.api import FileView, HostView
from modules.package_backend import Offer, Options
from modules.rpm import Database, in_order

_CACHES = ("/var/cache/dnf", "/var/cache/libdnf5")
_REPOSITORIES = ("/etc/yum.repos.d", "/etc/dnf/dnf.conf")
_PRINTED = "%{name}\t%{epoch}:%{version}-%{release}\t%{arch}\n"  # dnf 5 ends no line by itself


class DnfView:
    """dnf on one host, or on another root (modules.package_backend.PackagesView)."""

    suffix = ".rpm"

    def __init__(self, host: HostView) -> None:
        self._view = host
        self._database: Database | None = None

    def database(self) -> Database:
        """What rpm knows."""
        self._database = Database(self._view)
        return self._database

    def automatic(self) -> Collection[str]:
        """Nothing: dnf tells it only slowly, and marks what it is asked to install by name."""
        return frozenset()

    def offers(self, names: Sequence[str]) -> Mapping[str, Offer]:
        """What the repositories have, from dnf's cache: looking fetches nothing."""
        database = self._database or self.database()
        plain = dict.fromkeys(name.partition(":")[0] for name in names)
        argv = self.command("repoquery", "-C", "-q", "--available", f"--qf={_PRINTED}", *plain)
        rows = defaultdict[str, list[tuple[str, str]]](list)
        for line in self._view.probe(*argv, accept=(0, 1)).stdout.splitlines():  # 1 when there is no cache yet
            if line.count("\t") == 2:
                name, version, architecture = line.split("\t")
                rows[name].append((version.removeprefix("0:"), architecture))
        available = {
            name: {version for version, of in rows[name.partition(":")[0]] if database.accepts(name, of)}
            for name in names
        }
        known = [name for name in names if available[name]]
        ordered = in_order(self._view, [[*available[name].union(database.versions(name))] for name in known])
        return {
            name: Offer(next(version for version in versions if version in available[name]), tuple(versions))
            for name, versions in zip(known, ordered, strict=True)
        }

    def index_age_seconds(self) -> float:
        """How long ago any repository's index was fetched; infinite when never, or when a repository has changed since."""
        files = self._view.files
        fetched = max(_index_changes(files), default=0)
        changes = (found.ctime_ns for path in _repository_files(files) if (found := files.lstat(path)))
        if not fetched or any(changed > fetched for changed in changes):
            return float("inf")
        return time.time() - fetched / 1e9

    def spellings(self, version: str) -> Sequence[str]:
        """With and without the epoch, with and without the release."""
        epoch, _, rest = version.rpartition(":")
        upstream = rest.rpartition("-")[0]
        return version, rest, upstream, f"{epoch or 0}:{rest}", f"{epoch or 0}:{upstream}"

    def is_newer(self, version: str, other: str) -> bool:
        """By rpm's comparison."""
        return version != other and in_order(self._view, [[version, other]])[0][0] == version

    def unsupported(self, options: Options, *, answers: bool) -> str:
        """What apt can and rpm cannot."""
        if answers:
            return "`debconf` is for apt; packages of rpm ask no questions"
        if options.config_files == "replace":
            return "`config_files: replace` is for apt; rpm keeps what was edited where the package says so"
        return ""

    def command(self, verb: str, *arguments: str) -> tuple[str, ...]:
        """A command of dnf on this root."""
        root = () if self._view.root == "/" else (f"--installroot={self._view.root}",)
        return ("dnf", verb, *root, *arguments)


def _repository_files(files: FileView) -> Iterator[str]:
    yield from _REPOSITORIES
    yield from (f"{_REPOSITORIES[0]}/{name}" for name in files.listdir(_REPOSITORIES[0]))


def _index_changes(files: FileView) -> Iterator[int]:
    """When each repository's index was last written or found to be still good."""
    for cache in _CACHES:
        for repository in files.listdir(cache):
            index = f"{cache}/{repository}/repodata"
            for name in files.listdir(index):
                if found := files.lstat(f"{index}/{name}"):
                    yield found.ctime_ns
