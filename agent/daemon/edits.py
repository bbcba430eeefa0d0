"""The settings on disk: whether somebody changed them since they were read."""

from __future__ import annotations

import os
import time

from agent.settings import paths_in

SETTLED_SECONDS = 3.0  # an editor, or whoever writes several files, is through after this long

Identity = tuple[tuple[str, int, int, int], ...]


class Edits:
    """What the files of the settings were when they were last read, good or bad."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.note()

    def note(self) -> None:
        """Take what is there now as known; before it is read, so that no later change is missed."""
        self._known = self._look()[0]

    def changed(self) -> bool:
        """Tell whether other settings are there, and whole."""
        found, newest = self._look()
        return found != self._known and time.time() - newest > SETTLED_SECONDS

    def _look(self) -> tuple[Identity, float]:
        """What each file is, and when the last of them, or a list of them, changed."""
        identity, newest = [], 0.0
        for path in (self._directory, os.path.join(self._directory, "agent.d"), *paths_in(self._directory)):
            try:
                found = os.stat(path)
            except OSError:
                continue  # gone meanwhile, or never there
            newest = max(newest, found.st_ctime)
            if path.endswith(".yaml"):
                identity.append((path, found.st_ino, found.st_size, found.st_mtime_ns))
        return tuple(identity), newest
