"""`recurse`: owner, group and mode of all that others put below a directory, judged by find(1); nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ManifestInvalid
from tests.unit.holding import Holding

ALICE, ADM = 1001, 4


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    root = tmp_path / "root"
    for name in ("etc", "srv/a/b", "srv/empty", "outside"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:\nalice:x:1001:1001::/:\n")
    (root / "etc/group").write_text("root:x:0:\nadm:x:4:\n")
    for name in ("one", "a/two", "a/b/tool"):
        (root / "srv" / name).write_text("text")
    (root / "srv/a/b/tool").chmod(0o755)
    (root / "outside/theirs").write_text("text")
    (root / "srv/link").symlink_to("../outside/theirs")
    (root / "srv/a/away").symlink_to("../../outside")
    (root / "srv/itself").symlink_to("itself")
    os.mkfifo(root / "srv/a/fifo")
    os.mknod(root / "srv/a/null", 0o020666, os.makedev(1, 3))
    return Holding(root, tmp_path / "state")


def srv(**fields: Any) -> dict[str, Any]:
    return {"directory": "/srv", "owner": "alice", "group": "adm", "recurse": True, **fields}


def found(held: Holding, at: str = "srv") -> dict[str, str]:
    """Owner and mode of all below."""
    argv = ["find", str(held.root / at), "-mindepth", "1", "-printf", "%P %U:%G %m\n"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in said.splitlines()}


def test_all_below_is_held_and_nothing_behind_links(held: Holding) -> None:
    wish = [srv(mode="u=rwX,go=rX", file_mode="u+rw,go=rX")]
    outside = found(held, "outside")

    def check() -> None:
        now = found(held)
        assert now.pop("a/fifo").startswith("0:0")
        assert now.pop("a/null").startswith("0:0")
        links = {name: now.pop(name) for name in ("link", "a/away", "itself")}
        assert set(links.values()) == {f"{ALICE}:{ADM} 777"}
        assert now == {
            **dict.fromkeys(("a", "a/b", "empty", "a/b/tool"), f"{ALICE}:{ADM} 755"),
            **dict.fromkeys(("one", "a/two"), f"{ALICE}:{ADM} 644"),
        }
        assert found(held, "outside") == outside

    def drift() -> None:
        (held.root / "srv/a/two").chmod(0o640)
        os.chown(held.root / "srv/a/b", 0, 0)
        (held.root / "srv/new").write_text("x")

    step = held.fourfold(wish, check_all(check, held), drift)
    assert step.drift["below"].before == (
        "a/b (owner root, group root)",
        "a/two (mode 0640)",
        "new (owner root, group root)",
    )


def check_all(check: Any, held: Holding) -> Any:
    def checked() -> None:
        new = held.root / "srv/new"
        if new.exists():
            assert (new.stat().st_uid, new.stat().st_gid) == (ALICE, ADM)
            new.unlink()
        check()

    return checked


def test_the_plan_shows_the_first_few_and_how_many(held: Holding) -> None:
    for number in range(20):
        (held.root / f"srv/empty/{number:02}").touch()
    (step,) = held.plan([srv()]).steps
    before = step.drift["below"].before
    assert isinstance(before, tuple)
    assert before[0] == "a (owner root, group root)"
    assert before[-1] == "and 24 more"
    assert len(before) == 6


def test_only_what_is_named_is_changed(held: Holding) -> None:
    (held.root / "srv/one").chmod(0o4711)
    held.converged([{"directory": "/srv", "recurse": True, "file_mode": "o-r"}])
    now = found(held)
    assert (now["one"], now["a/two"], now["a"]) == ("0:0 4711", "0:0 640", "0:0 755")
    held.converged([{"directory": "/srv", "recurse": True, "owner": "alice", "file_mode": "u+s"}])
    assert found(held)["one"] == f"{ALICE}:0 4711", "a new owner clears what is wished, so it is set again"


def test_what_is_declared_or_excluded_is_left(held: Holding) -> None:
    wishes = [srv(exclude=["b"]), {"directory": "/srv/empty", "owner": "root"}, {"file": "/srv/one", "owner": "root"}]
    (held.root / "srv/empty/theirs").touch()
    held.converged(wishes)
    now = found(held)
    assert {name: now[name].split()[0] for name in ("empty", "empty/theirs", "one", "a/b", "a/b/tool", "a/two")} == {
        **dict.fromkeys(("empty", "empty/theirs", "one", "a/b", "a/b/tool"), "0:0"),
        "a/two": f"{ALICE}:{ADM}",
    }
    assert not held.plan(wishes).pending


def test_more_than_may_be_there_is_an_error_and_nothing_is_changed(held: Holding) -> None:
    before = found(held)
    (outcome,) = held.apply([srv(max_files=5)])
    assert outcome.result == "failed"
    assert "there are more than 5 things below /srv; raise max_files" in outcome.message
    assert found(held) == before


def test_another_file_system_is_not_entered(held: Holding) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", held.root / "srv/empty"], check=True)
    try:
        (held.root / "srv/empty/theirs").touch()
        held.converged([srv()])
        assert found(held)["empty/theirs"].startswith("0:0")
    finally:
        subprocess.run(["umount", "--lazy", held.root / "srv/empty"], check=True)


def test_ten_thousand_files_are_looked_at_within_half_a_second(held: Holding) -> None:
    for directory in range(100):
        (held.root / f"srv/empty/{directory}").mkdir()
        for number in range(99):
            (held.root / f"srv/empty/{directory}/{number}").touch()
    wish = [srv(file_mode="u+rw", max_files=20_000)]
    held.converged(wish)
    began = time.process_time()
    assert not held.plan(wish).pending
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"recurse": True}, "recurse needs something to hold"),
        ({"recurse": True, "owner": "alice", "source": "tree"}, "give only one of them"),
        ({"file_mode": "0644"}, "file_mode is that of the files of a source"),
    ],
)
def test_what_makes_no_sense_is_refused(held: Holding, fields: dict[str, Any], said: str) -> None:
    held.files["files/tree/x"] = ""
    with pytest.raises(ManifestInvalid) as caught:
        held.plan([{"directory": "/srv", **fields}])
    assert said in str([problem.message for problem in caught.value.problems])
