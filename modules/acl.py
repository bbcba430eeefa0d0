"""POSIX access control lists as texts, and as the kernel keeps them (acl(5), linux/posix_acl_xattr.h).

The entries for owner, group and others are the mode's; a list adds named users and groups to them, the mask that
limits what those and the group may do, and, on a directory, the default list of what is made in it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from modules.api import Accounts, ResourceError
from modules.fields import FieldType, Lookup, expect_text

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"

_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_TAGS = {1: "user", 2: "user", 4: "group", 8: "group", 16: "mask", 32: "other"}
_NAMED = {"user": 2, "group": 8}
_BASE = {"user": 1, "group": 4, "mask": 16, "other": 32}
_NOBODY = 0xFFFFFFFF
_BITS = {"r": 4, "w": 2, "x": 1}
_WORDS = {"u": "user", "g": "group", "m": "mask", "o": "other"}
_FORM = re.compile(
    r"(?P<default>d(?:efault)?:)?(?P<tag>u(?:ser)?|g(?:roup)?|m(?:ask)?|o(?:ther)?):(?P<name>[^:\s]*):"
    r"(?P<letters>r?w?x?|[r-][w-][x-]|[0-7])"
)


@dataclass(frozen=True)
class Entry:
    """One entry of a list; `name` is empty for owner, owning group, mask and others."""

    tag: str  # user, group, mask, other
    name: str
    permissions: int
    default: bool = False

    def __str__(self) -> str:
        """As getfacl(1) prints it."""
        letters = "".join(letter if self.permissions & bit else "-" for letter, bit in _BITS.items())
        return f"{'default:' * self.default}{self.tag}:{self.name}:{letters}"

    @property
    def is_base(self) -> bool:
        """Whether it is one of the three that a mode says as well."""
        return not self.name and self.tag != "mask"


def parse(text: str) -> Entry:
    """An entry as setfacl(1) takes it, in words or by their first letters. Raises ValueError."""
    found = _FORM.fullmatch(text)
    if found is None or (found["name"] and found["tag"][0] not in "ug"):
        raise ValueError(f"must be entries such as user:alice:rw or default:group:adm:r, not {text!r}")
    letters = found["letters"]
    bits = int(letters) if letters.isdigit() else sum(_BITS[letter] for letter in set(letters) - {"-"})
    return Entry(_WORDS[found["tag"][0]], found["name"], bits, found["default"] is not None)


def _entries(value: object, _lookup: Lookup) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("must be a list of entries such as user:alice:rw; an empty one removes all")
    parsed = [parse(expect_text(item)) for item in value]
    if repeated := [entry for entry in parsed if entry.is_base and not entry.default]:
        raise ValueError(f"must not repeat what `mode` says: {repeated[0]}")
    if len({(entry.tag, entry.name, entry.default) for entry in parsed}) < len(parsed):
        raise ValueError("must not name the same user or group twice")
    return tuple(sorted(map(str, parsed)))


ACL = FieldType("list of entries of an access control list", _entries, {"type": "array", "items": {"type": "string"}})


def completed(wanted: Sequence[str], mode: int) -> tuple[str, ...]:
    """What is wished with what it implies: the mask, and all of a default list, from what is named and the mode."""
    entries = [parse(text) for text in wanted]
    access = [entry for entry in entries if not entry.default]
    default = [entry for entry in entries if entry.default]
    if access:
        access = _masked(access, mode >> 3 & 7)
    if default:
        named = {entry.tag for entry in default if entry.is_base}
        default += [replace(base, default=True) for base in _base(mode) if base.tag not in named]
        group = next(entry.permissions for entry in default if entry.tag == "group" and not entry.name)
        if any(not entry.is_base for entry in default):
            default = [replace(entry, default=True) for entry in _masked(default, group)]
    return tuple(sorted(map(str, [*access, *default])))


def _masked(entries: list[Entry], group: int) -> list[Entry]:
    if any(entry.tag == "mask" for entry in entries):
        return entries
    limited = [entry.permissions for entry in entries if entry.name]
    for permissions in limited:
        group |= permissions
    return [*entries, Entry("mask", "", group)]


def _base(mode: int) -> list[Entry]:
    return [Entry("user", "", mode >> 6 & 7), Entry("group", "", mode >> 3 & 7), Entry("other", "", mode & 7)]


def packed(wanted: Iterable[str], mode: int, accounts: Accounts, *, default: bool) -> bytes | None:
    """A completed list as the kernel takes it; None when it says no more than the mode. Raises ResourceError."""
    entries = [entry for entry in map(parse, wanted) if entry.default == default]
    if not entries:
        return None
    if not default:
        entries += _base(mode)
    rows = sorted((_tag(entry), _id(entry, accounts), entry.permissions) for entry in entries)
    return _VERSION.pack(2) + b"".join(_ENTRY.pack(tag, bits, number) for tag, number, bits in rows)


def _tag(entry: Entry) -> int:
    return _NAMED[entry.tag] if entry.name else _BASE[entry.tag]


def _id(entry: Entry, accounts: Accounts) -> int:
    if not entry.name:
        return _NOBODY
    return accounts.user_id(entry.name) if entry.tag == "user" else accounts.group_id(entry.name)


def unpacked(data: bytes | None, accounts: Accounts, *, default: bool = False) -> list[Entry]:
    """A list of the kernel, its users and groups by name."""
    if not data:
        return []
    return list(_unpacked(data, accounts, default=default))


def _unpacked(data: bytes, accounts: Accounts, *, default: bool) -> Iterator[Entry]:
    for tag, permissions, number in _ENTRY.iter_unpack(data[_VERSION.size :]):
        name = ""
        if tag in _NAMED.values():
            name = accounts.user_name(number) if tag == 2 else accounts.group_name(number)
        yield Entry(_TAGS[tag], name, permissions, default)


def mode_of(access: Iterable[Entry], found: int) -> int:
    """The permission bits without the mask, which takes the group's place in those of `found` when there is a list."""
    bits = {entry.tag: entry.permissions for entry in access if entry.is_base}
    return found & ~0o777 | bits["user"] << 6 | bits["group"] << 3 | bits["other"] if bits else found


def in_words_of(entries: Iterable[Entry], wanted: Iterable[str], accounts: Accounts) -> tuple[str, ...]:
    """Observed entries as texts, with a user or group named as the wish names it when it is the same one."""
    known = {}
    for entry in map(parse, wanted):
        of: Callable[[str], int] = accounts.user_id if entry.tag == "user" else accounts.group_id
        if entry.name and (number := _known(of, entry.name)) is not None:
            name = accounts.user_name(number) if entry.tag == "user" else accounts.group_name(number)
            known[entry.tag, name] = entry.name
    renamed = (replace(entry, name=known.get((entry.tag, entry.name), entry.name)) for entry in entries)
    return tuple(sorted(map(str, renamed)))


def _known(of: Callable[[str], int], name: str) -> int | None:
    try:
        return of(name)
    except ResourceError:
        return None  # an account that does not exist yet is said when it is needed
