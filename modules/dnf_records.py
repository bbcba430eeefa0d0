"""What dnf keeps in files: why each package was installed, and how repositories rank."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from modules.api import FileView, HostView, ResourceError

STATE_5 = "/usr/lib/sysimage/libdnf5/packages.toml"
_HISTORY_4 = "/var/lib/dnf/history.sqlite"
_DIRECTORIES = ("/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d", "/etc/dnf/repos.override.d")
USUAL_PRIORITY = 99  # of a repository that says nothing
_DEPENDENCIES_5 = ("Dependency", "Weak Dependency")
_DEPENDENCIES_4 = (1, 4)  # a dependency, a weak one
_REASONS = """
    SELECT name, arch, reason, max(trans_item.id) FROM trans_item JOIN trans ON trans.id = trans_id
    JOIN rpm USING (item_id) WHERE trans.state = 1 AND action NOT IN (3, 5, 7, 10) GROUP BY name, arch
"""
_WAL_HEADER, _FRAME_HEADER = 32, 24


def came_along(host: HostView, accepts: Callable[[str, str], bool], *, dnf_5: bool) -> set[str]:
    """What was installed as a dependency only; names alone where `accepts` takes their architecture for the host's."""
    rows = _reasons_of_5(host.files) if dnf_5 else _reasons_of_4(host.files)
    found = set()
    for name, architecture in rows:
        found.add(f"{name}:{architecture}")
        if accepts(name, architecture):
            found.add(name)
    return found


def priorities(files: FileView) -> Mapping[str, int]:
    """The priority of each repository that has one of its own; the lowest goes first."""
    from configparser import RawConfigParser
    from contextlib import suppress

    parser = RawConfigParser(strict=False, delimiters=("=",), default_section="")
    for directory in _DIRECTORIES:
        for name in files.listdir(directory):
            if name.endswith(".repo"):
                with suppress(Exception):  # dnf says what is wrong with it
                    parser.read_string(files.read(f"{directory}/{name}").decode(errors="replace"))
    given = {section: parser[section].get("priority", "") for section in parser.sections()}
    return {section: int(text) for section, text in given.items() if text.strip().isdecimal()}


def _reasons_of_5(files: FileView) -> Iterator[tuple[str, str]]:
    import tomllib

    if files.lstat(STATE_5) is None:
        return
    try:
        packages = tomllib.loads(files.read(STATE_5).decode(errors="replace")).get("packages", {})
    except tomllib.TOMLDecodeError as error:
        raise ResourceError(f"cannot tell what came as a dependency: {STATE_5}: {error}") from error
    for key, package in packages.items():
        if package.get("reason") in _DEPENDENCIES_5:
            name, _, architecture = key.rpartition(".")
            yield name, architecture


def _reasons_of_4(files: FileView) -> Iterator[tuple[str, str]]:
    """By dnf's own rule: what its last transaction says, but for actions on what only went for another version to come."""
    import sqlite3

    if files.lstat(_HISTORY_4) is None:
        return
    data = bytearray(files.read(_HISTORY_4))
    if files.lstat(f"{_HISTORY_4}-wal") is not None:
        _replay(data, files.read(f"{_HISTORY_4}-wal"))
    data[18:20] = b"\1\1"  # a copy in memory has no log beside it
    with closing(sqlite3.connect(":memory:")) as history:
        try:
            history.deserialize(bytes(data))
            rows = history.execute(_REASONS).fetchall()
        except sqlite3.Error as error:
            raise ResourceError(f"cannot tell what came as a dependency: {_HISTORY_4}: {error}") from error
    yield from ((name, architecture) for name, architecture, reason, _ in rows if reason in _DEPENDENCIES_4)


def _replay(data: bytearray, log: bytes) -> None:
    """Put what SQLite has committed to its log into a copy of the database (sqlite.org/fileformat2.html, 4).

    dnf leaves its log beside the database, and opening that in place would write there.
    """
    if len(log) < _WAL_HEADER:
        return
    size = struct.unpack(">I", log[8:12])[0]
    salts = log[16:24]
    pages: dict[int, int] = {}  # page -> where it is in the log, of the transaction that is being read
    for at in range(_WAL_HEADER, len(log) - size - _FRAME_HEADER + 1, size + _FRAME_HEADER):
        page, count = struct.unpack(">II", log[at : at + 8])
        if log[at + 8 : at + 16] != salts:
            return  # left from before the log was begun again
        pages[page] = at + _FRAME_HEADER
        if count:
            data.extend(bytes(max(count * size - len(data), 0)))
            for number, start in pages.items():
                data[(number - 1) * size : number * size] = log[start : start + size]
            pages.clear()
