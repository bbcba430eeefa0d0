"""`parents`: what is missing above a path is made with it, what is there stays, and what was made goes when it is empty."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ManifestInvalid
from tests.unit.holding import Holding

OTHER = {"file": "/other", "content": ""}
WISHES: dict[str, dict[str, Any]] = {
    "file": {"file": "/a/b/c/x", "content": "text"},
    "directory": {"directory": "/a/b/c/x"},
    "symlink": {"symlink": "/a/b/c/x", "target": "y"},
}


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    (tmp_path / "root").mkdir()
    return Holding(tmp_path / "root", tmp_path / "state")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("kind", WISHES)
def test_what_is_missing_is_made_and_goes_with_it(held: Holding, kind: str) -> None:
    (held.root / "a").mkdir(mode=0o700)
    wish = {**WISHES[kind], "parents": "0750"}
    (outcome,) = held.apply([WISHES[kind]])
    assert "declare directory:/a/b/c" in outcome.message, "off by default"
    planned = [step.node.id for step in held.plan([wish, OTHER]).steps if not step.in_sync]
    assert planned[:2] == ["directory:/a/b", "directory:/a/b/c"]
    held.converged([wish, OTHER])
    assert (held.root / "a/b/c/x").is_symlink() or (held.root / "a/b/c/x").exists()
    assert [mode(held.root / name) for name in ("a", "a/b", "a/b/c")] == [0o700, 0o750, 0o750]
    (held.root / "a/b").chmod(0o711)
    assert not held.plan([wish, OTHER]).pending, "what is there is not held"
    held.converged([OTHER])
    assert os.listdir(held.root / "a") == []


def test_true_is_0755_and_false_is_nothing(held: Holding) -> None:
    held.converged([{**WISHES["file"], "parents": True}, {"file": "/other", "content": "", "parents": False}])
    assert mode(held.root / "a/b/c") == 0o755


def test_a_directory_that_is_declared_is_as_it_is_declared(held: Holding) -> None:
    declared = {"directory": "/a/b", "mode": "0711"}
    wishes = [
        {"directory": "/a"},
        declared,
        {**WISHES["file"], "parents": "0700"},
        {**WISHES["symlink"], "symlink": "/a/b/y"},
    ]
    held.converged(wishes)
    assert (mode(held.root / "a/b"), mode(held.root / "a/b/c")) == (0o711, 0o700)
    assert not held.plan(wishes).pending


def test_a_link_to_a_directory_will_do(held: Holding) -> None:
    (held.root / "real").mkdir()
    (held.root / "a").symlink_to("real")
    wish = [{**WISHES["file"], "parents": True}]
    held.converged(wish)
    assert (held.root / "real/b/c/x").read_text() == "text"
    assert not held.plan(wish).pending


@pytest.mark.parametrize("target", ["nowhere", "a"])
def test_a_link_to_nothing_and_a_file_are_in_the_way(held: Holding, target: str) -> None:
    (held.root / "a").symlink_to(target)
    outcomes = {outcome.id: outcome for outcome in held.apply([{**WISHES["file"], "parents": True}])}
    assert outcomes["directory:/a"].result == "failed"
    assert outcomes["file:/a/b/c/x"].result == "blocked"


def test_one_that_others_use_is_let_go(held: Holding) -> None:
    held.converged([{**WISHES["file"], "parents": True}, OTHER])
    (held.root / "a/theirs").touch()
    outcomes = {outcome.id: outcome for outcome in held.apply([OTHER])}
    assert outcomes["directory:/a/b"].result == "removed"
    assert outcomes["directory:/a"].result == "released"
    assert "it holds theirs" in outcomes["directory:/a"].message
    assert os.listdir(held.root / "a") == ["theirs"]
    assert held.converged([OTHER]) == []


def test_two_that_share_them_make_them_once(held: Holding) -> None:
    wishes = [{**WISHES["file"], "parents": True}, {"file": "/a/b/y", "content": "", "parents": True}]
    held.converged(wishes)
    held.converged(wishes[1:])
    assert sorted(os.listdir(held.root / "a/b")) == ["y"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"parents": "yes"}, "must be three or four octal digits"),
        ({"parents": 755}, "must be quoted text"),
        ({"parents": True, "ensure": "absent"}, "parents has no meaning with ensure: absent"),
    ],
)
@pytest.mark.parametrize("kind", WISHES)
def test_what_makes_no_sense_is_refused(held: Holding, kind: str, fields: dict[str, Any], said: str) -> None:
    wish = {kind: "/a/b/c/x", **fields}
    with pytest.raises(ManifestInvalid) as caught:
        held.plan([wish])
    assert said in str([problem.message for problem in caught.value.problems])
