"""archive: hold the files of an archive in a directory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from modules.api import Content, Drift, FileView, Host, HostView, Resource, ResourceError, Staged, State
from modules.fields import (
    ABSOLUTE_PATH,
    BOOLEAN,
    CHECKSUM,
    INTEGER,
    NAME,
    SOURCE_CONTENT,
    checksum_problems,
    choice,
    identity,
    option,
)
from modules.paths import UNFINISHED, ancestors, remove, replaceable

if TYPE_CHECKING:
    from modules.unpack import Member  # which needs what is slow to load

_LIST = ".gitops-agent.archive"  # in the directory: what was unpacked there
_TOGETHER = 256  # files that are flushed at once
_SHOWN = 3
Entries = Mapping[str, Sequence[Any]]  # by path: type, mode, and the digest or the target


@dataclass(frozen=True, kw_only=True)
class Archive(Resource, kind="archive", identity="path"):
    """The files of an archive, unpacked into a directory: tar, however it is compressed, or zip.

    What was unpacked is listed in a file of the directory (`.gitops-agent.archive`), and each of it is held: what is
    changed or removed by hand comes back. What is no longer in a newer archive goes; what else is in the directory
    stays. An archive that holds anything that would lie outside of the directory, a device, or a link that leads out,
    is refused as a whole. Permissions are those of the archive, without set-user-ID and without what others may write.
    """

    family: ClassVar[str] = "path"

    path: str = identity(ABSOLUTE_PATH, "The directory; it is made when it is missing.")
    ensure: str = option(choice("present", "absent"), "Whether its files are there.", "present")
    source: Content | None = option(SOURCE_CONTENT, "The archive: a file of the repository, or a URL, with `checksum`.")
    checksum: str | None = option(CHECKSUM, "The sha256 of the archive: required with a URL.")
    strip: int = option(INTEGER, "How many leading directories of the paths in it to leave out.", default=0)
    owner: str | None = option(NAME, "The user who owns its files; the agent's own when none is given.")
    group: str | None = option(NAME, "The group its files belong to.")
    force: bool = option(BOOLEAN, "Replace what is of another type than in the archive.", default=False)

    def problems(self) -> Sequence[str]:
        """Fields that are missing, or contradict each other."""
        found = checksum_problems(self.source, self.checksum)
        if self.path == "/":
            found.append("an archive is not unpacked into /; give a directory of its own")
        if self.ensure == "present" and self.source is None:
            found.append("source is missing: give the archive")
        if self.ensure == "absent" and self.source is not None:
            found.append("source has no meaning with ensure: absent")
        if not 0 <= self.strip <= 64:
            found.append("strip must be from 0 to 64")
        return found

    def claims(self) -> Sequence[str]:
        """That the directory is there."""
        return (f"content:{self.path}",)

    def excludes(self) -> Sequence[str]:
        """A purge of its directory, which would take its files for strangers."""
        return (f"purge:{self.path}",)

    def carries(self, host: HostView) -> Collection[str]:
        """All that was unpacked, and the list of it."""
        listed = self._listed(host.files) or {"entries": ()}
        return [f"{self.path}/{name}" for name in (_LIST, *_with_ways(listed["entries"]))]

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The directory, or the nearest managed one above it."""
        return ((f"path:{self.path}", *ancestors(self.path)),)

    def desired(self, observed: State) -> State:  # noqa: ARG002  (no wish is relative)
        """The archive by its digest."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        return {"ensure": "present", "content": self._digest, "strip": self.strip}

    def observe(self, host: HostView) -> State:
        """Which archive is unpacked there, or what of it is not as it was."""
        listed = self._listed(host.files)
        if listed is None:
            return {"ensure": "absent"}
        changed = [path for path in listed["entries"] if not self._intact(host, path, listed["entries"][path])]
        if not changed:
            return {"ensure": "present", "content": listed["digest"], "strip": listed["strip"]}
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        shown = f"changed: {', '.join(changed[:_SHOWN])}{more}"
        return {"ensure": "present", "content": shown, "strip": listed["strip"]}

    def apply(self, host: Host, drift: Drift) -> None:  # noqa: ARG002  (what is intact is looked for again)
        """Unpack it, or what of it is not as it was; or remove what was unpacked."""
        listed = self._listed(host.files) or {"digest": "", "strip": 0, "entries": {}}
        if self.ensure == "absent" or self.source is None:
            self._remove(host, listed["entries"], {})
            host.files.unlink(f"{self.path}/{_LIST}")
            return
        from modules.unpack import opened

        content = replace(self.source, digest=self._digest)
        with host.fetch(content, "archive") as file:
            try:
                with opened(file, self.strip) as members:
                    same = (listed["digest"], listed["strip"]) == (self._digest, self.strip)
                    entries = self._unpack(host, members, listed["entries"] if same else {})
            except ResourceError as error:
                raise ResourceError(f"the archive of {self.path}: {error}") from error
        self._remove(host, listed["entries"], entries)
        self._publish(host, [self._stage_list(host, entries)])

    def undo(self, prior: State) -> Self | None:
        """What was unpacked is removed, with the directories that nothing else is in."""
        if self.ensure == "present" and prior.get("ensure") == "absent":
            return type(self)(path=self.path, ensure="absent")
        return None

    def recover(self, host: Host) -> None:
        """Remove the temporary files that the list, and what it lists, may have left."""
        host.files.sweep(f"{self.path}/{_LIST}")
        for name in self._leftovers(host.files, self.path):
            host.files.unlink(name)

    @property
    def _digest(self) -> str:
        if self.source is None:
            return ""
        return self.source.digest if self.source.url is None else self.checksum or ""

    def _listed(self, files: FileView) -> Any:  # noqa: ANN401  (JSON)
        """What was unpacked; None when nothing was, or the list cannot be read."""
        found = files.lstat(f"{self.path}/{_LIST}")
        if found is None or found.type != "file":
            return None
        try:
            listed = json.loads(files.read(f"{self.path}/{_LIST}"))
            return listed if {"digest", "strip", "entries"} <= set(listed) else None
        except (ValueError, TypeError):
            return None

    def _intact(self, host: HostView, path: str, entry: Sequence[Any]) -> bool:
        kind, mode, what = entry
        found = host.files.lstat(f"{self.path}/{path}")
        if found is None or found.type != kind:
            return False
        if self.ensure == "absent":
            return True
        if kind == "symlink":
            return bool(host.files.readlink(f"{self.path}/{path}") == what)
        uid = self.owner is None or found.uid == host.accounts.user_id(self.owner)
        gid = self.group is None or found.gid == host.accounts.group_id(self.group)
        whole = kind == "directory" or host.files.digest(f"{self.path}/{path}", found) == what
        return bool(uid and gid and found.mode == mode and whole)

    def _unpack(self, host: Host, members: Sequence[Member], known: Entries) -> dict[str, list[Any]]:
        """Put all members in their places but those that are intact; what was unpacked."""
        owner = self._owner(host)
        replaceable(host.files, self.path, "directory", self.force)
        self._make_room(host, self.path, "directory")
        self._make_directories(host, "", owner)
        entries: dict[str, list[Any]] = {}
        staged: list[Staged] = []
        try:
            for member in members:
                if member.path in known and self._intact(host, member.path, known[member.path]):
                    entries[member.path] = list(known[member.path])
                    continue
                what = self._put(host, member, owner, staged)
                entries[member.path] = [member.type, member.mode, what]
                if len(staged) == _TOGETHER:
                    self._publish(host, staged)
                    staged.clear()
            self._publish(host, staged)
        except ResourceError:
            for one in staged:
                host.files.discard(one)
            raise
        return entries

    def _put(self, host: Host, member: Member, owner: tuple[int, int], staged: list[Staged]) -> str:
        """One member in its place, a file only staged; its digest or target."""
        path = f"{self.path}/{member.path}"
        self._make_directories(host, os.path.dirname(member.path), owner)
        replaceable(host.files, path, member.type, self.force)
        if member.type == "directory":
            self._make_directory(host, path, member.mode, owner)
            return ""
        if member.type == "symlink":
            self._make_room(host, path, "symlink")
            host.files.make_symlink(path, member.target)
            return member.target
        digest = hashlib.sha256()
        parts = _digested(member.parts(), digest)
        staged.append(host.files.stage(path, parts, mode=member.mode, owner=owner, size=member.size))
        return digest.hexdigest()

    def _owner(self, host: Host) -> tuple[int, int]:
        uid = -1 if self.owner is None else host.accounts.user_id(self.owner)
        return uid, -1 if self.group is None else host.accounts.group_id(self.group)

    def _make_directories(self, host: Host, inside: str, owner: tuple[int, int]) -> None:
        """The directory of the archive and those that lead to a member, which archives need not name."""
        path = self.path
        for name in ("", *(part for part in inside.split("/") if part)):
            path = f"{path}/{name}" if name else path
            if host.files.lstat(path) is None:
                host.files.make_directory(path, mode=0o755, owner=owner)

    def _make_directory(self, host: Host, path: str, mode: int, owner: tuple[int, int]) -> None:
        self._make_room(host, path, "directory")
        found = host.files.lstat(path)
        if found is None:
            host.files.make_directory(path, mode=mode, owner=owner)
            return
        if owner != (-1, -1):
            host.files.set_owner(path, *owner)
        if found.mode != mode:
            host.files.set_mode(path, mode)

    def _make_room(self, host: Host, path: str, wanted: str) -> None:
        found = host.files.lstat(path)
        if found is not None and found.type != wanted:
            remove(host.files, path, self.force)

    def _publish(self, host: Host, staged: Sequence[Staged]) -> None:
        for one in staged:
            if one.found is not None and one.found.type == "directory":
                host.files.remove_directory(one.target, recursive=True)
        ready = [replace(one, found=None) if one.found and one.found.type == "directory" else one for one in staged]
        for error in host.files.publish(ready):
            if error is not None:
                raise error

    def _stage_list(self, host: Host, entries: Entries) -> Staged:
        text = json.dumps({"digest": self._digest, "strip": self.strip, "entries": entries}, indent=0)
        return host.files.stage(f"{self.path}/{_LIST}", text.encode(), mode=0o600, owner=(-1, -1))

    def _remove(self, host: Host, before: Entries, now: Entries) -> None:
        """Remove what was unpacked and is not any more; a directory only when nothing else is in it."""
        for path in sorted(_with_ways(before), reverse=True):
            found = host.files.lstat(f"{self.path}/{path}")
            unpacked = before[path][0] if path in before else "directory"
            if path in now or found is None or found.type != unpacked:
                continue
            if found.type != "directory":
                host.files.unlink(f"{self.path}/{path}")
            elif not host.files.listdir(f"{self.path}/{path}"):
                host.files.remove_directory(f"{self.path}/{path}")

    def _leftovers(self, files: FileView, directory: str) -> Iterator[str]:
        """Temporary files in the directory: all of it is walked, for a killed pass has no list of what it began."""
        for name in files.listdir(directory):
            path = f"{directory}/{name}"
            found = files.lstat(path)
            if found is not None and found.type == "directory":
                yield from self._leftovers(files, path)
            elif name.startswith(".") and name.endswith(UNFINISHED):
                yield path


def _with_ways(entries: Iterable[str]) -> set[str]:
    """Paths, and the directories that lead to them, which were made for them and are not listed."""
    found = set(entries)
    for path in entries:
        while (path := os.path.dirname(path)) and path not in found:
            found.add(path)
    return found


def _digested(parts: Iterator[bytes], digest: Any) -> Iterator[bytes]:  # noqa: ANN401  (a hash)
    for part in parts:
        digest.update(part)
        yield part
