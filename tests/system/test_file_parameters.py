"""Every parameter of file and directory, each fourfold, on a real file system, judged by its own tools."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.disks import ext4
from tests.unit.holding import Holding

LABEL = "system_u:object_r:etc_t:s0"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with ext4(tmp_path_factory.mktemp("disk")) as at:
        yield at


@pytest.fixture
def held(disk: Path, tmp_path: Path) -> Holding:
    root = disk / tmp_path.name
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_text("root:x:0:0::/:\nalice:x:1001:1001::/:\nbob:x:1002:1002::/:\n")
    (root / "etc" / "group").write_text("root:x:0:\nadm:x:4:\nalice:x:1001:\n")
    return Holding(root, tmp_path / "state")


def said(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def do(*argv: str | Path) -> Callable[[Path], object]:
    """A command with the path at its end."""
    return lambda path: said(*argv, path)


def shows(*argv: str, has: str = "", lacks: str = "\1") -> Callable[[Path], object]:
    """A command with the path at its end prints something, and not something else."""

    def check(path: Path) -> None:
        printed = said(*argv, path)
        assert has in printed
        assert lacks not in printed

    return check


def is_(mode: str, owner: str = "0:0") -> Callable[[Path], object]:
    return shows("stat", "-c", "%a %u:%g ", has=f"{mode} {owner} ")


def holds(text: str) -> Callable[[Path], object]:
    def check(path: Path) -> None:
        assert path.read_text() == text

    return check


def write(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


TEXT_FOUND = write("text")


@dataclass(frozen=True)
class Case:
    """One parameter: what is found, what is wished, how that shows, how it drifts by hand, and how the plan says so."""

    wish: dict[str, Any]
    check: Callable[[Path], object]
    drift: Callable[[Path], object]
    shown: str  # the property that the drift is of
    found: Callable[[Path], object] = TEXT_FOUND
    kind: str = "file"


TEXT = {"content": "text"}
ACL = {"mode": "0640", "acl": ["user:alice:rw", "group:4:r"]}
getfacl = ("getfacl", "-n", "-p", "-c")
label = ("getfattr", "-h", "--only-values", "-n", "security.selinux")
CASES: dict[str, Case] = {
    "content": Case({"content": "new"}, holds("new"), write("drift"), "content"),
    "empty content": Case({"content": ""}, holds(""), write("drift"), "content"),
    "content of a missing file": Case(TEXT, holds("text"), os.unlink, "ensure", found=lambda path: None),
    "owner by name": Case({"owner": "alice"}, is_("644", "1001:0"), do("chown", "0"), "owner"),
    "owner by number": Case({"owner": "1002"}, is_("644", "1002:0"), do("chown", "7"), "owner"),
    "group by name": Case({"group": "adm"}, is_("644", "0:4"), do("chgrp", "0"), "group"),
    "group by number": Case({"group": "77"}, is_("644", "0:77"), do("chgrp", "0"), "group"),
    "octal mode": Case({"mode": "0600"}, is_("600"), do("chmod", "644"), "mode"),
    "three digits clear the rest": Case({"mode": "755"}, is_("755"), do("chmod", "6755"), "mode"),
    "set-user-ID, and an owner": Case(
        {"mode": "4755", "owner": "alice"}, is_("4755", "1001:0"), do("chown", "0"), "owner"
    ),
    "sticky bit": Case({"mode": "1777"}, is_("1777"), do("chmod", "0777"), "mode", os.mkdir, "directory"),
    "symbolic u=rw,go=r": Case({"mode": "u=rw,go="}, is_("600"), do("chmod", "666"), "mode"),
    "symbolic u+x,g-w": Case({"mode": "u+x,g-w"}, is_("744"), do("chmod", "0664"), "mode"),
    "symbolic g=u": Case({"mode": "g=u"}, is_("664"), do("chmod", "604"), "mode"),
    "symbolic on what is missing": Case(
        {"mode": "u+x", **TEXT}, is_("744"), os.unlink, "ensure", found=lambda path: None
    ),
    "symbolic a=rX of a directory": Case(
        {"mode": "a=rX"}, is_("555"), do("chmod", "700"), "mode", os.mkdir, "directory"
    ),
    "r implies x in a directory": Case({"mode": "0640"}, is_("750"), do("chmod", "700"), "mode", os.mkdir, "directory"),
    "replace: false makes what is missing": Case(
        {"replace": False, **TEXT}, holds("text"), os.unlink, "ensure", found=lambda path: None
    ),
    "replace: false holds the mode": Case(
        {"replace": False, "content": "other", "mode": "0600"}, holds("text"), do("chmod", "644"), "mode"
    ),
    "ensure: absent": Case({"ensure": "absent"}, lambda path: not path.exists() or 1 / 0, write("x"), "ensure"),
    "force": Case(
        {"force": True, **TEXT}, holds("text"), lambda path: said("ln", "-sf", "x", path), "ensure", os.mkdir
    ),
    "sensitive": Case({"sensitive": True, "content": "new"}, holds("new"), write("drift"), "content"),
    "sensitive, and new": Case(
        {"sensitive": True, **TEXT}, is_("600"), os.unlink, "ensure", found=lambda path: None
    ),
    "acl": Case(
        ACL, shows(*getfacl, has="user::rw-\nuser:1001:rw-\ngroup::r--\ngroup:4:r--\nmask::rw-\nother::---"),
        do("setfacl", "-b"), "acl",
    ),
    "acl, without a wished entry": Case(
        ACL, shows(*getfacl, has="user:1001:rw-"), do("setfacl", "-x", "u:1001"), "acl"
    ),
    "acl, with another entry": Case(
        ACL, shows(*getfacl, lacks="user:1002"), do("setfacl", "-m", "u:1002:rw"), "acl"
    ),
    "acl, and the group's own": Case(ACL, shows(*getfacl, has="group::r--"), do("setfacl", "-m", "g::rwx"), "mode"),
    "acl, with a mask": Case(
        {"acl": ["user:alice:rw", "mask::r"]}, shows(*getfacl, has="mask::r--"), do("chmod", "g+w"), "acl"
    ),
    "no acl": Case(
        {"acl": []}, shows(*getfacl, lacks="user:1001"), do("setfacl", "-m", "u:1001:rw"), "acl",
        found=lambda path: (path.write_text(""), said("setfacl", "-m", "u:1001:r", path)),
    ),
    "default acl": Case(
        {"acl": ["default:user:alice:rwx"], "mode": "0750"},
        shows(*getfacl, has="default:user::rwx\ndefault:user:1001:rwx\ndefault:group::r-x\ndefault:mask::rwx"),
        do("setfacl", "-k"), "acl", os.mkdir, "directory",
    ),
    "acl of a new file": Case(
        {**ACL, **TEXT}, shows(*getfacl, has="user:1001:rw-"), os.unlink, "ensure", found=lambda path: None
    ),
    "xattr": Case(
        {"xattr": {"user.a": "one", "user.b": "two words"}},
        shows("getfattr", "-d", has='user.a="one"\nuser.b="two words"'), do("setfattr", "-x", "user.a"), "xattr",
    ),
    "xattr of a directory": Case(
        {"xattr": {"user.a": "one"}}, shows("getfattr", "-d", has='user.a="one"'),
        do("setfattr", "-n", "user.a", "-v", "two"), "xattr", os.mkdir, "directory",
    ),
    "attributes": Case({"attributes": "+i"}, shows("lsattr", "-d", has="-i-"), do("chattr", "-i"), "attributes"),
    "attributes of what is new": Case(
        {"attributes": "+A", **TEXT}, shows("lsattr", "-d", has="A"), do("chattr", "-A"), "attributes",
        found=lambda path: None,
    ),
    "attributes cleared": Case(
        {"attributes": "-A"}, shows("lsattr", "-d", lacks="A"), do("chattr", "+A"), "attributes",
        found=lambda path: (path.write_text(""), said("chattr", "+A", path)),
    ),
    "immutable, with another content": Case(
        {"attributes": "+i", "content": "new"}, shows("lsattr", "-d", has="-i-"),
        lambda path: (said("chattr", "-i", path), path.write_text("drift"), said("chattr", "+i", path)), "content",
    ),
    "immutable, with another mode": Case(
        {"attributes": "=i", "mode": "0600"}, is_("600"),
        lambda path: (said("chattr", "-i", path), said("chmod", "644", path), said("chattr", "+i", path)), "mode",
    ),
    "immutable directory": Case(
        {"attributes": "+i", "mode": "0700"}, shows("lsattr", "-d", has="-i-"), do("chattr", "-i"), "attributes",
        os.mkdir, "directory",
    ),
    "backup": Case({"backup": True, "content": "new"}, holds("new"), write("drift"), "content"),
    "validate": Case({"validate": ["grep", "-q", "new", "%s"], "content": "new"}, holds("new"), write("x"), "content"),
    "directory": Case({}, is_("755"), os.rmdir, "ensure", lambda path: None, "directory"),
    "directory, absent": Case(
        {"ensure": "absent"}, lambda path: not path.exists() or 1 / 0, os.mkdir, "ensure", os.mkdir, "directory"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_parameter_is_planned_done_left_alone_and_repaired(held: Holding, name: str) -> None:
    case = CASES[name]
    path = held.root / "path"
    case.found(path)
    try:
        step = held.fourfold([{case.kind: "/path", **case.wish}], lambda: case.check(path), lambda: case.drift(path))
        assert case.shown in step.drift, step.drift
    finally:
        if path.exists():
            said("chattr", "-ia", path)
    assert sorted(set(os.listdir(held.root)) - {"path"}) == ["etc"], "nothing else is there"


def test_parents_belong_to_whom_what_is_in_them_belongs(held: Holding) -> None:
    wish = {"file": "/a/b/x", "content": "", "owner": "alice", "group": "adm", "parents": "0750"}
    held.fourfold(
        [wish],
        lambda: is_("750", "1001:4")(held.root / "a/b"),
        lambda: said("rm", "-r", held.root / "a/b"),
    )


def test_a_content_takes_after_the_file_it_replaces(held: Holding) -> None:
    path = held.root / "path"
    path.write_text("old")
    said("setfacl", "-m", "u:1001:rw,g::-", path)
    said("setfattr", "-n", "user.mark", "-v", "theirs", path)
    said("setfattr", "-n", "security.selinux", "-v", LABEL, path)
    before = said(*getfacl, path), said("getfattr", "-d", "-m", "user|selinux", "--absolute-names", path)
    assert held.converged([{"file": "/path", "content": "new"}]) == ["file:/path"]
    assert path.read_text() == "new"
    assert (said(*getfacl, path), said("getfattr", "-d", "-m", "user|selinux", "--absolute-names", path)) == before


def test_a_directorys_default_list_is_for_what_is_new_in_it(held: Holding) -> None:
    (held.root / "old").write_text("old")
    said("setfacl", "-d", "-m", "u:1001:rw", held.root)
    held.converged([{"file": "/old", "content": "x"}, {"file": "/new", "content": "x"}])
    assert "user:1001:rw-" in said(*getfacl, held.root / "new")
    assert "user:1001" not in said(*getfacl, held.root / "old"), "what is replaced had none, and has none"


def test_capabilities_are_not_handed_to_another_content(held: Holding) -> None:
    path = held.root / "tool"
    path.write_text("old")
    os.setxattr(path, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    held.converged([{"file": "/tool", "content": "new"}])
    assert "security.capability" not in os.listxattr(path)


def test_hard_links_stay_unless_the_content_is_another(held: Holding) -> None:
    path, other = held.root / "path", held.root / "other"
    path.write_text("text")
    os.link(path, other)
    held.converged([{"file": "/path", "content": "text", "mode": "0600", "acl": ["user:alice:r"]}])
    assert path.stat().st_nlink == 2
    assert stat.S_IMODE(other.stat().st_mode) == 0o640
    held.converged([{"file": "/path", "content": "new"}])
    assert (path.stat().st_nlink, other.read_text()) == (1, "text")


def test_what_somebody_else_made_immutable_is_left_and_named(held: Holding) -> None:
    path = held.root / "path"
    path.write_text("theirs")
    said("chattr", "+i", path)
    try:
        (outcome,) = held.apply([{"file": "/path", "content": "new"}])
        assert outcome.result == "failed"
        assert "immutable (lsattr shows it)" in outcome.message
        assert path.read_text() == "theirs"
    finally:
        said("chattr", "-i", path)


def test_lifting_a_lock_for_a_change_is_said(held: Holding) -> None:
    path = held.root / "path"
    wish = {"file": "/path", "attributes": "+i"}
    try:
        held.converged([{**wish, "content": "one"}])
        assert held.notices == []
        held.converged([{**wish, "content": "two"}])
        assert held.notices == ["/path had the flags i (lsattr), which were lifted for as long as its change took"]
        assert path.read_text() == "two"
    finally:
        said("chattr", "-i", path)


def test_a_file_system_without_them_says_so(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    subprocess.run(["mount", "-t", "ramfs", "none", tmp_path / "root"], check=True)
    try:
        held = Holding(tmp_path / "root", tmp_path / "state")
        outcomes = held.apply([
            {"file": "/acl", "content": "", "acl": ["user:1001:r"]},
            {"file": "/xattr", "content": "", "xattr": {"user.a": "b"}},
            {"file": "/flags", "content": "", "attributes": "+i"},
            {"file": "/label", "content": "", "selinux": "etc_t"},
            {"file": "/none", "content": "", "acl": []},
        ])  # fmt: skip
        found = {outcome.id: outcome for outcome in outcomes}
        for name in ("acl", "xattr", "flags"):
            assert f"the file system of /{name} keeps no" in found[f"file:/{name}"].message
        assert found["file:/label"].result == found["file:/none"].result == "converged", "a label is left out silently"
        assert sorted(os.listdir(held.root)) == ["flags", "label", "none"]
    finally:
        subprocess.run(["umount", "--lazy", tmp_path / "root"], check=True)
