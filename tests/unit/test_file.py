"""Files as the kind `file` holds them, on real ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.host import LocalHost, LocalView
from modules import regular
from modules.api import Change, Content, ResourceError
from modules.file import File
from tests.unit.convergence import converge, difference, drift_of, text
from tests.unit.mounts import needs_root

NOBODY = 65534


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_file_has_its_content_and_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "file"
    old = os.umask(0o077)
    try:
        drift = converge(File(path=str(path), content=text("hello\n")), LocalHost())
        converge(File(path=str(tmp_path / "script"), content=text(""), mode="4755"), LocalHost())
    finally:
        os.umask(old)
    assert drift == {"ensure": Change("absent", "present"), "content": Change(None, text("hello\n").digest)}
    assert (path.read_bytes(), mode_of(path)) == (b"hello\n", 0o644)
    assert mode_of(tmp_path / "script") == 0o4755
    assert converge(File(path=str(path), content=text("hello\n")), LocalHost()) == {}


def test_a_new_content_keeps_the_mode_and_owner_that_are_not_managed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o4710)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, 7)
        path.chmod(0o4710)
    before = path.stat()
    drift = converge(File(path=str(path), content=text("new")), LocalHost())
    after = path.stat()
    assert drift == {"content": Change(text("old").digest, text("new").digest)}
    assert (path.read_bytes(), after.st_mode, after.st_uid, after.st_gid) == (
        b"new",
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_change_of_mode_alone_keeps_the_file_and_its_links(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text")
    os.link(path, tmp_path / "other")
    before = path.stat()
    assert set(converge(File(path=str(path), content=text("text"), mode="0600"), LocalHost())) == {"mode"}
    after = path.stat()
    assert (after.st_ino, after.st_nlink, after.st_mtime_ns, mode_of(path)) == (
        before.st_ino,
        2,
        before.st_mtime_ns,
        0o600,
    )
    converge(File(path=str(path), content=text("other text")), LocalHost())
    assert path.stat().st_nlink == 1
    assert (tmp_path / "other").read_bytes() == b"text"


@needs_root
def test_an_owner_by_name_or_number_and_set_user_id_bits(tmp_path: Path) -> None:
    path = tmp_path / "file"
    host = LocalHost()
    converge(File(path=str(path), content=text("x"), owner="nobody", group="0", mode="4755"), host)
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (NOBODY, 0, 0o4755)
    assert drift_of(File(path=str(path), owner=str(NOBODY), group="root"), host) == {}
    assert drift_of(File(path=str(path), owner="0", group="staff"), host) == {
        "owner": Change(str(NOBODY), "0"),
        "group": Change("root", "staff"),
    }
    inode = path.stat().st_ino
    assert set(converge(File(path=str(path), owner="root", mode="4755"), host)) == {"owner"}
    assert (path.stat().st_uid, mode_of(path), path.stat().st_ino) == (0, 0o4755, inode)
    converge(File(path=str(path), content=text("y"), owner="nobody"), host)
    assert mode_of(path) == 0o755, "set-user-ID for one user is not handed to another unless Git says so"


@needs_root
def test_a_second_name_of_the_same_user_is_in_sync(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/:\ntoor:x:0:0::/:\n")
    (tmp_path / "file").touch()
    host = LocalHost(root=str(tmp_path))
    assert drift_of(File(path="/file", owner="toor", group="0000"), host) == {}
    assert drift_of(File(path="/file", owner="nosuch"), host) == {"owner": Change("root", "nosuch")}
    with pytest.raises(ResourceError, match='there is no user "nosuch"'):
        converge(File(path="/file", owner="nosuch"), host)


def test_attributes_of_a_file_whose_content_is_not_managed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(ResourceError, match=r"there is no file .*/file, and nothing to make it from; give content"):
        converge(File(path=str(path), mode="0600"), LocalHost())
    path.write_bytes(b"theirs")
    converge(File(path=str(path), mode="0600"), LocalHost())
    assert (path.read_bytes(), mode_of(path)) == (b"theirs", 0o600)
    assert "content" not in File(path=str(path), mode="0600").observe(LocalView())


def test_validate_sees_the_new_file_complete_and_keeps_the_old_when_it_fails(tmp_path: Path) -> None:
    path, seen = tmp_path / "file", tmp_path / "seen"
    path.write_bytes(b"old")
    check = ("sh", "-c", f'stat -c %a "$1" > {seen}; cat "$1" >> {seen}; ! grep bad "$1" >&2', "check", "%s")
    converge(File(path=str(path), content=text("good"), mode="0640", validate=check), LocalHost())
    assert (path.read_bytes(), seen.read_text()) == (b"good", "640\ngood")
    with pytest.raises(ResourceError) as caught:
        converge(File(path=str(path), content=text("bad line"), validate=check), LocalHost())
    assert str(caught.value).startswith(f"{path} is left as it was, for its validate command failed: sh -c ")
    assert str(caught.value).endswith("failed with status 1: bad line")
    assert path.read_bytes() == b"good"
    assert sorted(os.listdir(tmp_path)) == ["file", "seen"]
    inside = ("sh", "-c", 'test -s "${1#--file=}"', "check", "--file=%s")
    converge(File(path=str(path), content=text("better"), validate=inside), LocalHost())
    with pytest.raises(ResourceError, match="no-such-checker is not installed"):
        converge(File(path=str(path), content=text("best"), validate=("no-such-checker", "%s")), LocalHost())
    assert path.read_bytes() == b"better"


def test_validate_fails_before_a_directory_gives_way(tmp_path: Path) -> None:
    (tmp_path / "path" / "precious").mkdir(parents=True)
    with pytest.raises(ResourceError, match="validate command failed"):
        converge(
            File(path=str(tmp_path / "path"), content=text("x"), validate=("false", "%s"), force=True), LocalHost()
        )
    assert (tmp_path / "path" / "precious").is_dir()
    assert os.listdir(tmp_path) == ["path"]


def test_validate_under_another_root_gets_a_path_that_exists(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    check = ("grep", "-q", "right", "%s")
    converge(File(path="/etc/file", content=text("right"), validate=check), LocalHost(root=str(tmp_path)))
    assert (tmp_path / "etc" / "file").read_bytes() == b"right"


def test_a_batch_is_written_together_and_each_fails_alone(tmp_path: Path) -> None:
    host = LocalHost()
    wanted = [File(path=f"{tmp_path}/{name}", content=text(name)) for name in ("a", "b/missing", "c", "d", "e")]
    (tmp_path / "d").mkdir()
    (tmp_path / "gone").touch()
    wanted.append(File(path=f"{tmp_path}/gone", ensure="absent"))
    steps = [
        (resource, difference(resource, seen))
        for resource, seen in zip(wanted, File.observe_all(host, wanted), strict=True)
    ]
    results = File.apply_all(host, steps)
    assert [result is None for result in results] == [True, False, True, False, True, True]
    assert f"parent directory {tmp_path}/b does not exist; declare directory:{tmp_path}/b" in str(results[1])
    assert "is a directory" in str(results[3])
    assert sorted(os.listdir(tmp_path)) == ["a", "c", "d", "e"]
    assert (tmp_path / "e").read_bytes() == b"e"


def test_observing_all_is_observing_each_errors_included(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    host = LocalView()
    wanted = [File(path=f"{tmp_path}/{name}", content=text("x")) for name in ("file", "link", "none", "loop/x")]
    *seen, error = File.observe_all(host, wanted)
    assert seen == [resource.observe(host) for resource in wanted[:3]]
    assert [state["ensure"] for state in seen if not isinstance(state, ResourceError)] == [
        "present",
        "symlink",
        "absent",
    ]
    assert isinstance(error, ResourceError)
    with pytest.raises(ResourceError, match="loop"):
        wanted[3].observe(host)


def test_content_comes_from_the_repository_when_it_is_not_inline(tmp_path: Path) -> None:
    whole = text("from a blob")
    content = Content(whole.digest, whole.size, blob="1234")
    resource = File(path=str(tmp_path / "file"), source=content)
    converge(resource, LocalHost(read_blob={"1234": b"from a blob"}.__getitem__))
    assert (tmp_path / "file").read_bytes() == b"from a blob"
    assert drift_of(resource, LocalView()) == {}, "what is in sync needs no content, only its digest"
    (tmp_path / "file").unlink()
    with pytest.raises(ResourceError, match="without a repository"):
        converge(resource, LocalHost())
    with pytest.raises(ResourceError, match="is not kept any more"):
        converge(File(path=str(tmp_path / "file"), content=Content(whole.digest, whole.size)), LocalHost())


def test_a_huge_file_of_another_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular, "READ_LIMIT", 1000)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2000)
    assert File(path=str(path), content=text("new")).observe(LocalView())["content"] == "2000 bytes, not read"
    assert drift_of(File(path=str(path), content=text("x" * 2000)), LocalView()) == {}
    converge(File(path=str(path), content=text("new")), LocalHost())
    assert path.read_bytes() == b"new"


def test_before_and_after_are_given_for_a_diff_when_they_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    host = LocalView()
    resource = File(path=str(path), content=text("new"))
    assert resource.contents(host, drift_of(resource, host)) == (b"", b"new")
    path.write_bytes(b"old")
    assert resource.contents(host, drift_of(resource, host)) == (b"old", b"new")
    assert resource.contents(host, {"mode": Change("0600", "0644")}) is None
    monkeypatch.setattr(regular, "DIFF_LIMIT", 2)
    assert resource.contents(host, drift_of(resource, host)) is None


def test_undo_removes_what_was_made_and_leaves_what_was_there(tmp_path: Path) -> None:
    resource = File(path=str(tmp_path / "file"), content=text("x"), owner="root", mode="0644")
    undone = resource.undo({"ensure": "absent"})
    assert undone == File(path=str(tmp_path / "file"), ensure="absent")
    assert undone is not None
    assert undone.problems() == []
    assert resource.undo({"ensure": "present", "content": "digest"}) is None
    assert undone.undo({"ensure": "present"}) is None
    assert undone.undo({"ensure": "absent"}) is None


def test_recovery_removes_a_temporary_file(tmp_path: Path) -> None:
    host = LocalHost()
    host.files.stage(f"{tmp_path}/file", b"x", mode=0o600, owner=(-1, -1))
    assert len(os.listdir(tmp_path)) == 1
    File(path=f"{tmp_path}/file").recover(host)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"content": text("a"), "source": text("b")}, "give only one of content and source"),
        ({"ensure": "absent", "content": text("a")}, "content has no meaning with ensure: absent"),
        ({"ensure": "absent", "mode": "0644"}, "mode has no meaning with ensure: absent"),
        ({"content": text("a"), "validate": ("true",)}, 'validate must contain "%s"'),
        ({"content": text("a"), "validate": ()}, 'validate must contain "%s"'),
        ({"validate": ("true", "%s")}, "validate checks new content, so it needs content, source or template"),
        ({"path": "/"}, "the path / is always a directory"),
    ],
)
def test_contradictions_are_found_before_anything_is_touched(fields: dict[str, Any], problem: str) -> None:
    assert any(problem in found for found in File(**{"path": "/etc/x", **fields}).problems())
    assert File(path="/etc/x", content=text(""), validate=("check", "--file=%s"), owner="0").problems() == []


def test_its_place_in_the_order() -> None:
    assert tuple(File(path="/srv/www/x").provides()) == ("path:/srv/www/x", "in:/srv/www")
    assert tuple(File(path="/srv/www/x", ensure="absent").provides()) == ("in:/srv/www",)
    assert tuple(File(path="/srv/www/x").needs()) == (("path:/srv/www", "path:/srv", "path:/"),)
