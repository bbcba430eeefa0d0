"""Files that are edited: one write for all edits that are due, everything else of the file as it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ManifestInvalid
from agent.host import staging
from agent.host.walk import Directory
from tests.unit.holding import Holding

SHOWN: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "line": ({"line": "/conf", "text": "a = 2", "match": "^a ="}, "a = 1\nb\n", "a = 2\nb\n", "a = 3\nb\n"),
    "line, absent": ({"line": "/conf", "text": "b", "ensure": "absent"}, "a\nb\n", "a\n", "b\na\nb\n"),
    "line, made": ({"line": "/conf", "text": "x", "create": True}, "", "x\n", ""),
    "block": (
        {"block": "/conf", "text": "x\ny"}, "a\n", "a\n# BEGIN gitops-agent\nx\ny\n# END gitops-agent\n",
        "a\n# BEGIN gitops-agent\nx\n# END gitops-agent\n",
    ),
    "block, with blank lines around it": (
        {"block": "/conf", "text": "x", "blank_before": True, "blank_after": True, "insert_after": "^a"}, "a\nb\n",
        "a\n\n# BEGIN gitops-agent\nx\n# END gitops-agent\n\nb\n", "a\n# BEGIN gitops-agent\nx\n# END gitops-agent\nb\n",
    ),
    "ini": ({"ini": "/conf", "section": "s", "key": "k", "value": "1"}, "[s]\nk=0\n", "[s]\nk=1\n", "[s]\nk=2\n"),
    "ini, absent": ({"ini": "/conf", "key": "k", "ensure": "absent"}, "k=0\nl=1\n", "l=1\n", "l=1\nk=0\n"),
    "ini, sensitive": (
        {"ini": "/conf", "key": "k", "value": "word", "sensitive": True}, "k=0\n", "k=word\n", "k=1\n",
    ),
}  # fmt: skip


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    (tmp_path / "root").mkdir()
    return Holding(tmp_path / "root", tmp_path / "state")


@pytest.mark.parametrize("name", SHOWN)
def test_each_is_planned_done_left_alone_and_repaired(held: Holding, name: str) -> None:
    wish, before, after, drifted = SHOWN[name]
    path = held.root / "conf"
    if before:
        path.write_text(before)

    def check() -> None:
        assert path.read_text() == after

    step = held.fourfold([wish], check, lambda: path.write_text(drifted))
    assert ("word" in str(step.drift)) is False
    path.chmod(0o640)
    path.write_text(drifted)
    held.converged([wish])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_several_edits_of_a_file_are_one_write(held: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    stage = staging.stage

    def noted(directory: Directory, path: str, wanted: staging.Wanted) -> staging.Written:
        written.append(path)
        return stage(directory, path, wanted)

    monkeypatch.setattr(staging, "stage", noted)
    for name in ("conf", "other"):
        (held.root / name).write_text("a = 1\n")
    edits = [
        {"line": "/conf", "name": "one", "text": "one"},
        {"ini": "/conf", "key": "a", "value": "2"},
        {"line": "/other", "text": "three"},
        {"block": "/conf", "text": "two"},
        {"line": "/conf", "name": "four", "text": "four"},
    ]
    assert len(held.plan(edits).steps) == 5
    held.converged(edits)
    assert sorted(written) == ["/conf", "/other"]
    assert (held.root / "conf").read_text() == ("a = 2\none\n# BEGIN gitops-agent\ntwo\n# END gitops-agent\nfour\n")
    assert held.converged(edits) == []


def test_a_file_whose_content_is_said_is_not_edited_as_well(held: Holding) -> None:
    edit = {"line": "/conf", "text": "x"}
    for whole in ({"content": "y"}, {"template": "t"}):
        held.files["templates/t"] = "y"
        with pytest.raises(ManifestInvalid, match=r"line:/conf and file:/conf .* each say what is in it; keep one"):
            held.plan([{"file": "/conf", **whole}, edit])
    held.files["files/tree/conf"] = "y"
    with pytest.raises(ManifestInvalid, match="each say what is in it"):
        held.plan([{"directory": "/", "source": "tree"}, edit])
    with pytest.raises(ManifestInvalid, match="line:/conf is declared twice"):
        held.plan([edit, {**edit, "text": "z"}])
    first = {"file": "/conf", "content": "start\n", "replace": False, "mode": "0600"}
    held.converged([edit, first])
    assert (held.root / "conf").read_text() == "start\nx\n", "a file that is only begun may be edited"
    assert held.converged([edit, first]) == []


def test_what_cannot_be_edited(held: Holding) -> None:
    (held.root / "link").symlink_to("conf")
    (held.root / "directory").mkdir()
    (held.root / "wide").write_text("a\n", encoding="utf-16")
    wishes = [{"line": f"/{name}", "text": "x"} for name in ("link", "directory", "none", "nowhere/conf", "wide")]
    messages = {outcome.id: outcome.message for outcome in held.apply(wishes)}
    assert messages["line:/link"] == "/link is a link to conf; edit the file that it leads to"
    assert messages["line:/directory"] == "/directory is a directory, and only a file can be edited"
    assert messages["line:/none"] == "there is no file /none to edit; declare file:/none, or set create: true"
    assert "there is no file /nowhere/conf" in messages["line:/nowhere/conf"]
    assert messages["line:/wide"] == "/wide is no text that can be edited: it holds NUL bytes, or is UTF-16"
    assert sorted(os.listdir(held.root)) == ["directory", "link", "wide"]
    assert (held.root / "wide").read_text(encoding="utf-16") == "a\n"


@pytest.mark.processes(reason="a validate command is a real one")
def test_an_invalid_edit_leaves_the_file_and_its_other_edits(held: Holding) -> None:
    path = held.root / "conf"
    path.write_text("a\n")
    good = {"line": "/conf", "name": "good", "text": "good"}
    bad = {"line": "/conf", "name": "bad", "text": "bad", "validate": ["sh", "-c", "! grep bad $0", "%s"]}
    outcomes = held.apply([good, bad])
    assert [outcome.result for outcome in outcomes] == ["failed", "failed"]
    assert "/conf is left as it was, for its validate command failed" in outcomes[1].message
    assert path.read_text() == "a\n"
    assert os.listdir(held.root) == ["conf"]


def test_a_backup_is_of_the_file_before_all_edits(held: Holding) -> None:
    (held.root / "conf").write_text("a\n")
    held.converged([{"line": "/conf", "text": "x", "backup": True}, {"block": "/conf", "text": "y", "backup": True}])
    copies = [path.read_text() for path in (held.state / "backups").iterdir() if len(path.name) == 64]
    assert copies == ["a\n"]


def test_what_we_put_in_is_taken_out_when_it_leaves_git(held: Holding) -> None:
    path = held.root / "conf"
    path.write_text("a = 1\n# theirs\n")
    other = {"file": "/other", "content": ""}
    held.converged([
        other,
        {"line": "/conf", "text": "x", "match": "^[xX]"},
        {"block": "/conf", "text": "y"},
        {"ini": "/conf", "key": "b", "value": "2"},
        {"ini": "/conf", "key": "a", "value": "2"},
    ])  # fmt: skip
    results = {outcome.id: outcome.result for outcome in held.apply([other])}
    assert results["ini:/conf:a"] == "released", "it was there before, so its value stays"
    assert results["line:/conf"] == results["block:/conf"] == results["ini:/conf:b"] == "removed"
    assert path.read_text() == "a = 2\n# theirs\n"


def test_a_file_that_was_made_for_edits_goes_with_the_last_of_them(held: Holding) -> None:
    other: dict[str, Any] = {"file": "/other", "content": ""}
    made: list[dict[str, Any]] = [
        {"line": "/conf", "text": "x", "create": True},
        {"ini": "/conf", "key": "k", "value": "1"},
    ]
    held.converged([other, *made])
    held.converged([other])
    assert os.listdir(held.root) == ["other"]
    held.converged([other, *made])
    with (held.root / "conf").open("a") as file:
        file.write("theirs\n")
    held.converged([other])
    assert (held.root / "conf").read_text() == "theirs\n"


def test_a_purge_keeps_a_file_that_is_only_edited(held: Holding) -> None:
    (held.root / "conf.d").mkdir()
    for name in ("edited", "stranger"):
        (held.root / "conf.d" / name).write_text("a\n")
    held.converged([{"directory": "/conf.d", "purge": True}, {"line": "/conf.d/edited", "text": "x"}])
    assert os.listdir(held.root / "conf.d") == ["edited"]
