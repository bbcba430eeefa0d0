"""Permissions as chmod(1) takes them: octal, or symbolic and then relative to what is found."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modules.fields import FieldType, Lookup, expect_text

NEW_FILE, NEW_DIRECTORY, SECRET_FILE = 0o644, 0o755, 0o600  # what is made without a mode, or with a relative one

_OCTAL = re.compile(r"[0-7]{3,4}")
_CLAUSE = r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+"
_SYMBOLIC = re.compile(rf"{_CLAUSE}(?:,{_CLAUSE})*")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777, "": 0o7777}  # never the umask: it is nobody's wish
_WHAT = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_SHIFT = {"u": 6, "g": 3, "o": 0}
_SET_ID = 0o6000


def is_octal(mode: str) -> bool:
    """Whether a mode says all bits, whatever is found."""
    return mode[0].isdigit()


def resolved(mode: str, found: int, *, directory: bool = False) -> int:
    """The permission bits that a mode means for what has those of `found`.

    As everywhere, who may read a directory by an octal mode may also enter it.
    """
    if is_octal(mode):
        bits = int(mode, 8)
        return bits | (bits & 0o444) >> 2 if directory else bits
    bits = found
    for clause in mode.split(","):
        who = clause[: len(clause) - len(clause.lstrip("ugoa"))]
        for operator, what in _ACTION.findall(clause[len(who) :]):
            bits = _changed(bits, _reach(who), operator, _bits(what, bits, directory), directory)
    return bits


def _changed(bits: int, reach: int, operator: str, named: int, directory: bool) -> int:
    if operator == "+":
        return bits | named & reach
    if operator == "-":
        return bits & ~(named & reach)
    kept = ~reach | (
        _SET_ID & ~named if directory else 0
    )  # as in chmod(1): a directory keeps them unless they are named
    return bits & kept | named & reach


def _reach(who: str) -> int:
    reach = 0
    for letter in who or "a":
        reach |= _WHO[letter]
    return reach


def _bits(what: str, bits: int, directory: bool) -> int:
    if what in _SHIFT:
        return (bits >> _SHIFT[what] & 7) * 0o111
    return sum(set(_named(what, bits, directory)))


def _named(what: str, bits: int, directory: bool) -> Iterator[int]:
    for letter in what:
        if letter != "X":
            yield _WHAT[letter]
        elif directory or bits & 0o111:
            yield _WHAT["x"]


def _mode(value: object, _lookup: Lookup) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError('must be quoted text such as "0644": a bare number loses its leading zero')
    text = expect_text(value)
    if _OCTAL.fullmatch(text):
        return text.rjust(4, "0")
    if not _SYMBOLIC.fullmatch(text):
        raise ValueError(f'must be three or four octal digits such as "0644", or such as "u=rw,go=r", not {text!r}')
    return text


MODE = FieldType(
    'mode, octal in quotes ("0644") or symbolic (u=rw,go=r)',
    _mode,
    {"type": "string", "pattern": rf"^[0-7]{{3,4}}$|^{_SYMBOLIC.pattern}$|\{{\{{"},
)
