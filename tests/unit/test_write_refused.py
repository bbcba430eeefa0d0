"""What the system refuses in the middle of a write, and what stands in the way: the old file stays, and nothing beside it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.unit.holding import Holding

WISH = {"file": "/dir/path", "content": "new"}


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    (tmp_path / "root/dir").mkdir(parents=True)
    (tmp_path / "root/dir/path").write_text("old")
    return Holding(tmp_path / "root", tmp_path / "state")


@pytest.mark.parametrize(
    "number", [errno.EXDEV, errno.ETXTBSY, errno.EPERM, errno.EACCES, errno.EROFS, errno.EIO, errno.ENOSPC]
)
@pytest.mark.parametrize("kind", ["file", "line", "symlink", "directory"])
def test_a_rename_that_is_refused_leaves_what_was_there(
    held: Holding, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    wishes: dict[str, dict[str, Any]] = {
        "file": WISH,
        "line": {"line": "/dir/path", "text": "new"},
        "symlink": {"symlink": "/dir/path", "target": "x", "force": True},
        "directory": {"directory": "/dir/new"},
    }
    rename = os.rename

    def refused(source: str, target: str, **where: Any) -> None:
        if target in ("path", "new"):
            raise OSError(number, os.strerror(number))
        rename(source, target, **where)

    monkeypatch.setattr(os, "rename", refused)
    (outcome,) = held.apply([wishes[kind]])
    assert outcome.result == "failed"
    assert os.strerror(number).lower() in outcome.message
    assert "/dir/" in outcome.message
    assert os.listdir(held.root / "dir") == ["path"]
    assert (held.root / "dir/path").read_text() == "old"
    monkeypatch.undo()
    assert held.converged([wishes[kind]]), "and the next pass does it"


def test_a_wrong_mode_and_a_wrong_content_are_one_change(held: Holding) -> None:
    (outcome,) = held.apply([{**WISH, "mode": "0600"}])
    assert set(outcome.drift) == {"content", "mode"}
    assert len(held.changes()) == 1
    (outcome,) = held.apply([{**WISH, "mode": "0640"}])
    assert set(outcome.drift) == {"mode"}, "the same content with another mode is a change of the mode"
    assert len(held.changes()) == 2


@pytest.mark.processes(reason="a validate command is a real one")
def test_what_is_not_valid_leaves_no_backup(held: Holding) -> None:
    (outcome,) = held.apply([{**WISH, "backup": True, "validate": ["false", "%s"]}])
    assert "validate command failed" in outcome.message
    assert not (held.state / "backups").exists()
    assert (held.root / "dir/path").read_text() == "old"


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_below_a_file_nothing_is_there_and_nothing_can_be_made(held: Holding, kind: str) -> None:
    at = "/dir/path/below"
    assert held.converged([{kind: at, "ensure": "absent"}]) == [], "it is absent"
    present = {"file": {"content": ""}, "directory": {}, "symlink": {"target": "x"}}[kind]
    (outcome,) = held.apply([{kind: at, **present}])
    assert outcome.result == "failed"
    assert "/dir/path is not a directory, so /dir/path/below cannot be in it" in outcome.message
    assert (held.root / "dir/path").read_text() == "old"


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_loop_of_links_is_named_and_replaced_only_where_it_may_be(held: Holding, kind: str) -> None:
    (held.root / "dir/a").symlink_to("b")
    (held.root / "dir/b").symlink_to("a")
    wish = {"file": {"content": "x"}, "directory": {}}[kind]
    (outcome,) = held.apply([{kind: "/dir/a", **wish}])
    assert "a link to b (which leads back to itself)" in outcome.message
    (outcome,) = held.apply([{kind: "/dir/a/inside", **wish}])
    assert "loop of links" in outcome.message
    if kind == "file":
        held.converged([{"file": "/dir/a", **wish, "force": True}])
        assert stat.S_ISREG((held.root / "dir/a").lstat().st_mode)


def test_content_is_written_byte_by_byte_as_it_is(held: Holding) -> None:
    text = "\ufeffone\r\ntwo\u2028\x00 no end"
    held.files["files/raw"] = text.encode()
    wishes = [{"file": "/dir/path", "source": "raw"}, {"file": "/dir/inline", "content": text.replace("\0", "")}]
    held.converged(wishes)
    assert (held.root / "dir/path").read_bytes() == text.encode()
    assert (held.root / "dir/inline").read_bytes() == text.replace("\0", "").encode()
    assert not held.plan(wishes).pending
