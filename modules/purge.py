"""purge: remove from a directory what nobody declares."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

from modules.api import Drift, FileView, Host, HostView, Resource, ResourceError, State
from modules.fields import ABSOLUTE_PATH, BOOLEAN, STRINGS, identity, internal, option
from modules.globs import matcher
from modules.owners import owners
from modules.paths import UNFINISHED, ancestors, remove

MASS_COUNT = 5  # up to so many strangers need no second thought
MASS_SHARE = 0.5
MOST = 1000  # removed in one pass
_SHOWN = 20
_OWNED = "owned"  # what is compared with nothing: what is left to packages


@dataclass(frozen=True, kw_only=True)
class Purge(Resource, kind="purge", identity="path"):
    """What is in a directory and declared by no resource is removed: the rest of `conf.d` goes, what Git says stays.

    A declared resource of any kind keeps its path and the directories that lead to it. What is in a subdirectory is
    looked at only where that comes from the same `source`. What a package owns is left, and said.
    """

    path: str = identity(ABSOLUTE_PATH, "The directory.")
    exclude: tuple[str, ...] = option(
        STRINGS, "Patterns of what is left alone: of names, or with a slash of paths in the directory.", ()
    )
    force: bool = option(
        BOOLEAN,
        "Remove directories with all in them, and also more than half (and more than five) of what is there at once.",
        default=False,
    )
    packages: bool = option(
        BOOLEAN, "Remove also what packages own (by dpkg or rpm), which an upgrade may bring back.", default=False
    )
    directories: tuple[str, ...] = internal(("",))  # relative to the path: where strangers are looked for
    keep: tuple[str, ...] = internal(())  # relative to the path: what is declared

    def problems(self) -> Sequence[str]:
        """The whole host is no directory to purge."""
        return ("the path / cannot be purged",) if self.path == "/" else ()

    def provides(self) -> Sequence[str]:
        """The purge itself: one that is declared wins over one that comes with the directory."""
        return (f"purge:{self.path}",)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The directory, and those above it."""
        return ((f"path:{self.path}", *ancestors(self.path)),)

    def informed(self, paths: Collection[str]) -> Self:
        """Itself, knowing what others declare in the directory."""
        inside = f"{self.path}/"
        return replace(self, keep=tuple(sorted(path[len(inside) :] for path in paths if path.startswith(inside))))

    def desired(self, observed: State) -> State:  # noqa: ARG002  (no wish is relative)
        """No strangers."""
        return {"strangers": ()}

    def observe(self, host: HostView) -> State:
        """The first of those that are there, and what is left to packages."""
        strangers, owned, _ = self._look(host)
        return {"strangers": _first(strangers), _OWNED: _first([f"{name} ({owned[name]})" for name in owned])}

    def remark(self, observed: State) -> str:
        """What is left though nobody declares it."""
        owned = observed.get(_OWNED)
        names = ", ".join(owned) if isinstance(owned, tuple) else ""
        return names and f"left, for packages own it: {names}; declare it absent, exclude it, or set packages: true"

    def apply(self, host: Host, drift: Drift) -> None:  # noqa: ARG002  (they are looked for again)
        """Remove them, or none of them when they are suspiciously many."""
        strangers, _, entries = self._look(host)
        if len(strangers) > max(MASS_COUNT, entries * MASS_SHARE) and not self.force:
            raise ResourceError(
                f"{len(strangers)} of the {entries} entries of {self.path} are declared by nobody, so none is removed; "
                f"declare or exclude them, or set force: true"
            )
        if len(strangers) > MOST:
            raise ResourceError(
                f"{len(strangers)} entries of {self.path} are declared by nobody, more than the {MOST} that are removed "
                f"at once; remove them by hand"
            )
        for name in strangers:
            remove(host.files, f"{self.path}/{name}", self.force)

    def _look(self, host: HostView) -> tuple[list[str], Mapping[str, str], int]:
        """What is there and declared by nobody, what of that is left to which package, and how much is there."""
        found, entries = self._undeclared(host.files)
        owned = self._owned(host, found) if found and not self.packages else {}
        return [name for name in found if name not in owned], owned, entries

    def _owned(self, host: HostView, names: Sequence[str]) -> Mapping[str, str]:
        """The package that owns each of these, or something below it that would go along."""
        inside = {f"{self.path}/{name}": name for name in names}
        for name in names if self.force else ():
            below = host.files.below(f"{self.path}/{name}", lambda _: False)
            inside |= {f"{self.path}/{name}/{path}": name for path, _ in islice(below, MOST)}
        return {inside[path]: package for path, package in sorted(owners(host, inside).items())}

    def _undeclared(self, files: FileView) -> tuple[list[str], int]:
        """What is there and declared by nobody, and how much is there."""
        kept, excluded, entries = self._kept(), matcher(self.exclude), 0
        strangers = []
        for directory in self.directories:
            if directory and _type(files, f"{self.path}/{directory}") != "directory":
                continue
            names = files.listdir(f"{self.path}/{directory}".rstrip("/"))
            entries += len(names)
            for name in names:
                path = f"{directory}/{name}" if directory else name
                if name not in kept[directory] and not name.endswith(UNFINISHED) and not excluded(path):
                    strangers.append(path)
        return strangers, entries

    def _kept(self) -> Mapping[str, set[str]]:
        """By directory, the names in it that are declared or lead to what is."""
        kept: defaultdict[str, set[str]] = defaultdict(set)
        for path in (*self.keep, *self.directories):
            for step in _way(path):
                kept[os.path.dirname(step)].add(os.path.basename(step))
        return kept


def _first(names: Sequence[str]) -> tuple[str, ...]:
    more = (f"and {len(names) - _SHOWN} more",) if len(names) > _SHOWN else ()
    return (*names[:_SHOWN], *more)


def _type(files: FileView, path: str) -> str:
    found = files.lstat(path)
    return "" if found is None else found.type


def _way(path: str) -> Iterator[str]:
    while path:
        yield path
        path = os.path.dirname(path)
