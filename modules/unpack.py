"""Archives, looked at before anything of them is used: what would lie outside of its target, or fill the disk, is refused."""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from modules.api import ResourceError
from modules.paths import Wanted

MOST_ENTRIES = 100_000
MOST_BYTES = 8 << 30  # of all files together
MOST_HEADER = 1 << 20  # bytes that describe one member of a tar: its long name, its attributes, its map of holes
MOST_DIRECTORY = 16 << 20  # bytes of the directory of a zip
_CHUNK = 1 << 20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError),
    *(OverflowError, RecursionError, NotImplementedError),
)
_ZIP = (b"PK\3\4", b"PK\5\6")
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # all else is decompressed as much as it may be, at once

Open = Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Member:
    """One thing in an archive, at a path below the target."""

    path: str
    type: Wanted
    mode: int = 0
    size: int = 0  # bytes
    target: str = ""
    open: Open | None = None

    def parts(self) -> Iterator[bytes]:
        """The bytes of a file, in parts. Raises ResourceError."""
        if self.open is None:
            raise ResourceError(f"{self.path} is a {self.type} and has no bytes")
        with _undamaged(self.path), self.open() as data:
            while part := data.read(_CHUNK):
                yield part


@contextmanager
def opened(file: str, strip: int) -> Iterator[list[Member]]:
    """What is in an archive (tar, however compressed, or zip), in its order, without the first `strip` directories.

    Raises ResourceError for what it may not hold.
    """
    with open(file, "rb") as whole:
        with _undamaged("it"):
            is_zip = whole.read(4) in _ZIP
            whole.seek(0)
            found = _in_zip(_zip(whole)) if is_zip else _in_tar(_Tar.open(fileobj=whole, mode="r:*"))
            members = _placed(found, strip)
        yield members


class _Metered:
    """A file that gives only so many bytes: what describes an archive is read into memory, however much it says it is."""

    def __init__(self, file: Any, most: int) -> None:  # noqa: ANN401  (whatever decompresses)
        self._file, self._most, self._left = file, most, most

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises ResourceError when these are too many."""
        data: bytes = self._file.read(size if 0 <= size <= self._left else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise ResourceError(f"it is described by more than {self._most} bytes, which no honest archive is")
        return data

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._file, name)


class _Tar(tarfile.TarFile):
    """A tar whose headers are metered."""

    def next(self) -> tarfile.TarInfo | None:
        """The next member."""
        whole = self.fileobj
        self.fileobj = _Metered(whole, MOST_HEADER)
        try:
            return super().next()
        finally:
            self.fileobj = whole


def _zip(whole: IO[bytes]) -> zipfile.ZipFile:
    """A zip whose directory was metered when it was read."""
    archive = zipfile.ZipFile(_Metered(whole, MOST_DIRECTORY))
    archive.fp = whole
    return archive


@contextmanager
def _undamaged(what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise ResourceError(f"cannot unpack {what}: {str(error) or type(error).__name__}") from error


def _in_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        kind = stat.S_IFMT(mode)
        if info.flag_bits & 1:
            raise ResourceError(f"it holds {info.filename}, which is encrypted")
        if info.compress_type not in _BOUNDED:
            raise ResourceError(f"it holds {info.filename}, which is compressed by another way than deflate")
        if info.is_dir():
            yield Member(info.filename, "directory", 0o755)
        elif kind == stat.S_IFLNK:
            if info.file_size > 4096:
                raise ResourceError(f"it holds the link {info.filename}, whose target is longer than any path")
            yield Member(info.filename, "symlink", target=archive.read(info).decode(errors="surrogateescape"))
        elif kind not in (0, stat.S_IFREG):
            raise ResourceError(f"it holds {info.filename}, which is neither a file, a directory nor a link")
        else:
            yield Member(info.filename, "file", mode & 0o755 or 0o644, info.file_size, open=_opener(archive, info))


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Open:
    return lambda: archive.open(info)


def _in_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    files: dict[str, tarfile.TarInfo] = {}
    for info in archive:
        if info.isdir():
            yield Member(info.name, "directory", info.mode & 0o755 | 0o700)
        elif info.issym():
            yield Member(info.name, "symlink", target=info.linkname)
        elif info.isreg() or info.islnk():
            whole = info if info.isreg() else files.get(os.path.normpath(info.linkname))
            if whole is None:
                raise ResourceError(
                    f"it holds the hard link {info.name} to {info.linkname}, which is no earlier file of it"
                )
            files[os.path.normpath(info.name)] = whole
            yield Member(info.name, "file", whole.mode & 0o755 | 0o600, whole.size, open=_reader(archive, whole))
        else:
            raise ResourceError(f"it holds {info.name}, which is neither a file, a directory nor a link")


def _reader(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Open:
    def read() -> IO[bytes]:
        data = archive.extractfile(info)
        if data is None:
            raise ValueError(f"{info.name} has no bytes")
        return data

    return read


def _placed(found: Iterable[Member], strip: int) -> list[Member]:
    """Members by their paths below the target, each checked as it comes, so that a bomb is not unpacked to be found."""
    members: dict[str, Member] = {}
    total = 0
    for count, member in enumerate(found):
        total += member.size
        if count >= MOST_ENTRIES or total > MOST_BYTES:
            raise ResourceError(f"it holds more than {MOST_ENTRIES} entries, or more than {MOST_BYTES} bytes")
        path = _below(member.path, strip)
        if path:
            members.pop(path, None)  # as tar(1) does: the last of several is the one
            members[path] = Member(path, member.type, member.mode, member.size, member.target, member.open)
    for member in members.values():
        _refuse_escape(member, members)
    return list(members.values())


def _below(name: str, strip: int) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ResourceError(f"it holds {name!r}, which would lie outside of its directory")
    return "/".join(parts[strip:])


def _refuse_escape(member: Member, members: Mapping[str, Member]) -> None:
    above = os.path.dirname(member.path)
    while above:
        if above in members and members[above].type != "directory":
            raise ResourceError(f"it holds {member.path}, which would lie behind {above}, a {members[above].type}")
        above = os.path.dirname(above)
    if member.type != "symlink":
        return
    parts = [part for part in member.target.split("/") if part not in ("", ".")]
    up = sum(part == ".." for part in parts)
    # `..` after a name may lead anywhere when that is a link, so it may only come first
    if member.target.startswith("/") or ".." in parts[up:] or up > member.path.count("/"):
        raise ResourceError(f"it holds the link {member.path} to {member.target}, which leads outside of its directory")
