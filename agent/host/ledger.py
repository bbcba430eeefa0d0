"""The ledger: what files hold, as long as their status says that nothing changed since they were last read.

It lives in memory (the runtime directory), so an idle pass writes nothing to a disk, and is a way to be quick only:
without it everything is read. What changed so lately that a second change could have the same time is not trusted, and
every file is read again once in a number of passes, whatever its status says.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from typing import Any

from modules.api import Stat

_LATELY_NS = 2 * 10**9  # two seconds: the coarsest clock of a file system


class Ledger:
    """Digests by path, with the status that the file had when it was read."""

    def __init__(self, path: str = "", every: int = 1) -> None:
        """`path` is a file, or empty to remember nothing; `every` says in how many passes each file is read once."""
        self._path, self._every = path, every
        self._loaded: dict[str, list[Any]] | None = None
        self._due = 0
        self._seen: dict[str, list[Any]] = {}

    def known(self, path: str, found: Stat) -> str | None:
        """The digest of a file that is as it was when it was last read, unless it is due to be read again."""
        if self._loaded is None:
            self._loaded = self._load()
        row = self._loaded.get(path)
        if row is None or row[:5] != [found.ctime_ns, found.mtime_ns, found.size, found.inode, found.device]:
            return None
        if self._every == 1 or zlib.crc32(os.fsencode(path)) % self._every == self._due:
            return None
        self._seen[path] = row
        digest: str = row[5]
        return digest

    def note(self, path: str, found: Stat, digest: str, began_ns: int) -> None:
        """Remember what a file held when it was read at `began_ns` (of the epoch), by the status it had just before.

        Any change since has another time than one that old, so a status that is still the same was so all the while.
        """
        if self._path and max(found.mtime_ns, found.ctime_ns) + _LATELY_NS < began_ns:
            self._seen[path] = [found.ctime_ns, found.mtime_ns, found.size, found.inode, found.device, digest]

    def save(self) -> None:
        """Count this pass, and write what it found if it is news. Losing it costs nothing but time."""
        if not self._path:
            return
        with suppress(OSError):
            self._replace(f"{self._path}.passes", str(self._passes() + 1))
            if self._seen != (self._loaded or {}):
                self._replace(self._path, json.dumps(self._seen, separators=(",", ":")))

    def _load(self) -> dict[str, list[Any]]:
        self._due = self._passes() % self._every
        try:
            with open(self._path, "rb") as file:
                found = json.loads(file.read())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _passes(self) -> int:
        try:
            with open(f"{self._path}.passes", encoding="ascii") as file:
                return int(file.read(20))
        except (OSError, ValueError):
            return 0

    def _replace(self, path: str, text: str) -> None:
        descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        os.rename(f"{path}.new", path)
