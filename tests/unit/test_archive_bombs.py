"""Archives whose descriptions of what they hold are themselves the bomb: refused with little memory."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

MEMORY = 256 << 20  # bytes above what the process has before
LOOK = f"""
import resource, sys
from modules.api import ResourceError
from modules.unpack import opened
import bz2, lzma, tarfile, zipfile, zlib
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + {MEMORY}, used + {MEMORY}))
try:
    with opened(sys.argv[1], 0) as members:
        for member in members:
            if member.type == "file":
                for part in member.parts():
                    pass
except ResourceError as error:
    print(error)
"""


def header(kind: bytes, size: int, name: str = "member") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def hole(path: Path, kind: bytes) -> None:
    """A header that says it is followed by two gigabytes of another: all of them a hole in the file."""
    with path.open("wb") as file:
        file.write(header(kind, 2 << 30))
        file.truncate(512 + (2 << 30))


def old_sparse(path: Path) -> None:
    """A map of holes of the old form of GNU, which goes on and on."""
    first = bytearray(header(tarfile.GNUTYPE_SPARSE, 0))
    first[482] = 1  # there is more of the map
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    more = b"00000000001\0" * 42 + b"\1" + bytes(7)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(bytes(first))
        for _ in range(200):
            file.write(more * 1000)


def new_sparse(path: Path) -> None:
    """A map of holes of the newer form, before the bytes of the member."""
    info = tarfile.TarInfo("member")
    info.size = 200_000_000
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "member"}
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(info.tobuf(tarfile.PAX_FORMAT))
        file.write(b"1000000000\n")
        for _ in range(200):
            file.write(b"1\n" * 500_000)


def directory_of_a_zip(path: Path) -> None:
    """The directory of a zip that claims most of a sparse file."""
    size = 1 << 30
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.seek(4 + size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 4, 0))


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pax header": (lambda path: hole(path, tarfile.XHDTYPE), "more than 1048576 bytes"),
    "global pax header": (lambda path: hole(path, tarfile.XGLTYPE), "more than 1048576 bytes"),
    "long name": (lambda path: hole(path, tarfile.GNUTYPE_LONGNAME), "more than 1048576 bytes"),
    "long link": (lambda path: hole(path, tarfile.GNUTYPE_LONGLINK), "more than 1048576 bytes"),
    "old sparse map": (old_sparse, "more than 1048576 bytes"),
    "new sparse map": (new_sparse, "more than 1048576 bytes"),
    "directory of a zip": (directory_of_a_zip, "more than 16777216 bytes"),
}


@pytest.mark.processes(reason="a limit of memory is for a whole process")
@pytest.mark.parametrize("name", BOMBS)
def test_little_memory_is_enough_to_refuse_it(tmp_path: Path, name: str) -> None:
    make, said = BOMBS[name]
    make(tmp_path / "bomb")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, tmp_path / "bomb"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
