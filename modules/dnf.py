"""dnf, to be looked at: what rpm's database says, and what the repositories offer. dnf 4 and 5, by their command line."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

from modules.api import FileView, HostView
from modules.dnf_records import STATE_5, USUAL_PRIORITY, came_along, priorities
from modules.package_backend import OWN_PACKAGE, Offer, Options
from modules.rpm import Database, in_order

_CACHES = ("/var/cache/dnf", "/var/cache/libdnf5")
_REPOSITORIES = ("/etc/yum.repos.d", "/etc/dnf/dnf.conf")
_PRINTED = "%{name}\t%{epoch}:%{version}-%{release}\t%{arch}\t%{repoid}\n"  # dnf 5 ends no line by itself
_NOT_THERE = (0, 1, 2)  # there is no cache yet, or no such repository
_DNF, _DNF_5 = "/usr/bin/dnf", "/usr/bin/dnf5"
_NEEDED = re.compile(r"\S+ is needed by \(installed\) (\S+)-[^-\s]+-[^-\s]+")


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
        """What came as a dependency of others, by dnf's own records."""
        return came_along(self._view, self._read.accepts, dnf_5=self.is_dnf_5)

    def offers(self, names: Sequence[str], repository: str = "") -> Mapping[str, Offer]:
        """What the repositories have, or one that may be disabled, from dnf's cache: looking fetches nothing.

        Of two repositories that have a package the one of the better priority has the candidate, whatever the versions.
        """
        rows = self._available(list(dict.fromkeys(name.partition(":")[0] for name in names)), repository)
        ranks = priorities(self._view.files)
        available, best = dict[str, set[str]](), dict[str, set[str]]()
        for name in names:
            fitting = [row for row in rows[name.partition(":")[0]] if self._read.accepts(name, row[1])]
            first = min((ranks.get(place, USUAL_PRIORITY) for _, _, place in fitting), default=0)
            available[name] = {version for version, _, _ in fitting}
            best[name] = {version for version, _, place in fitting if ranks.get(place, USUAL_PRIORITY) == first}
        known = [name for name in names if available[name]]
        ordered = in_order(self._view, [[*available[name].union(self._read.versions(name))] for name in known])
        return {
            name: Offer(next(version for version in versions if version in best[name]), tuple(versions))
            for name, versions in zip(known, ordered, strict=True)
        }

    def _available(self, names: Sequence[str], repository: str) -> Mapping[str, list[tuple[str, str, str]]]:
        """Version, architecture and repository of all there is of each name."""
        only = (f"--repo={repository}",) if repository else ()
        argv = self.command("repoquery", "-C", "-q", *only, "--available", f"--qf={_PRINTED}", *names)
        rows = defaultdict[str, list[tuple[str, str, str]]](list)
        for line in self._view.probe(*argv, accept=_NOT_THERE).stdout.splitlines():
            if line.count("\t") == 3:
                name, version, architecture, place = line.split("\t")
                rows[name].append((version.removeprefix("0:"), architecture, place))
        return rows

    def index_age_seconds(self, repository: str = "") -> float:
        """How long ago the index of a repository, or any, was fetched; infinite when never, or before a repository changed."""
        files = self._view.files
        fetched = max(_index_changes(files, f"{repository}-" if repository else ""), default=0)
        changes = (found.ctime_ns for path in _repository_files(files) if (found := files.lstat(path)))
        if not fetched or any(changed > fetched for changed in changes):
            return float("inf")
        return time.time() - fetched / 1e9

    def spellings(self, version: str) -> Sequence[str]:
        """With and without the epoch, with and without the release."""
        epoch, _, rest = version.rpartition(":")
        upstream = rest.rpartition("-")[0]
        return version, rest, upstream, f"{epoch or 0}:{rest}", f"{epoch or 0}:{upstream}"

    def shaped(self, version: str, bound: str) -> str:
        """Without the epoch and the release where the bound has none."""
        epoch, _, rest = version.rpartition(":")
        rest = rest if "-" in bound else rest.rpartition("-")[0] or rest
        return f"{epoch or 0}:{rest}" if ":" in bound else rest

    def needed_by_agent(self, names: Sequence[str]) -> Collection[str]:
        """As rpm itself finds it."""
        if OWN_PACKAGE not in self.removed_with(names):
            return frozenset()
        return {name for name in names if OWN_PACKAGE in self.removed_with([name])}

    def removed_with(self, names: Sequence[str]) -> set[str]:
        """All that has to go with some installed packages, as rpm itself finds it."""
        root = () if self._view.root == "/" else (f"--root={self._view.root}",)
        removed = set(names)
        while True:
            argv = ("rpm", *root, "--test", "-e", *map(specification, sorted(removed)))
            needed = _NEEDED.findall(self._view.probe(*argv, accept=range(256)).stderr)
            if removed.issuperset(needed):
                return removed
            removed.update(needed)

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
        return (self.program, verb, *root, *arguments)

    @cached_property
    def is_dnf_5(self) -> bool:
        """Whether dnf is dnf 5, which is a link where it is the only one; another root tells by what was at work there."""
        if self._view.root != "/":
            return self._view.files.lstat(STATE_5) is not None
        found = self._view.files.lstat(_DNF)
        if found is None:
            return self._view.files.lstat(_DNF_5) is not None
        return found.type == "symlink" and self._view.files.readlink(_DNF).endswith("dnf5")

    @property
    def program(self) -> str:
        """What dnf is called here."""
        files = self._view.files
        return "dnf5" if files.lstat(_DNF) is None and files.lstat(_DNF_5) is not None else "dnf"

    @property
    def _read(self) -> Database:
        """The database as it was read last, for what does not change in it."""
        return self._database or self.database()


def specification(name: str) -> str:
    """A name as dnf and rpm write it."""
    return name.replace(":", ".")


def _repository_files(files: FileView) -> Iterator[str]:
    yield from _REPOSITORIES
    yield from (f"{_REPOSITORIES[0]}/{name}" for name in files.listdir(_REPOSITORIES[0]))


def _index_changes(files: FileView, beginning: str) -> Iterator[int]:
    """When each repository's index was last written or found to be still good."""
    for cache in _CACHES:
        for repository in (name for name in files.listdir(cache) if name.startswith(beginning)):
            index = f"{cache}/{repository}/repodata"
            for name in files.listdir(index):
                if found := files.lstat(f"{index}/{name}"):
                    yield found.ctime_ns
