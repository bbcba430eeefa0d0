"""Archives: what they hold is held, nothing of them lies outside of their directory, and bombs do not go off."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from modules import unpack
from tests.unit.holding import Holding

FILES = {"bin/tool": b"#!/bin/sh\n", "etc/conf": b"conf\n", "README": b"read\n"}


def tar(*members: tuple[str, dict[str, Any]], mode: str = "w:gz") -> bytes:
    """A tar of members: a name, and what differs from an empty file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for name, fields in members:
            info = tarfile.TarInfo(name)
            data = fields.pop("data", b"")
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def files(mode: str = "w:gz", top: str = "", changed: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
    found = {**FILES, **changed}
    return tar(
        *((top + name, {"data": data, "mode": 0o755 if "bin" in name else 0o666}) for name, data in found.items()),
        mode=mode,
    )


def zipped(members: dict[str, bytes], form: int = zipfile.ZIP_DEFLATED, **modes: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = modes.get(name.rpartition("/")[2], 0o100644) << 16
            info.compress_type = form
            archive.writestr(info, data)
    return made.getvalue()


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    (tmp_path / "root").mkdir()
    return Holding(tmp_path / "root", tmp_path / "state")


WISH = {"archive": "/opt", "source": "a"}


def unpacked(root: Path) -> dict[str, bytes]:
    top = root / "opt"
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in top.rglob("*")
        if path.is_file() and not path.name.endswith(".archive")
    }


FORMS: dict[str, Callable[[], bytes]] = {
    "tar": lambda: files("w:"),
    "tar.gz": lambda: files("w:gz"),
    "tar.bz2": lambda: files("w:bz2"),
    "tar.xz": lambda: files("w:xz"),
    "zip": lambda: zipped(FILES, tool=0o100755),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_it_holds_is_there_and_comes_back(held: Holding, form: str) -> None:
    held.files["files/a"] = FORMS[form]()
    top = held.root / "opt"

    def check() -> None:
        assert unpacked(held.root) == FILES
        assert stat.S_IMODE((top / "bin" / "tool").stat().st_mode) == 0o755
        assert stat.S_IMODE((top / "README").stat().st_mode) == 0o644

    def drift() -> None:
        (top / "README").write_bytes(b"READ\n")
        (top / "etc" / "conf").unlink()
        (top / "bin" / "tool").chmod(0o700)

    step = held.fourfold([WISH], check, drift)
    assert step.drift["content"].before == "changed: bin/tool, etc/conf, README"


def test_what_is_intact_is_not_written_again(held: Holding) -> None:
    held.files["files/a"] = files()
    held.converged([WISH])
    before = (held.root / "opt" / "README").stat()
    (held.root / "opt" / "etc" / "conf").unlink()
    (held.root / "opt" / "theirs").touch()
    held.converged([WISH])
    assert (held.root / "opt" / "README").stat() == before
    assert sorted(os.listdir(held.root / "opt")) == [".gitops-agent.archive", "README", "bin", "etc", "theirs"]


def test_what_a_newer_one_does_not_hold_goes_and_what_is_theirs_stays(held: Holding) -> None:
    held.files["files/a"] = files(changed={"old/deep/file": b"", "lib/file": b""})
    held.converged([WISH])
    (held.root / "opt" / "lib" / "theirs").touch()
    held.files["files/a"] = files(changed={"README": b"new\n"})
    held.converged([WISH])
    assert unpacked(held.root) == {**FILES, "README": b"new\n", "lib/theirs": b""}
    held.converged([{"file": "/other", "content": ""}])
    assert unpacked(held.root) == {"lib/theirs": b""}
    assert not (held.root / "opt" / ".gitops-agent.archive").exists()


def test_the_directory_of_an_archive_goes_with_it_and_stays_for_what_is_theirs(held: Holding) -> None:
    held.files["files/a"] = files(changed={"old/deep/file": b""})
    directory, other = {"directory": "/opt"}, {"file": "/other", "content": ""}
    held.converged([directory, WISH, other])
    held.converged([other])
    assert not (held.root / "opt").exists()
    held.converged([directory, WISH, other])
    (held.root / "opt" / "old" / "deep" / "theirs").touch()
    removals = {removal.entry.id: removal for removal in held.plan([other]).removals}
    assert removals["archive:/opt"].undo is not None
    for _ in range(2):  # what is deep inside is seen once the archive is gone
        held.apply([other])
    assert unpacked(held.root) == {"old/deep/theirs": b""}
    assert held.converged([other]) == []


def test_leading_directories_can_be_left_out(held: Holding) -> None:
    held.files["files/a"] = files(top="./tool-1.0/")
    held.converged([{**WISH, "strip": 1}])
    assert unpacked(held.root) == FILES
    assert held.converged([{**WISH, "strip": 0}]) == ["archive:/opt"]
    assert unpacked(held.root) == {f"tool-1.0/{name}": data for name, data in FILES.items()}


def test_links_that_stay_inside_and_hard_links(held: Holding) -> None:
    held.files["files/a"] = tar(
        ("lib", {"type": tarfile.DIRTYPE, "mode": 0o2777}),
        ("lib/one", {"data": b"one", "mode": 0o4711}),
        ("lib/two", {"type": tarfile.LNKTYPE, "linkname": "lib/one"}),
        ("lib/link", {"type": tarfile.SYMTYPE, "linkname": "../lib/one"}),
        ("current", {"type": tarfile.SYMTYPE, "linkname": "lib"}),
        ("dangling", {"type": tarfile.SYMTYPE, "linkname": "not/there"}),
    )
    held.converged([WISH])
    top = held.root / "opt"
    assert (top / "lib" / "two").read_bytes() == (top / "current" / "link").read_bytes() == b"one"
    assert stat.S_IMODE((top / "lib" / "one").stat().st_mode) == 0o711, "no set-user-ID"
    assert stat.S_IMODE((top / "lib").stat().st_mode) == 0o755
    assert (top / "lib" / "one").stat().st_nlink == 1
    (top / "current").unlink()
    (top / "current").symlink_to("/etc")
    assert held.converged([WISH]) == ["archive:/opt"]
    assert os.readlink(top / "current") == "lib"


DEVICE = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}
EVIL: dict[str, tuple[bytes, str]] = {
    "an absolute name": (tar(("/outside", {})), "'/outside', which would lie outside"),
    "a name that leads up": (tar(("a/../../outside", {})), "which would lie outside"),
    "a link that leads up": (tar(("a", {"type": tarfile.SYMTYPE, "linkname": "../x"})), "which leads outside"),
    "an absolute link": (tar(("a", {"type": tarfile.SYMTYPE, "linkname": "/etc"})), "which leads outside"),
    "a link that leads up behind a link": (
        tar(
            ("a/d", {"type": tarfile.SYMTYPE, "linkname": ".."}),
            ("a/e", {"type": tarfile.SYMTYPE, "linkname": "d/../x"}),
        ),
        "the link a/e to d/../x, which leads outside",
    ),
    "a file behind a link": (
        tar(("d", {"type": tarfile.SYMTYPE, "linkname": "sub"}), ("d/file", {})),
        "d/file, which would lie behind d, a symlink",
    ),
    "a file behind a file": (tar(("d", {}), ("d/file", {})), "which would lie behind d, a file"),
    "a hard link to outside": (tar(("a", {"type": tarfile.LNKTYPE, "linkname": "/etc/shadow"})), "no earlier file of it"),
    "a device": (tar(("null", dict(DEVICE))), "neither a file, a directory nor a link"),
    "a fifo": (tar(("fifo", {"type": tarfile.FIFOTYPE})), "neither a file, a directory nor a link"),
    "a zip that leads up": (zipped({"../outside": b""}), "which would lie outside"),
    "a zip with an absolute name": (zipped({"/outside": b""}), "which would lie outside"),
    "a zip with a link that leads up": (zipped({"a": b"../x"}, a=0o120777), "which leads outside"),
    "a zip with a device": (zipped({"a": b""}, a=0o020666), "neither a file, a directory nor a link"),
    "a zip that Python decompresses at once": (zipped({"a": b""}, zipfile.ZIP_BZIP2), "by another way than deflate"),
    "no archive": (b"nothing of the kind", "cannot unpack it"),
    "nothing": (b"", "cannot unpack it"),
    "half of one": (files("w:gz")[:100], "cannot unpack"),
    "half of a zip": (zipped(FILES)[:60], "cannot unpack"),
}  # fmt: skip


@pytest.mark.parametrize("name", EVIL)
def test_nothing_escapes_its_directory(held: Holding, name: str) -> None:
    (held.root / "opt").mkdir()
    (held.root / "opt" / "sub").mkdir()
    held.files["files/a"], said = EVIL[name]
    (outcome,) = held.apply([WISH])
    assert outcome.result == "failed"
    assert said in outcome.message
    assert outcome.message.startswith("the archive of /opt: ")
    found = sorted(str(path.relative_to(held.root)) for path in held.root.rglob("*"))
    assert found == ["opt", "opt/sub"], "it is refused as a whole"
    assert [path for path in held.state.rglob("*") if "fetched-" in path.name] == []


def test_links_on_the_host_are_not_written_through(held: Holding) -> None:
    (held.root / "outside").mkdir()
    (held.root / "opt").mkdir()
    (held.root / "opt" / "etc").symlink_to("../outside")
    (held.root / "opt" / "README").symlink_to("../outside/README")
    held.files["files/a"] = tar(("etc", {"type": tarfile.DIRTYPE}), ("etc/conf", {}), ("README", {"data": b"x"}))
    (outcome,) = held.apply([{**WISH, "force": True}])
    assert outcome.result == "failed"
    assert "a link to ../outside" in outcome.message
    (held.root / "opt" / "etc").unlink()
    held.converged([{**WISH, "force": True}])
    assert os.listdir(held.root / "outside") == []
    assert not (held.root / "opt" / "README").is_symlink()


@pytest.mark.parametrize("form", ["gz", "xz", "zip"])
def test_a_bomb_is_refused_before_it_is_unpacked(held: Holding, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MOST_BYTES", 10_000_000)
    zeros = bytes(20_000_000)
    bomb = zipped({"zeros": zeros}) if form == "zip" else tar(("z", {"data": zeros}), mode=f"w:{form}")
    assert len(bomb) < 100_000
    held.files["files/a"] = bomb
    (outcome,) = held.apply([WISH])
    assert "more than 10000000 bytes" in outcome.message
    monkeypatch.setattr(unpack, "MOST_ENTRIES", 50)
    held.files["files/a"] = tar(*((f"d{number}", {}) for number in range(60)))
    (outcome,) = held.apply([WISH])
    assert "more than 50 entries" in outcome.message
    assert os.listdir(held.root) == []


def test_what_is_in_the_way_is_replaced_only_by_force(held: Holding) -> None:
    (held.root / "opt" / "README" / "theirs").mkdir(parents=True)
    held.files["files/a"] = files()
    (outcome,) = held.apply([WISH])
    assert "README is a directory that is not empty, and a file is wanted there" in outcome.message
    assert [path for path in (held.root / "opt").rglob("*") if path.name.endswith(".gitops-agent")] == []
    held.converged([{**WISH, "force": True}])
    assert unpacked(held.root) == FILES


def test_an_archive_from_a_url_is_fetched_only_when_it_is_needed(held: Holding) -> None:
    data = files()
    (held.root / "a.tgz").write_bytes(data)
    wish = {"archive": "/opt", "source": "file:///a.tgz", "checksum": hashlib.sha256(data).hexdigest()}
    held.converged([wish])
    assert unpacked(held.root) == FILES
    (held.root / "a.tgz").unlink()
    assert held.converged([wish]) == []
    (held.root / "opt" / "README").unlink()
    (outcome,) = held.apply([wish])
    assert outcome.result == "failed"


def test_a_killed_pass_leaves_nothing_behind(held: Holding) -> None:
    held.files["files/a"] = files()
    held.converged([WISH])
    left = held.root / "opt" / "etc" / ".conf.gitops-agent"
    left.touch()
    from agent.host import LocalHost
    from modules.archive import Archive

    Archive(path="/opt").recover(LocalHost(str(held.root)))
    assert not left.exists()
    assert unpacked(held.root) == FILES


def test_a_download_is_held_like_any_file(held: Holding) -> None:
    (held.root / "served").write_bytes(b"served")
    wish = {
        "download": "/file",
        "url": "file:///served",
        "checksum": hashlib.sha256(b"served").hexdigest(),
        "mode": "0700",
    }
    path = held.root / "file"

    def check() -> None:
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"served", 0o700)

    held.fourfold([wish], check, lambda: path.write_bytes(b"drift"))
    assert held.apply([{"file": "/other", "content": ""}])[-1].result == "removed"
    assert not path.exists()
