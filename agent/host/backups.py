"""What files were before they were changed: copies by digest, private to the agent, the oldest given up for the newest."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from agent.host.failures import failure
from agent.host.staging import write_all
from modules.api import ResourceError, Stat, Unrestorable

MOST_FILES = 1000
MOST_BYTES = 1 << 30  # of all together
_CHUNK = 1 << 20
_INDEX = "index"
_NEW = "new"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Backups:
    """Copies in a directory of the agent's own, made with the first of them; only one pass at a time writes there."""

    def __init__(self, directory: str) -> None:
        """`directory` is empty when nothing can be kept."""
        self._directory = directory

    def refuse_too_many(self, path: str, sizes: Sequence[int]) -> None:
        """Raise ResourceError when files of these sizes are more than all that is kept."""
        if len(sizes) > MOST_FILES or sum(sizes) > MOST_BYTES:
            raise ResourceError(
                f"{path} is left as it was: a backup would be {len(sizes)} files with {sum(sizes)} bytes, and no more than "
                f"{MOST_FILES} with {MOST_BYTES} are kept; copy it by hand, and leave backup out"
            )

    def keep(self, path: str, found: Stat, parts: Iterable[bytes]) -> None:
        """Keep the bytes of what was found at `path`. Raises ResourceError: then it must not be changed."""
        if not self._directory:
            raise ResourceError(f"{path} is left as it was: there is no state directory to keep a backup of it in")
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            digest = self._write(parts, found.size)
            self._list(digest, path, found)
            self._give_up_oldest()
        except OSError as error:
            raise failure(f"keep a backup, so it is left as it was: {path} in", self._directory, error) from error

    def parts(self, digest: str) -> Iterator[bytes]:
        """The bytes of a copy. Raises Unrestorable when it is not kept any more, ResourceError when it is damaged."""
        try:
            descriptor = os.open(self._path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise Unrestorable(f"the content {digest} is not kept any more, so it cannot be had back") from error
        found = hashlib.sha256()
        try:
            while part := os.read(descriptor, _CHUNK):
                found.update(part)
                yield part
        finally:
            os.close(descriptor)
        if found.hexdigest() != digest:
            raise Unrestorable(f"the backup {self._path(digest)} is damaged, so it cannot be had back")

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    @cached_property
    def _kept(self) -> dict[str, int]:
        """Sizes by digest, the oldest first."""
        with os.scandir(self._directory) as entries:
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries if len(entry.name) == 64}
        return {name: shown.st_size for name, shown in sorted(found.items(), key=lambda item: item[1].st_mtime_ns)}

    def _write(self, parts: Iterable[bytes], expected: int) -> str:
        digest, size = hashlib.sha256(), 0
        descriptor = os.open(self._path(_NEW), _CREATE, 0o600)
        try:
            for part in parts:
                digest.update(part)
                size += len(part)
                write_all(descriptor, part)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if size != expected:
            raise ResourceError("it was changed by another program while a backup was made; the next pass looks again")
        name = digest.hexdigest()
        os.rename(self._path(_NEW), self._path(name))
        self._kept.pop(name, None)
        self._kept[name] = size
        return name

    def _list(self, digest: str, path: str, found: Stat) -> None:
        """Say in a file that people can read which path had which content, and flush that with the rest."""
        line = {"at": int(time.time()), "path": path, "digest": digest, "mode": f"{found.mode:04o}"}
        line |= {"uid": found.uid, "gid": found.gid}
        descriptor = os.open(self._path(_INDEX), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            write_all(descriptor, f"{json.dumps(line)}\n".encode())
        finally:
            os.close(descriptor)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _give_up_oldest(self) -> None:
        total, gone = sum(self._kept.values()), False
        while len(self._kept) > MOST_FILES or total > MOST_BYTES:
            oldest = next(iter(self._kept))
            os.unlink(self._path(oldest))
            total -= self._kept.pop(oldest)
            gone = True
        if gone:
            self._shorten_index()

    def _shorten_index(self) -> None:
        with open(self._path(_INDEX), encoding="utf-8") as lines:
            kept = [line for line in lines if json.loads(line)["digest"] in self._kept]
        descriptor = os.open(self._path(_NEW), _CREATE, 0o600)
        with open(descriptor, "w", encoding="utf-8") as index:
            index.writelines(kept[-2 * MOST_FILES :])
        os.rename(self._path(_NEW), self._path(_INDEX))
