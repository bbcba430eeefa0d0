"""What `recurse` holds: owner, group and permissions of all that is below a directory, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modules.api import Accounts, Files, FileView, ResourceError, Stat
from modules.modes import resolved

_SHOWN = 5
_HELD = ("file", "directory", "symlink")  # what else there is (a pipe, a device) belongs to who made it


@dataclass(frozen=True)
class Below:
    """The wish; -1 and None leave open."""

    path: str
    uid: int
    gid: int
    mode: str | None  # of directories
    file_mode: str | None
    most: int  # things below the path
    skip: Callable[[str], bool]

    def shown(self, files: FileView, accounts: Accounts) -> tuple[str, ...]:
        """What differs, in words: the first few, and how many more. Raises ResourceError."""
        words, count = [], 0
        for path, found, bits in self._astray(files):
            count += 1
            if count <= _SHOWN:
                words.append(f"{path} ({self._differs(found, bits, accounts)})")
        return (*words, *((f"and {count - _SHOWN} more",) if count > _SHOWN else ()))

    def hold(self, files: Files) -> None:
        """Make it so, as far as it goes. Raises ResourceError for the first that could not be changed."""
        failed: list[ResourceError] = []
        for path, found, bits in list(self._astray(files)):
            try:
                self._change(files, f"{self.path.rstrip('/')}/{path}", found, bits)
            except ResourceError as error:
                failed.append(error)
        if failed:
            raise ResourceError(f"{failed[0]}" + (f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""))

    def _astray(self, files: FileView) -> Iterator[tuple[str, Stat, int]]:
        """What differs, and the permissions that it shall have."""
        for count, (path, found) in enumerate(files.below(self.path, self.skip)):
            if count >= self.most:
                raise ResourceError(
                    f"there are more than {self.most} things below {self.path}; raise max_files, or recurse further down"
                )
            if found.type in _HELD:
                bits = self._bits(found)
                if bits != found.mode or self._owned_wrongly(found):
                    yield path, found, bits

    def _bits(self, found: Stat) -> int:
        is_directory = found.type == "directory"
        wish = self.mode if is_directory else self.file_mode
        if wish is None or found.type == "symlink":
            return found.mode
        return resolved(wish, found.mode, directory=is_directory)

    def _owned_wrongly(self, found: Stat) -> bool:
        return self.uid not in (-1, found.uid) or self.gid not in (-1, found.gid)

    def _differs(self, found: Stat, bits: int, accounts: Accounts) -> str:
        words = [f"mode {found.mode:04o}"] if bits != found.mode else []
        words += [f"owner {accounts.user_name(found.uid)}"] if self.uid not in (-1, found.uid) else []
        words += [f"group {accounts.group_name(found.gid)}"] if self.gid not in (-1, found.gid) else []
        return ", ".join(words)

    def _change(self, files: Files, path: str, found: Stat, bits: int) -> None:
        owned_anew = self._owned_wrongly(found)
        if owned_anew:
            files.set_owner(path, self.uid, self.gid)
        if bits != found.mode or (owned_anew and bits & 0o6000):  # a new owner clears set-user-ID bits
            files.set_mode(path, bits)
