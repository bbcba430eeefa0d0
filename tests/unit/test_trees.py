"""Directories from the repository: each thing in them a resource of its own, and what nobody declares purged."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ManifestInvalid
from agent.source import WorkingTree
from agent.source import tree as source_tree
from modules.globs import matcher
from tests.unit.holding import Holding
from tests.unit.memory import Link

REPOSITORY: dict[str, str | bytes | Link] = {
    "files/app/main.conf": "main",
    "files/app/conf.d/one.conf": "one",
    "files/app/conf.d/two.conf": "two",
    "files/app/conf.d/deeper/three.conf": "three",
    "files/app/empty/.gitkeep": "",
    "files/app/relative": Link("conf.d/one.conf"),
    "files/app/absolute": Link("/etc/hostname"),
    "files/app/dangling": Link("nowhere/../else"),
    "files/app/itself": Link("itself"),
    "files/app/outside": Link("../../../outside"),
    "files/app/to directory": Link("conf.d"),
    "files/app2/other": "other",
}
NAMES = sorted(
    ["absolute", "conf.d", "dangling", "empty", "itself", "main.conf", "outside", "relative", "to directory"]
)


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    (tmp_path / "root").mkdir()
    return Holding(tmp_path / "root", tmp_path / "state", REPOSITORY)


def tree(**fields: Any) -> dict[str, Any]:
    return {"directory": "/app", "source": "app", **fields}


def all_of(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


def test_each_thing_in_it_is_a_resource_and_held(held: Holding) -> None:
    app = held.root / "app"

    def check() -> None:
        assert sorted(os.listdir(app)) == NAMES
        assert (app / "conf.d" / "deeper" / "three.conf").read_text() == "three"
        assert os.listdir(app / "empty") == []
        links = {name: os.readlink(app / name) for name in NAMES if (app / name).is_symlink()}
        assert links == {
            "relative": "conf.d/one.conf",
            "absolute": "/etc/hostname",
            "dangling": "nowhere/../else",
            "itself": "itself",
            "outside": "../../../outside",
            "to directory": "conf.d",
        }

    def drift() -> None:
        (app / "conf.d" / "one.conf").write_text("drift")
        (app / "main.conf").unlink()
        (app / "absolute").unlink()
        (app / "absolute").symlink_to("/etc/passwd")
        shutil.rmtree(app / "empty")

    held.fourfold([tree()], check, drift)
    assert len(held.desired([tree()]).compiled.catalog.nodes) == 14


def test_owners_and_modes_of_what_is_in_it(held: Holding) -> None:
    wish = tree(mode="0750", file_mode="0640")
    held.converged([wish])
    modes = {
        path: oct(stat.S_IMODE((held.root / path).stat().st_mode))
        for path in ("app", "app/conf.d", "app/main.conf", "app/conf.d/deeper/three.conf")
    }
    assert modes == {
        "app": "0o750",
        "app/conf.d": "0o750",
        "app/main.conf": "0o640",
        "app/conf.d/deeper/three.conf": "0o640",
    }
    (held.root / "app" / "main.conf").chmod(0o600)
    assert held.converged([wish]) == ["file:/app/main.conf"]
    held.converged([tree()])
    assert stat.S_IMODE((held.root / "app" / "main.conf").stat().st_mode) == 0o644


def test_what_is_executable_in_git_is_so_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "repo" / "files" / "app").mkdir(parents=True)
    for name, mode in (("script", 0o755), ("text", 0o644)):
        (tmp_path / "repo" / "files" / "app" / name).touch(mode)
        (tmp_path / "repo" / "files" / "app" / name).chmod(mode)
    below = {found.path: found.entry for found in WorkingTree(str(tmp_path / "repo")).below("files/app", 10)}
    assert {name: entry.executable for name, entry in below.items()} == {"script": True, "text": False}


def test_what_is_declared_wins_over_what_comes_along(held: Holding) -> None:
    declared = [
        tree(),
        {"file": "/app/main.conf", "content": "mine"},
        {"file": "/app/conf.d/one.conf", "ensure": "absent"},
        {"symlink": "/app/conf.d/deeper", "target": "/elsewhere"},
        {"directory": "/app/empty", "mode": "0700"},
        {"directory": "/app2", "source": "app2"},
        {"directory": "/app/sub"},
    ]
    (held.root / "elsewhere").mkdir()
    held.converged(declared)
    app = held.root / "app"
    assert (app / "main.conf").read_text() == "mine"
    assert sorted(os.listdir(app / "conf.d")) == ["deeper", "two.conf"]
    assert os.listdir(held.root / "elsewhere") == [], "nothing is put behind a link that took a directory's place"
    assert stat.S_IMODE((app / "empty").stat().st_mode) == 0o700
    assert (held.root / "app2" / "other").read_text() == "other"
    assert held.converged(declared) == []


def test_the_deeper_of_two_trees_wins(held: Holding) -> None:
    held.files |= {"files/inner/one.conf": "inner", "files/inner/four.conf": "four"}
    wish = [tree(), {"directory": "/app/conf.d", "source": "inner", "mode": "0711"}]
    held.converged(wish)
    conf = held.root / "app" / "conf.d"
    assert (conf / "one.conf").read_text() == "inner"
    assert sorted(os.listdir(conf)) == ["deeper", "four.conf", "one.conf", "two.conf"]
    assert stat.S_IMODE(conf.stat().st_mode) == 0o711
    assert held.converged(list(reversed(wish))) == []


def test_what_leaves_the_tree_in_git_leaves_the_host(held: Holding) -> None:
    held.converged([tree()])
    (held.root / "app" / "conf.d" / "theirs").touch()
    held.files.pop("files/app/conf.d/two.conf")
    held.files.pop("files/app/empty/.gitkeep")
    assert sorted(held.converged([tree()])) == ["directory:/app/empty", "file:/app/conf.d/two.conf"]
    assert sorted(os.listdir(held.root / "app" / "conf.d")) == ["deeper", "one.conf", "theirs"]


@pytest.mark.parametrize(
    ("pattern", "path", "matched"),
    [
        ("*.bak", "a.bak", True),
        ("*.bak", "deep/er/a.bak", True),
        ("*.bak", "a.bak/inner", True),
        ("*.bak", "a.bakery", False),
        ("conf/*", "conf/a", True),
        ("conf/*", "conf/a/b", True),
        ("conf/*", "conf", False),
        ("conf/*.x", "conf/a/b.x", False),
        ("/conf/*.x", "conf/b.x", True),
        ("*/b", "a/b", True),
        ("*/b", "a/c/b", False),
        ("[ab]?", "b1", True),
        ("B", "b", False),
    ],
)
def test_a_star_stops_at_a_slash(pattern: str, path: str, matched: bool) -> None:
    assert matcher([pattern])(path) is matched


def test_what_is_excluded_is_neither_copied_nor_purged(held: Holding) -> None:
    held.files |= {"files/app/a.bak": "", "files/app/conf.d/b.bak": "", "files/app/cache/x": ""}
    wish = [tree(exclude=["*.bak", "cache", "conf.d/theirs*"], purge=True)]
    held.converged(wish)
    app = held.root / "app"
    assert sorted(os.listdir(app)) == NAMES
    for name in ("mine.bak", "conf.d/theirs.conf", "theirs.conf"):
        (app / name).touch()
    assert held.converged(wish) == ["purge:/app"]
    assert [name for name in all_of(app) if "theirs" in name or "bak" in name] == ["conf.d/theirs.conf", "mine.bak"]


def test_purging_removes_strangers_and_never_what_is_declared(held: Holding) -> None:
    app = held.root / "app"
    wish = [
        tree(purge=True),
        {"file": "/app/other.conf", "content": "declared"},
        {"file": "/app/nested/way/down", "content": "x"},
        {"directory": "/app/nested"},
        {"directory": "/app/nested/way"},
        {"file": "/app/held", "mode": "0644"},
    ]
    app.mkdir()
    (app / "held").touch()

    def check() -> None:
        assert sorted(os.listdir(app)) == sorted([*NAMES, "other.conf", "nested", "held"])
        assert all_of(app / "conf.d") == ["deeper", "deeper/three.conf", "one.conf", "two.conf"]

    def drift() -> None:
        (app / "stranger").touch()
        (app / "conf.d" / "deeper" / "stranger").symlink_to("/etc/passwd")
        (app / "empty" / "stranger").mkdir()

    (app / "first").touch()
    step = held.fourfold(wish, check, drift)
    assert step.node.id == "purge:/app"
    assert step.observed["strangers"] == ("stranger", "conf.d/deeper/stranger", "empty/stranger")
    (app / "nested" / "theirs").touch()
    assert held.converged(wish) == [], "what is in a directory that is not of the tree is not looked at"


def test_a_mass_of_strangers_is_not_removed_without_a_second_word(held: Holding) -> None:
    directory = held.root / "conf.d"
    directory.mkdir()
    for number in range(20):
        (directory / f"theirs{number}").touch()
    wish = {"directory": "/conf.d", "purge": True}
    outcomes = {outcome.id: outcome for outcome in held.apply([wish, {"file": "/conf.d/mine", "content": ""}])}
    assert outcomes["purge:/conf.d"].result == "failed"
    assert "20 of the 20 entries of /conf.d are declared by nobody" in outcomes["purge:/conf.d"].message
    assert outcomes["file:/conf.d/mine"].result == "converged", "and nothing else waits for it"
    assert len(os.listdir(directory)) == 21
    held.converged([{**wish, "force": True}, {"file": "/conf.d/mine", "content": ""}])
    assert os.listdir(directory) == ["mine"]


def test_a_full_directory_is_not_purged_without_force(held: Holding) -> None:
    (held.root / "conf.d" / "full" / "inner").mkdir(parents=True)
    outcomes = held.apply([{"directory": "/conf.d", "purge": True}])
    assert "full is not empty" in outcomes[-1].message
    held.converged([{"directory": "/conf.d", "purge": True, "force": True}])
    assert os.listdir(held.root / "conf.d") == []


def test_a_purge_by_itself(held: Holding) -> None:
    (held.root / "conf.d").mkdir()
    wish = [
        {"purge": "/conf.d"},
        {"file": "/conf.d/mine", "content": ""},
        {"file": "/conf.d/absent", "ensure": "absent"},
    ]
    held.fourfold(
        wish, lambda: os.listdir(held.root / "conf.d") == ["mine"] or 1 / 0, (held.root / "conf.d" / "x").touch
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"source": "nothing"}, "names 'nothing', which is none of files/nothing"),
        ({"source": "app/main.conf"}, "which is not a folder"),
        ({"max_files": 3}, "source has 11 files, more than the 3 of max_files"),
        ({"ensure": "absent"}, "source has no meaning with ensure: absent"),
        ({"source": "../x"}, "without '..'"),
    ],
)
def test_what_makes_no_sense_is_found_before_anything_is_touched(
    held: Holding, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        held.plan([tree(**fields)])
    assert said in str(caught.value)


def test_a_tree_is_bounded_in_depth_and_number(held: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    held.files["files/deep/" + "d/" * 70 + "x"] = ""
    with pytest.raises(ManifestInvalid, match="more than 64 directories deep"):
        held.plan([{"directory": "/deep", "source": "deep"}])
    monkeypatch.setattr("agent.manifest.lookup.MAX_FOLDER_ENTRIES", 5)
    with pytest.raises(ManifestInvalid, match="files/app holds more than 5 files and directories"):
        held.plan([tree()])
    assert source_tree.MAX_DEPTH == 64


def test_a_name_that_only_begins_alike_is_another(held: Holding) -> None:
    held.converged([tree(purge=True), {"file": "/app2", "content": "x"}, {"directory": "/app.d", "purge": True}])
    assert sorted(os.listdir(held.root)) == ["app", "app.d", "app2"]
