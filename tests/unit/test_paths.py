"""What may replace what: every pair of kinds found and wanted, with and without force, on real files."""

from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.host import LocalHost
from modules.api import Content, Resource, ResourceError
from modules.archive import Archive
from modules.directory import Directory
from modules.download import Download
from modules.file import File
from modules.line import Line
from modules.paths import ancestors, unit_file_refreshes
from modules.symlink import Symlink
from tests.unit.convergence import converge, text
from tests.unit.mounts import bound, needs_root, small_disk

OUTSIDE = ("outside", "outside/file", "outside/directory", "outside/directory/kept")


def make_socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


def make_full_directory(path: Path) -> None:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "file").touch()


FOUND: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "file": lambda path: path.write_bytes(b"found"),
    "empty directory": lambda path: path.mkdir(),
    "full directory": make_full_directory,
    "link to file": lambda path: path.symlink_to("outside/file"),
    "link to link to file": lambda path: path.symlink_to("outside/link to file"),
    "link to directory": lambda path: path.symlink_to("outside/directory"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "looping link": lambda path: path.symlink_to(path.name),
    "fifo": os.mkfifo,
    "socket": make_socket,
    "block": lambda path: os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 250)),
    "char": lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
}

# what becomes of it: done without force, done only with force, or never done; what is no file is not edited
TABLE = """
                      file    directory  symlink  absent  download  archive  line
missing               done    done       done     done    done      done     done
file                  done    force      force    done    done      force    done
empty directory       force   done       force    done    force     done     edit
full directory        force   done       never    force   force     done     edit
link to file          force   force      done     done    force     force    edit
link to link to file  force   force      done     done    force     force    edit
link to directory     force   never      done     done    force     never    edit
dangling link         force   never      done     done    force     never    edit
looping link          force   never      done     done    force     loop     edit
fifo                  force   never      never    done    force     never    edit
socket                force   never      never    done    force     never    edit
block                 never   never      never    never   never     never    edit
char                  never   never      never    never   never     never    edit
"""
WANTED = TABLE.split("\n")[1].split()
CASES = [
    pytest.param(
        line[:22].strip(),
        wanted,
        rule,
        force,
        id=f"{line[:22].strip()} -> {wanted}{' by force' if force else ''}",
        marks=needs_root if line.startswith(("block", "char")) else (),
    )
    for line in TABLE.strip("\n").split("\n")[1:]
    for wanted, rule in zip(WANTED, line[22:].split(), strict=True)
    for force in (False, True)
]


def resources(path: Path, wanted: str, force: bool) -> list[Resource]:
    """The resource of a wish; all three kinds mean the same by absent."""
    where = str(path)
    wishes: dict[str, list[Resource]] = {
        "file": [File(path=where, content=text("new"), force=force)],
        "directory": [Directory(path=where, force=force)],
        "symlink": [Symlink(path=where, target="nowhere/else", force=force)],
        "absent": [kind(path=where, ensure="absent", force=force) for kind in (File, Directory, Symlink)],
        "download": [Download(path=where, url=served(path, "new"), checksum=text("new").digest, force=force)],
        "archive": [Archive(path=where, source=text(one_file()), force=force)],
        "line": [Line(path=where, text="new", create=True)],
    }
    return wishes[wanted]


MADE = {"download": "file", "archive": "directory", "line": "file"}


def served(path: Path, data: str) -> Content:
    elsewhere = path.parent.with_name(f"{path.parent.name}-served")
    elsewhere.write_text(data)
    return Content("", -1, url=f"file://{elsewhere}")


def one_file() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("member"))
    return made.getvalue()


def form(path: Path) -> str:
    if not os.path.lexists(path):
        return "absent"
    if path.is_symlink():
        return "symlink"
    return "directory" if path.is_dir() else "file" if path.is_file() else "special"


def snapshot(path: Path) -> object:
    if not os.path.lexists(path):
        return None
    shown = path.lstat()
    inside = sorted(str(name) for name in path.rglob("*")) if path.is_dir() and not path.is_symlink() else []
    return (shown.st_ino, shown.st_mode, shown.st_uid, shown.st_rdev, shown.st_size, inside)


def surroundings(directory: Path) -> list[object]:
    outside = [(name, snapshot(directory / name), (directory / name).lstat().st_ctime_ns) for name in OUTSIDE]
    return [*outside, sorted(name for name in os.listdir(directory) if name != "path")]


@pytest.mark.parametrize(("found", "wanted", "rule", "force"), CASES)
def test_every_pair_of_what_is_found_and_what_is_wanted(
    tmp_path: Path, found: str, wanted: str, rule: str, force: bool
) -> None:
    (tmp_path / "outside" / "directory").mkdir(parents=True)
    (tmp_path / "outside" / "file").write_bytes(b"outside")
    (tmp_path / "outside" / "link to file").symlink_to("file")
    (tmp_path / "outside" / "directory" / "kept").touch()
    path = tmp_path / "path"
    wishes = resources(path, wanted, force)
    around = surroundings(tmp_path)
    for resource in wishes:
        FOUND[found](path)
        before = snapshot(path)
        if rule == "done" or (rule == "force" and force):
            converge(resource, LocalHost())
            assert form(path) == MADE.get(wanted, wanted)
            if wanted in ("file", "download", "line"):
                assert path.read_bytes().removeprefix(b"found\n").strip() == b"new"
        else:
            with pytest.raises(ResourceError) as caught:
                converge(resource, LocalHost())
            assert str(path) in str(caught.value)
            hint = {"force": "force: true", "never": "by hand", "edit": "edit", "loop": "remove one of them"}[rule]
            assert hint in str(caught.value), "a message says what to do"
            assert snapshot(path) == before
            if wanted == "absent":
                remove_by_hand(path)
        assert surroundings(tmp_path) == around


def remove_by_hand(path: Path) -> None:
    if path.is_dir():
        LocalHost().files.remove_directory(str(path), recursive=True)
    else:
        path.unlink()


@needs_root
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("wanted", ["file", "symlink", "absent"])
def test_a_mount_point_is_never_replaced_or_removed(tmp_path: Path, wanted: str, force: bool) -> None:
    with small_disk(tmp_path / "path") as path:
        for content in ([], ["kept"]):
            for name in content:
                (path / name).touch()
            for resource in resources(path, wanted, force):
                with pytest.raises(ResourceError, match=r"mount point|force: true|force does not"):
                    converge(resource, LocalHost())
                assert path.is_mount()
                assert os.listdir(path) == content
        converge(Directory(path=str(path), mode="0711"), LocalHost())
        assert stat.S_IMODE(path.stat().st_mode) == 0o711
    assert os.listdir(tmp_path) == ["path"]


@needs_root
def test_a_mounted_file_is_rewritten_but_neither_removed_nor_made_something_else(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"old")
    (tmp_path / "path").touch()
    with bound(tmp_path / "source", tmp_path / "path") as path:
        for wanted in ("symlink", "directory", "absent"):
            for resource in resources(path, wanted, force=True):
                with pytest.raises(ResourceError, match="mount point"):
                    converge(resource, LocalHost())
                assert path.read_bytes() == b"old"
        converge(resources(path, "file", force=False)[0], LocalHost())
        assert path.read_bytes() == b"new"
    assert (tmp_path / "source").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["path", "source"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("outside", "is a link to outside, and"),
        ("nowhere", r"is a link to nowhere \(which does not exist\), and"),
        ("path", r"is a link to path \(which leads back to itself\), and"),
        ("loop/x", r"is a link to loop/x \(which is not followed\), and"),
    ],
)
def test_a_link_in_the_way_is_named_with_where_it_leads(tmp_path: Path, target: str, said: str) -> None:
    (tmp_path / "outside").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "path").symlink_to(target)
    with pytest.raises(ResourceError, match=f"path {said} a file is wanted there; set force: true to replace it"):
        converge(resources(tmp_path / "path", "file", force=False)[0], LocalHost())


def test_keys_of_the_directories_above_are_nearest_first() -> None:
    assert ancestors("/etc/nginx/nginx.conf") == ("path:/etc/nginx", "path:/etc", "path:/")
    assert ancestors("/") == ()


@pytest.mark.parametrize(
    ("path", "owed"),
    [
        ("/etc/systemd/system/a.service", True),
        ("/etc/systemd/system/a.service.d/b.conf", True),
        ("/usr/lib/systemd/system/a.timer", True),
        ("/lib/systemd/system/a.timer", True),
        ("/run/systemd/system/a.service", True),
        ("/usr/local/lib/systemd/system/a.service", True),
        ("/etc/containers/systemd/a.container", True),
        ("/etc/systemd/system.conf", False),
        ("/etc/systemd/user/a.service", False),
        ("/srv/etc/systemd/system/a.service", False),
    ],
)
def test_systemd_is_told_of_its_own_files_only(path: str, owed: bool) -> None:
    for kind in (File, Directory, Symlink):
        assert tuple(kind(path=path).host_refreshes()) == (("daemon-reload",) if owed else ())
    assert unit_file_refreshes(path) == (("daemon-reload",) if owed else ())
