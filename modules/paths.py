"""What the kinds that live at a path share: their place in the order, and what may replace what."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from modules.api import Files, FileView, ResourceError, Stat

_UNIT_FILES = re.compile(r"/(etc|run|usr/lib|lib|usr/local/lib)/systemd/system(/|$)|/etc/containers/systemd(/|$)")
UNFINISHED = ".gitops-agent"  # the end of the names of what is being written
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
