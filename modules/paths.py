"""What the kinds that live at a path share: their place in the order, owner and mode, and what may replace what."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from modules.api import Accounts, Drift, Files, FileView, Host, ResourceError, Stat, Value

_UNIT_FILES = re.compile(r"/(etc|run|usr/lib|lib|usr/local/lib)/systemd/system(/|$)")
_HOPS = 40  # links in a row, as the kernel follows at most

Wanted = Literal["file", "directory", "symlink"]
_KEEP, _FORCE, _NEVER = "keep", "force", "never"
REPLACEMENT: Mapping[str, Mapping[Wanted, str]] = {
    "file": {"file": _KEEP, "directory": _FORCE, "symlink": _FORCE},
    "empty directory": {"file": _FORCE, "directory": _KEEP, "symlink": _FORCE},
    "directory": {"file": _FORCE, "directory": _KEEP, "symlink": _NEVER},
    "symlink to a file": {"file": _FORCE, "directory": _FORCE, "symlink": _KEEP},
    # what is reached through a link to a directory would vanish behind an empty one: a person removes that link
    "symlink": {"file": _FORCE, "directory": _NEVER, "symlink": _KEEP},
    "fifo": {"file": _FORCE, "directory": _NEVER, "symlink": _NEVER},
    "socket": {"file": _FORCE, "directory": _NEVER, "symlink": _NEVER},
    "block": {"file": _NEVER, "directory": _NEVER, "symlink": _NEVER},
    "char": {"file": _NEVER, "directory": _NEVER, "symlink": _NEVER},
}
"""By what is found and what is wanted: kept (or replaced by its like), replaced only with force, or never replaced."""

_WORDS = {
    "file": "a regular file",
    "empty directory": "a directory",
    "directory": "a directory that is not empty",
    "fifo": "a named pipe",
    "socket": "a socket",
    "block": "a block device",
    "char": "a character device",
}


def ancestors(path: str) -> tuple[str, ...]:
    """The keys of the directories above a path, nearest first: what is managed there comes before it."""
    keys = []
    while path != "/":
        path = os.path.dirname(path)
        keys.append(f"path:{path}")
    return tuple(keys)


def placed(path: str) -> tuple[str, ...]:
    """The keys of something that is brought into being at a path."""
    return (f"path:{path}", f"in:{os.path.dirname(path)}")


def unit_file_refreshes(path: str) -> tuple[str, ...]:
    """The host refreshes that a change at a path owes: systemd reads its unit files only when told to."""
    return ("daemon-reload",) if _UNIT_FILES.match(path) else ()


@dataclass(frozen=True)
class Attributes:
    """Owner, group and mode as Git says them; None leaves one as it is."""

    owner: str | None
    group: str | None
    mode: str | None

    def observed(self, accounts: Accounts, found: Stat) -> dict[str, Value]:
        """The three as the host shows them."""
        return {
            "owner": _account(found.uid, self.owner, accounts.user_name, accounts.user_id),
            "group": _account(found.gid, self.group, accounts.group_name, accounts.group_id),
            "mode": f"{found.mode:04o}",
        }

    def ids(self, accounts: Accounts) -> tuple[int, int]:
        """The uid and gid; -1 for one that is left. Raises ResourceError when the host has no such account."""
        uid = -1 if self.owner is None else accounts.user_id(self.owner)
        gid = -1 if self.group is None else accounts.group_id(self.group)
        return uid, gid

    def apply(self, host: Host, path: str, drift: Drift) -> None:
        """Close the drift of what is at `path`: in place, so that hard links stay. Raises ResourceError."""
        owned_anew = "owner" in drift or "group" in drift
        if owned_anew:
            host.files.set_owner(path, *self.ids(host.accounts))
        if self.mode is not None and ("mode" in drift or owned_anew):  # a new owner clears set-user-ID bits
            host.files.set_mode(path, int(self.mode, 8))


def remove(files: Files, path: str, force: bool) -> None:
    """Remove what is at `path`, whatever it is; a directory that is not empty only with `force`."""
    found = files.lstat(path)
    if found is not None and found.type == "directory":
        files.remove_directory(path, recursive=force)
    else:
        files.unlink(path)


def replaceable(files: FileView, path: str, wanted: Wanted, force: bool) -> Stat | None:
    """What stands at `path` and may give way to what is wanted there. Raises ResourceError, naming it, if it may not."""
    found = files.lstat(path)
    if found is None or found.type == wanted:
        return found
    form = _form(files, path, found)
    rule = REPLACEMENT[form][wanted]
    if rule == _KEEP or (rule == _FORCE and force):
        return found
    what = f"{path} is {_described(files, path, form)}, and a {wanted} is wanted there"
    step = "set force: true to replace it" if rule == _FORCE else "force does not replace that: remove it by hand"
    raise ResourceError(f"{what}; {step}")


def _form(files: FileView, path: str, found: Stat) -> str:
    if found.type == "directory" and not files.listdir(path):
        return "empty directory"
    if found.type == "symlink" and _destination(files, path) == "file":
        return "symlink to a file"
    return found.type


def _described(files: FileView, path: str, form: str) -> str:
    if not form.startswith("symlink"):
        return _WORDS[form]
    destination = _destination(files, path)
    return f"a link to {files.readlink(path)}" + (f" ({destination})" if destination.startswith("which") else "")


def _destination(files: FileView, path: str) -> str:
    """The type of what a link leads to, or a phrase for none."""
    with suppress(ResourceError):  # a way that must not be followed is as good as none
        for _ in range(_HOPS):
            target = files.readlink(path)
            path = target if target.startswith("/") else f"{os.path.dirname(path)}/{target}"
            found = files.lstat(path)
            if found is None:
                return "which does not exist"
            if found.type != "symlink":
                return found.type
        return "which leads back to itself"
    return "which is not followed"


def _account(number: int, wanted: str | None, name_of: Callable[[int], str], id_of: Callable[[str], int]) -> str:
    """An owner as the host names it; in the words of the wish when that means the same (0, root, toor)."""
    name = name_of(number)
    if wanted is None or wanted == name:
        return name
    with suppress(ResourceError):  # an account that does not exist yet is said when it is needed
        if id_of(wanted) == number:
            return wanted
    return str(number) if wanted.isdigit() else name
