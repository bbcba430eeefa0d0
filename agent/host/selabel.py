"""libselinux by its C interface (selabel_open(3)): it is on every host that has a policy, and its Python package on few."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from modules.api import ResourceError

_PATH = 3  # SELABEL_OPT_PATH, selinux/label.h
_FORMATS = {"file": 0o100000, "directory": 0o040000, "symlink": 0o120000}  # inode(7)

Ask = Callable[[str, str], str]
"""From a path and what stands there to its context; empty when the policy names none."""


class _Option(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int), ("value", ctypes.c_char_p))


def of_this_machine() -> Ask | None:
    """How to ask the policy of the running kernel; None when it has none. Raises ResourceError."""
    return _opened("") if _library().is_selinux_enabled() else None


def of_file(path: str) -> Ask:
    """How to ask the file contexts (file_contexts(5)) at a path of this machine. Raises ResourceError."""
    return _opened(path)


def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libselinux.so.1", use_errno=True)
    except OSError as error:
        raise ResourceError(f"cannot ask the SELinux policy for a label: {error}; install libselinux") from error


def _opened(path: str) -> Ask:
    library = _library()
    library.selabel_open.restype = ctypes.c_void_p
    library.selabel_lookup_raw.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    option = _Option(_PATH, os.fsencode(path))
    handle = library.selabel_open(0, ctypes.byref(option) if path else None, int(bool(path)))
    if not handle:
        reason = os.strerror(ctypes.get_errno()).lower()
        raise ResourceError(
            f"cannot read the SELinux policy {path or 'of this host'}: {reason}; install it, or switch SELinux off in "
            "/etc/selinux/config"
        )

    def ask(at: str, form: str) -> str:
        found = ctypes.c_char_p()
        if library.selabel_lookup_raw(handle, ctypes.byref(found), os.fsencode(at), _FORMATS[form]):
            return ""  # no entry, or <<none>>
        try:
            return (found.value or b"").decode()
        finally:
            library.freecon(found)

    return ask
