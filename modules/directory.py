"""directory: hold one directory to its owner and mode."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from modules.api import Accounts, Drift, FileView, Host, HostView, Resource, ResourceError, State
from modules.attributes import Attributed
from modules.below import Below
from modules.fields import (
    ABSOLUTE_PATH,
    BOOLEAN,
    INTEGER,
    SOURCE_FOLDER,
    STRINGS,
    Folder,
    Leaf,
    identity,
    internal,
    option,
)
from modules.globs import matcher
from modules.modes import MODE
from modules.parents import PARENTS, PARENTS_DOC, parents
from modules.paths import UNFINISHED, ancestors, placed, remove, replaceable, unit_file_refreshes

_PLACEHOLDER = ".gitkeep"


@dataclass(frozen=True, kw_only=True)
class Directory(Attributed, kind="directory", identity="path"):
    """A directory: itself, and with `source` what the repository has for it.

    Its parent must exist; declare it too. A field that is left out is not managed. What else is in the directory is
    never touched, except by `purge`, and by `ensure: absent` with `force`, which stops at anything that is mounted
    there. So one that leaves Git stays as long as it holds anything that does not leave with it, or is the home of an
    account.

    With `source` every file, directory and link of a folder becomes a resource of its own, as if it were declared
    here: `file:/etc/app/main.conf`. What is declared elsewhere for one of these paths wins. A link is made as it is in
    the repository, wherever it leads. Git keeps no empty directory: put a file `.gitkeep` in it, which is not copied.
    """

    is_directory: ClassVar[bool] = True

    path: str = identity(ABSOLUTE_PATH, "Where the directory is.")
    force: bool = option(
        BOOLEAN,
        "Replace a regular file, or a link to one, that stands at the path; with `ensure: absent`, remove the "
        "directory with all in it.",
        default=False,
    )

    parents: str | None = option(PARENTS, PARENTS_DOC)
    source: Folder | None = option(SOURCE_FOLDER, "A folder of the repository whose content shall be in it.")
    file_mode: str | None = option(
        MODE,
        "The permissions of the files of `source`; 0644 when none are given, or 0755 for what is executable in Git. With "
        "`recurse`, of all files below.",
    )
    recurse: bool = option(
        BOOLEAN,
        "Hold the owner, the group and `mode` of all directories below it too, and the owner, the group and `file_mode` "
        "of all files; links are owned and not followed. What is declared, and all below that, is left out. All of it "
        "is looked at in every pass, so it is for trees that others fill, and that are not large.",
        default=False,
    )
    purge: bool = option(
        BOOLEAN, "Remove what nobody declares from it, and from the directories of `source`: see purge.", default=False
    )
    exclude: tuple[str, ...] | None = option(
        STRINGS,
        "Patterns of what of `source` is not copied, of what is not purged, and of what `recurse` leaves: of names, or "
        "with a slash of paths in it; `*` stops at a slash.",
    )
    max_files: int = option(
        INTEGER, "An error if `source`, or what `recurse` finds, has more files than this.", default=10_000
    )
    show_diff: bool = option(
        BOOLEAN, "Whether the text of the files of `source` is shown where it changes.", default=True
    )
    declared: tuple[str, ...] = internal(())  # relative to the path: what `recurse` leaves to others
    as_parent: bool = internal(default=False)  # it is there for what is in it: nothing of it is held but that

    def problems(self) -> Sequence[str]:
        """Fields that contradict each other."""
        root = ["the path / cannot be absent"] if self.path == "/" and self.ensure == "absent" else []
        return [*root, *self.attribute_problems(), *self._source_problems()]

    def _source_problems(self) -> Iterator[str]:
        if self.ensure == "absent":
            yield from (
                f"{name} has no meaning with ensure: absent"
                for name in ("source", "purge", "parents")
                if getattr(self, name)
            )
        if self.file_mode is not None and self.source is None and not self.recurse:
            yield "file_mode is that of the files of a source, or of those that recurse finds"
        if self.exclude is not None and self.source is None and not self.purge and not self.recurse:
            yield "exclude says what is not copied from a source, not purged, or left by recurse"
        if self.recurse and self.source is not None:
            yield "recurse is for what others put there; all of a source is held anyway, so give only one of them"
        if self.recurse and not any((self.owner, self.group, self.mode, self.file_mode)):
            yield "recurse needs something to hold: owner, group, mode or file_mode"
        files = sum(leaf.type != "directory" for leaf in self.source or ())
        if files > self.max_files:
            yield f"source has {files} files, more than the {self.max_files} of max_files"

    def expanded(self) -> tuple[Resource, Sequence[tuple[str, Mapping[str, object]]]]:
        """The directory itself; one resource for each thing in its source, and one for what is to be purged."""
        excluded = matcher(self.exclude or ())
        leaves = [leaf for leaf in self.source or () if not excluded(leaf.path)]
        children = [self._child(leaf) for leaf in leaves if os.path.basename(leaf.path) != _PLACEHOLDER]
        if self.purge:
            directories = ("", *(leaf.path for leaf in leaves if leaf.type == "directory"))
            fields = {"exclude": self.exclude or (), "force": self.force, "directories": directories}
            children.append(("purge", {"path": self.path, **fields}))
        above = parents(self.path, self.parents, self.owner, self.group)
        itself = replace(self, source=None, purge=False, parents=None, show_diff=True)
        return itself if self.recurse else replace(itself, file_mode=None, exclude=None), (*above, *children)

    def informed(self, paths: Collection[str]) -> Self:
        """Itself, knowing what others declare in it."""
        inside = f"{self.path.rstrip('/')}/"
        found = (path[len(inside) :] for path in paths if self.recurse and path.startswith(inside))
        return replace(self, declared=tuple(sorted(found))) if self.recurse else self

    def _child(self, leaf: Leaf) -> tuple[str, Mapping[str, object]]:
        path = f"{self.path.rstrip('/')}/{leaf.path}"
        owned = {"path": path, "owner": self.owner, "group": self.group}
        if leaf.type == "symlink":
            return "symlink", {"path": path, "target": leaf.target, "force": self.force}
        if leaf.type == "directory":
            return "directory", {**owned, "mode": self.mode}
        mode = self.file_mode or ("0755" if leaf.executable else "0644")
        return "file", {**owned, "mode": mode, "source": leaf.content, "force": self.force, "show_diff": self.show_diff}

    def provides(self) -> Sequence[str]:
        """Its path, unless it is to be absent, and an entry of its directory."""
        return placed(self.path)[self.ensure == "absent" :]

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The nearest managed directory above it; all that is managed in it goes before it does."""
        above = ancestors(self.path)
        return (above, (f"in:{self.path}",)) if self.ensure == "absent" else (above,)

    def host_refreshes(self) -> Sequence[str]:
        """A daemon-reload for a directory of drop-ins."""
        return unit_file_refreshes(self.path)

    def desired(self, observed: State) -> State:
        """Nothing but `ensure` for a directory that is to be absent, or is there for what is in it."""
        if self.ensure == "absent" or (self.as_parent and observed.get("ensure") == "present"):
            return {"ensure": self.ensure}
        below: State = {"below": ()} if "below" in observed else {}
        return {"ensure": "present", **self.desired_attributes(observed), **below}

    def observe(self, host: HostView) -> State:
        """`ensure` is `present` for a directory, else what stands there (`file`, `symlink`, ...)."""
        found = host.files.lstat(self.path)
        if found is None:
            return {"ensure": "absent", **self.observed_policy(host.files)}
        if found.type != "directory":
            return {"ensure": "present" if self.as_parent and self._leads_on(host.files) else found.type}
        return {"ensure": "present", **self.observed_attributes(host.files, host.accounts, found), **self._below(host)}

    def _below(self, host: HostView) -> State:
        """What is below it and differs; nothing as long as an account is missing, which its own drift shows."""
        if not self.recurse:
            return {}
        try:
            wish = self._recursing(host.accounts)
        except ResourceError:
            return {"below": ()}
        return {"below": wish.shown(host.files, host.accounts)}

    def _recursing(self, accounts: Accounts) -> Below:
        excluded, declared = matcher(self.exclude or ()), set(self.declared)
        uid, gid = self.ids(accounts)
        skip: Callable[[str], bool] = lambda path: path in declared or excluded(path)  # noqa: E731
        return Below(self.path, uid, gid, self.mode, self.file_mode, self.max_files, skip)

    def _leads_on(self, files: FileView) -> bool:
        """Whether it is a link that may be followed to a directory."""
        beyond = files.lstat(f"{self.path}/.")
        return beyond is not None and beyond.type == "directory"

    def apply(self, host: Host, drift: Drift) -> None:
        """Make it whole, change it in place, or remove it."""
        if self.ensure == "absent":
            remove(host.files, self.path, self.force)
        elif "ensure" in drift:
            self._make(host)
        elif set(drift) - {"below"}:
            self.change_attributes(host, drift)
        if self.recurse:
            self._recursing(host.accounts).hold(host.files)

    def undo(self, prior: State) -> Self | None:
        """It is removed if all that is in it goes too and it is nobody's home; else it stays with what is in it."""
        if self.ensure == "present" and prior.get("ensure") == "absent":
            return type(self)(path=self.path, ensure="absent")
        return None

    def bears(self, host: HostView, leaving: Collection[str]) -> str:
        """What is in it that does not leave with it, or that it is somebody's home."""
        found = host.files.lstat(self.path)
        if found is None or found.type != "directory":
            return ""
        if name := host.accounts.home_at(self.path, found.uid):
            return f"it is the home of {name}"
        names = (name for name in host.files.listdir(self.path) if not name.endswith(UNFINISHED))
        left = [name for name in names if f"{self.path}/{name}" not in leaving]
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        return f"it holds {', '.join(left[:3])}{more}" if left else ""

    def recover(self, host: Host) -> None:
        """Remove a temporary directory."""
        host.files.sweep(self.path)

    def _make(self, host: Host) -> None:
        replaceable(host.files, self.path, "directory", self.force)
        fresh = self.fresh(host, None)
        host.files.unlink(self.path)
        host.files.make_directory(self.path, mode=fresh.mode, owner=fresh.owner, xattrs=fresh.xattrs)
        self.lock(host)
