"""User and group names of a host: of this machine by its name service, of another root by its own files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from agent.host.files import LocalFileView
from modules.api import ResourceError

_LARGEST = 16 << 20  # bytes of a passwd or group file
_LAST_ID = (1 << 32) - 2  # the number after it stands for "leave it" in chown(2)

T = TypeVar("T")


@dataclass(frozen=True)
class _Names:
    """How one sort of account is looked up; None says that there is none."""

    sort: str  # user, group
    file: str
    by_name: Callable[[str], int | None]
    by_id: Callable[[int], str | None]


class LocalAccounts:
    """Names and numbers, each asked for once; a name that is missing is asked for again, as a package may bring it."""

    def __init__(self, root: str, files: LocalFileView) -> None:
        """`root` is empty for this machine, else another root, whose files are read through `files`."""
        if root:
            self._users = _file_names("user", "/etc/passwd", files)
            self._groups = _file_names("group", "/etc/group", files)
        else:
            self._users, self._groups = _machine_users(), _machine_groups()
        self._files, self._elsewhere = files, bool(root)
        self.forget()

    def forget(self) -> None:
        """Ask again for everything: a command ran, which may have added accounts."""
        self._names: dict[tuple[str, int], str] = {}
        self._ids: dict[tuple[str, str], int] = {}

    def user_name(self, uid: int) -> str:
        """The name of `uid`, or its number as text."""
        return self._name(self._users, uid)

    def group_name(self, gid: int) -> str:
        """The name of `gid`, or its number as text."""
        return self._name(self._groups, gid)

    def user_id(self, name: str) -> int:
        """The uid of a name or of a number as text. Raises ResourceError when the host has no such user."""
        return self._id(self._users, name)

    def group_id(self, name: str) -> int:
        """The gid of a name or of a number as text. Raises ResourceError when the host has no such group."""
        return self._id(self._groups, name)

    def home_at(self, path: str, uid: int) -> str:
        """The name of whoever has the directory at `path`, which `uid` owns, as home; empty when nobody has.

        Asked are the accounts of the local file, and the owner, whom a directory service may know: it cannot be asked
        for everybody.
        """
        lines = _accounts(self._files, "/etc/passwd")
        name = next((fields[0] for fields in lines if len(fields) > 5 and _is_home(fields[5], path)), "")
        if name or self._elsewhere:
            return name
        import pwd

        owner = _or_none(lambda: pwd.getpwuid(uid))
        return owner.pw_name if owner is not None and _is_home(owner.pw_dir, path) else ""

    def _name(self, names: _Names, number: int) -> str:
        key = (names.sort, number)
        if key not in self._names:
            self._names[key] = names.by_id(number) or str(number)
        return self._names[key]

    def _id(self, names: _Names, name: str) -> int:
        key = (names.sort, name)
        if key not in self._ids:
            found = _number(names.sort, name) if name.isascii() and name.isdigit() else names.by_name(name)
            if found is None:
                raise self._missing(names, name)
            self._ids[key] = found
        return self._ids[key]

    def _missing(self, names: _Names, name: str) -> ResourceError:
        """Only the local file is searched for a likely name: a directory service may have millions."""
        from difflib import get_close_matches

        near: list[str] = []
        with suppress(ResourceError):  # a suggestion is not worth another error
            near = get_close_matches(name, _entries(self._files, names.file), n=1)
        likely = f'; did you mean "{near[0]}"?' if near else ""
        return ResourceError(
            f'there is no {names.sort} "{name}" on this host{likely}; create it first (a package may bring it), '
            f"or give a number"
        )


def _number(sort: str, text: str) -> int:
    number = int(text) if len(text) <= 10 else _LAST_ID + 1
    if number > _LAST_ID:
        raise ResourceError(f"{text} is no {sort} id: the highest is {_LAST_ID}")
    return number


def _machine_users() -> _Names:
    import pwd

    return _Names(
        "user",
        "/etc/passwd",
        lambda name: _or_none(lambda: pwd.getpwnam(name).pw_uid),
        lambda number: _or_none(lambda: pwd.getpwuid(number).pw_name),
    )


def _machine_groups() -> _Names:
    import grp

    return _Names(
        "group",
        "/etc/group",
        lambda name: _or_none(lambda: grp.getgrnam(name).gr_gid),
        lambda number: _or_none(lambda: grp.getgrgid(number).gr_name),
    )


def _or_none(look_up: Callable[[], T]) -> T | None:
    try:
        return look_up()
    except KeyError:
        return None


def _file_names(sort: str, file: str, files: LocalFileView) -> _Names:
    def by_name(name: str) -> int | None:
        return 0 if name == "root" else _entries(files, file).get(name)

    def by_id(number: int) -> str | None:
        names = (name for name, known in _entries(files, file).items() if known == number)
        return next(names, "root" if number == 0 else None)

    return _Names(sort, file, by_name, by_id)


def _entries(files: LocalFileView, file: str) -> Mapping[str, int]:
    """Names and numbers of a file in the form of passwd(5) and group(5); lines in another form are not accounts."""
    entries: dict[str, int] = {}
    for name, _, number, *_ in _accounts(files, file):
        if number.isascii() and number.isdigit():
            entries.setdefault(name, int(number))
    return entries


def _is_home(directory: str, path: str) -> bool:
    return bool(directory) and os.path.normpath(directory) == path


def _accounts(files: LocalFileView, file: str) -> Iterator[list[str]]:
    """The fields of each line that may be an account."""
    if files.lstat(file) is not None:
        for line in files.read(file, _LARGEST).decode("utf-8", "surrogateescape").splitlines():
            fields = line.split(":")
            if len(fields) > 2 and fields[0]:
                yield fields
