"""What a file system keeps beside a file: extended attributes, and flags (chattr)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from modules.api import FileView, State, Unsupported
from modules.fields import FieldType, Lookup, expect_text, string_map

FLAGS = {  # chattr(1), linux/fs.h
    "s": 0x1, "u": 0x2, "c": 0x4, "S": 0x8, "i": 0x10, "a": 0x20, "d": 0x40, "A": 0x80, "m": 0x400, "j": 0x4000,
    "t": 0x8000, "D": 0x10000, "T": 0x20000, "C": 0x800000, "x": 0x2000000, "P": 0x20000000,
}  # fmt: skip
LOCKS = FLAGS["i"] | FLAGS["a"]  # nothing, or nothing but appending, can be done to what has one of them
_CHATTR = re.compile(rf"=[{''.join(FLAGS)}]*|(?:[-+][{''.join(FLAGS)}]+)+")
_XATTR = re.compile(r"(user|trusted)\..+")


def _matching(form: re.Pattern[str], what: str) -> Callable[[object, Lookup], str]:
    def parse(value: object, _lookup: Lookup) -> str:
        text = expect_text(value)
        if not form.fullmatch(text):
            raise ValueError(f"must be {what}, not {text!r}")
        return text

    return parse


def _xattrs(value: object, lookup: Lookup) -> Mapping[str, str]:
    given = string_map(value, lookup)
    wrong = [name for name in given if not _XATTR.fullmatch(name) or "=" in name]
    if wrong:
        raise ValueError(f"must name attributes of users (user.NAME, or trusted.NAME), not {wrong[0]!r}")
    return given


_TEXT = {"type": "string"}
CHATTR = FieldType("flags as chattr takes them (+i)", _matching(_CHATTR, "flags such as +i, -a or =i"), _TEXT)
XATTRS = FieldType("mapping of texts", _xattrs, {"type": "object", "additionalProperties": _TEXT})


def xattr(files: FileView, path: str, name: str) -> bytes | None:
    """None also where the file system keeps none: setting one says so."""
    try:
        return files.xattr(path, name)
    except Unsupported:
        return None


def flags(files: FileView, path: str) -> int:
    """Its flags; none where the file system keeps none: setting one says so."""
    try:
        return files.flags(path)
    except Unsupported:
        return 0


def letters(flags: int) -> str:
    """Flags as lsattr(1) names them."""
    return "".join(letter for letter, bit in FLAGS.items() if flags & bit)


def with_flags(wanted: str, flags: int) -> int:
    """Flags after what chattr(1) would do."""
    for sign, named in re.findall(r"([-+=])([^-+=]*)", wanted):
        bits = sum(FLAGS[letter] for letter in set(named))
        kept = flags if sign == "+" else flags & ~(bits if sign == "-" else sum(FLAGS.values()))
        flags = kept if sign == "-" else kept | bits
    return flags


def wanted_letters(wanted: str, observed: State) -> str:
    """The letters of the flags after that, for what shows those it has now."""
    found = observed.get("attributes")
    return letters(with_flags(wanted, sum(FLAGS[letter] for letter in str(found or ""))))
