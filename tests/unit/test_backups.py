"""Backups: nothing is changed before its copy is safe, they are bounded, and what was adopted can be given back."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from agent.host import LocalHost, backups
from modules.api import Content, ResourceError, Unrestorable
from modules.file import File
from tests.unit.convergence import converge, text
from tests.unit.holding import Holding

OTHER = {"file": "/other", "content": ""}


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    (tmp_path / "root").mkdir()
    return Holding(tmp_path / "root", tmp_path / "state")


def kept(held: Holding) -> dict[str, bytes]:
    directory = held.state / "backups"
    return {path.name: path.read_bytes() for path in directory.iterdir() if len(path.name) == 64}


def test_what_is_replaced_is_kept_by_its_digest_for_the_agent_alone(held: Holding) -> None:
    path = held.root / "path"
    path.write_text("old")
    path.chmod(0o604)
    held.converged([{"file": "/path", "content": "new", "backup": True}])
    held.converged([{"file": "/path", "content": "newer", "backup": True}])
    assert kept(held) == {text(old).digest: old.encode() for old in ("old", "new")}
    directory = held.state / "backups"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(copy.stat().st_mode) for copy in directory.iterdir()} == {0o600}
    index = [json.loads(line) for line in (directory / "index").read_text().splitlines()]
    assert [(line["path"], line["digest"], line["mode"]) for line in index] == [
        ("/path", text("old").digest, "0604"),
        ("/path", text("new").digest, "0604"),
    ]


def test_what_is_removed_is_kept_and_directories_file_by_file(held: Holding) -> None:
    (held.root / "tree" / "deeper").mkdir(parents=True)
    (held.root / "tree" / "one").write_text("one")
    (held.root / "tree" / "deeper" / "two").write_text("two")
    (held.root / "tree" / "link").symlink_to("one")
    (held.root / "gone").write_text("gone")
    held.converged([
        {"file": "/tree", "content": "new", "force": True, "backup": True},
        {"file": "/gone", "ensure": "absent", "backup": True},
    ])  # fmt: skip
    assert sorted(kept(held).values()) == [b"gone", b"one", b"two"]
    assert (held.root / "tree").read_text() == "new"


def test_a_change_that_only_concerns_the_mode_needs_no_copy(held: Holding) -> None:
    (held.root / "path").write_text("text")
    held.converged([{"file": "/path", "content": "text", "mode": "0600", "backup": True}])
    assert not (held.state / "backups").exists()


def test_without_its_copy_nothing_is_changed(held: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    path = held.root / "path"
    path.write_text("precious")
    (held.state / "backups").write_text("in the way")
    (outcome,) = held.apply([{"file": "/path", "content": "new", "backup": True}])
    assert outcome.result == "failed"
    assert "keep a backup, so it is left as it was: /path" in outcome.message
    (held.state / "backups").unlink()
    monkeypatch.setattr(backups, "MOST_BYTES", 5)
    (outcome,) = held.apply([{"file": "/path", "ensure": "absent", "backup": True}])
    assert "a backup would be 1 files with 8 bytes, and no more than 1000 with 5 are kept" in outcome.message
    assert path.read_text() == "precious"
    assert sorted(os.listdir(held.root)) == ["path"]
    monkeypatch.undo()
    with pytest.raises(ResourceError, match="no state directory"):
        converge(File(path=str(path), content=text("new"), backup=True), LocalHost())
    assert path.read_text() == "precious"


def test_a_directory_that_cannot_be_kept_whole_is_not_replaced(held: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    (held.root / "tree").mkdir()
    for number in range(4):
        (held.root / "tree" / str(number)).write_text(str(number))
    monkeypatch.setattr(backups, "MOST_FILES", 3)
    (outcome,) = held.apply([{"file": "/tree", "content": "new", "force": True, "backup": True}])
    assert "a backup would be 4 files" in outcome.message
    assert len(os.listdir(held.root / "tree")) == 4
    assert os.listdir(held.root) == ["tree"]


def test_they_are_bounded_in_number_and_bytes_the_oldest_first(held: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    path = held.root / "path"
    path.write_text("0")
    monkeypatch.setattr(backups, "MOST_FILES", 3)
    for number in range(1, 8):
        held.converged([{"file": "/path", "content": str(number), "backup": True}])
    assert sorted(kept(held).values()) == [b"4", b"5", b"6"]
    index = (held.state / "backups" / "index").read_text().splitlines()
    assert [json.loads(line)["digest"] for line in index] == [text(str(number)).digest for number in (4, 5, 6)]
    monkeypatch.setattr(backups, "MOST_BYTES", 102)
    path.write_text("x" * 100)
    held.converged([{"file": "/path", "content": "7", "backup": True}])
    assert sorted(kept(held).values()) == [b"5", b"6", b"x" * 100]


def test_an_adopted_file_gets_back_what_it_was_when_it_leaves_git(held: Holding) -> None:
    path = held.root / "path"
    path.write_text("before")
    path.chmod(0o640)
    wish = {"file": "/path", "mode": "0600", "backup": True}
    held.converged([{**wish, "content": "one"}, OTHER])
    held.converged([{**wish, "content": "two"}, OTHER])
    (removal,) = held.plan([OTHER]).removals
    assert removal.reason == "left Git; put back to what it was before"
    assert held.converged([OTHER]) == ["file:/path"]
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("before", 0o640)
    assert held.converged([OTHER]) == []
    assert text("two").digest in kept(held), "what we had there is kept as well"


def test_a_file_that_a_download_replaced_comes_back_too(held: Holding) -> None:
    path = held.root / "path"
    path.write_text("before")
    path.chmod(0o640)
    (held.root / "served").write_text("fetched")
    wish = {"download": "/path", "url": "file:///served", "checksum": text("fetched").digest, "mode": "0600"}
    held.converged([{**wish, "backup": True}, OTHER])
    assert path.read_text() == "fetched"
    assert held.converged([OTHER]) == ["download:/path"]
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("before", 0o640)
    assert held.converged([OTHER]) == []
    held.converged([wish, OTHER])
    assert held.converged([OTHER]) == ["download:/path"]
    assert path.read_text() == "fetched", "without a backup it is let go as it is"


def test_what_somebody_changed_since_is_left(held: Holding) -> None:
    (held.root / "path").write_text("before")
    held.converged([{"file": "/path", "content": "ours", "backup": True}, OTHER])
    (held.root / "path").write_text("theirs")
    *_, outcome = held.apply([OTHER])
    assert outcome.result == "released"
    assert (held.root / "path").read_text() == "theirs"


def test_what_is_kept_no_longer_is_let_go_as_it_is(held: Holding) -> None:
    (held.root / "path").write_text("before")
    held.converged([{"file": "/path", "content": "ours", "backup": True}, OTHER])
    (held.state / "backups" / text("before").digest).unlink()
    *_, outcome = held.apply([OTHER])
    assert outcome.result == "released"
    assert "not kept any more" in outcome.message
    assert (held.root / "path").read_text() == "ours"
    assert held.converged([OTHER]) == [], "and that is said once"


def test_a_damaged_copy_is_not_given_back(held: Holding) -> None:
    host = LocalHost(state_dir=str(held.state))
    (held.root / "path").write_text("before")
    host.files.keep(f"{held.root}/path")
    (held.state / "backups" / text("before").digest).write_text("damaged")
    with pytest.raises(Unrestorable, match="is damaged"):
        list(host.stream(Content(text("before").digest, -1)))
