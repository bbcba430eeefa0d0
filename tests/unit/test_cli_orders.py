"""The verbs that give a host orders, on a root in a directory that follows a real repository, with real settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent import cli
from tests.hosts.git import GitRepository
from tests.unit.world import file

pytestmark = pytest.mark.processes(reason="the repository is made with git")
SETTINGS = "host: web-01\nrollback: health\nhealth_settle: 0s\nhealth_timeout: 0s\nhealth_soak: 0s\n"
BASE = "  - directory: /etc\n"
ALIVE = "checks:\n  - file_age: /etc/alive\n"
WELL = BASE + file("/etc/alive") + file("/etc/a", "one")


class Follower:
    """A root that follows a repository, and the command on it."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.config, self._capsys = directory / "root", directory / "config", capsys
        self.repository = GitRepository(directory)
        for made in (self.root, self.config):
            made.mkdir()
        (self.config / "agent.yaml").write_text(f"repository: {self.repository.bare}\n{SETTINGS}")
        self.out = self.err = ""

    def push(self, resources: str, more: str = "", message: str = "change") -> str:
        document = f"resources:\n{resources}{more}"
        return self.repository.commit({"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": document}, message)

    def call(self, *words: str) -> int:
        status = cli.main([*words, "--config", str(self.config), "--root", str(self.root)])
        self.out, self.err = self._capsys.readouterr()
        return status

    def status(self) -> dict[str, Any]:
        cli.main(["status", "--json", "--root", str(self.root)])
        found: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return found

    def reasons(self) -> set[str]:
        return {found["reason"] for found in self.status()["conditions"]}

    def read(self, path: str) -> str:
        return (self.root / path).read_text()


@pytest.fixture
def follower(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Follower:
    made = Follower(tmp_path, capsys)
    made.push(WELL, ALIVE)
    assert made.call("apply") == 0
    return made


def test_suspended_it_is_looked_at_and_left_alone(follower: Follower) -> None:
    held = follower.status()["revision"]["commit"]
    assert follower.call("suspend", "--reason", "a move") == 0
    assert follower.out.startswith("suspended until 2")
    assert follower.status()["verdict"] == "WARNING", "from the moment it is given"
    (follower.root / "etc/a").write_text("drifted")
    newer = follower.push(WELL + file("/etc/b"), ALIVE)
    assert follower.call("apply") == 4
    assert "nothing was changed: suspended by " in follower.out
    assert (follower.read("etc/a"), (follower.root / "etc/b").exists()) == ("drifted", False)
    found = follower.status()
    assert found["revisions"] == {"applied": held, "attempted": newer, "good": held}
    assert {problem["id"] for problem in found["problems"]} == {"file:/etc/a", "file:/etc/b"}
    assert follower.reasons() == {"Suspended"}
    assert found["operation"]["waiting_for"].endswith("a move (agentctl resume)")
    assert found["headline"].startswith(f"web-01 holds main@{held[:7]}, suspended by ")


def test_a_pass_that_runs_heeds_it_after_the_step_in_hand(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    def suspend(_progress: object, _outcome: object) -> None:
        monkeypatch.undo()
        assert follower.call("suspend", "--reason", "stop") == 0, "it does not wait for the pass"
        assert follower.status()["orders"]["suspend"]["reason"] == "stop"

    monkeypatch.setattr("agent.cli.apply._tell", suspend)
    newer = follower.push(WELL + file("/etc/b") + file("/etc/c", after="[file:/etc/b]"), ALIVE)
    assert follower.call("apply") == 4
    assert "the rest was left: suspended by " in follower.out
    assert [(follower.root / "etc" / name).exists() for name in "bc"] == [True, False]
    found = follower.status()
    assert follower.reasons() == {"Suspended", "Interrupted"}
    assert (found["revisions"]["applied"], found["operation"]["result"]) == (newer, "interrupted")
    assert found["operation"]["retry_at"] == 0
    assert found["notices"][0].startswith("stopped before 1 resource: suspended by ")
    follower.call("resume")
    assert follower.call("apply") == 0
    assert (follower.root / "etc/c").exists()


def test_one_forced_pass_changes_it_all_the_same(follower: Follower) -> None:
    follower.call("suspend", "--reason", "a move", "--for", "30m")
    (follower.root / "etc/a").write_text("drifted")
    assert follower.call("apply", "--force") == 0
    assert follower.read("etc/a") == "one"
    (follower.root / "etc/a").write_text("drifted")
    assert follower.call("apply") == 4, "it is suspended as before"
    assert follower.call("resume") == 0
    assert "it was suspended by " in follower.out
    assert follower.call("apply") == 0
    assert (follower.read("etc/a"), follower.reasons()) == ("one", set())
    follower.call("resume")
    assert follower.out.startswith("nothing was suspended here")


def test_the_repository_suspends_too_and_a_person_cannot_lift_that(follower: Follower) -> None:
    follower.push(WELL + file("/etc/b"), ALIVE + "suspend:\n  reason: frozen\n  until: 2999-01-01T00:00:00Z\n")
    assert follower.call("apply") == 4
    assert "suspended by the repository until 2" in follower.out
    follower.call("resume")
    assert follower.call("apply") == 4
    follower.push(WELL + file("/etc/b"), ALIVE + "suspend:\n  reason: frozen\n  until: 2001-01-01T00:00:00Z\n")
    assert follower.call("apply") == 0, "it ran out"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("suspend: {}\n", ""),
        ("suspend:\n  until: 2999-01-01\n", "`suspend` needs a reason"),
        ("suspend:\n  reason: x\n  until: tomorrow\n", "`until` must be a moment such as"),
        ("suspend:\n  reason: x\n  who: me\n", "who"),
    ],
)
def test_what_is_wrong_with_a_declared_suspension(follower: Follower, more: str, message: str) -> None:
    follower.push(WELL + file("/etc/b"), ALIVE + more)
    assert follower.call("apply") == (1 if message else 0)
    assert message in follower.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["suspend"], "--reason"),
        (["suspend", "--reason", "x", "--for", "soon"], "'soon' is no duration"),
        (["suspend", "--reason", "x", "--for", "1h", "--forever"], "contradict each other"),
        (["suspend", "--reason", "x", "--for", "0d"], "is no duration"),
        (["rollback"], "no other revision has proved good on this host"),
        (["rollback", "0" * 40], "0000000"),
        (["prune", "approve"], "needs the digest"),
        (["prune", "approve", "abc"], "abc is not what would be removed now"),
    ],
)
def test_wrong_usage_gives_no_order(follower: Follower, words: list[str], message: str) -> None:
    assert follower.call(*words) == 1
    assert message in follower.err
    assert "Traceback" not in follower.err
    assert follower.status()["orders"] == {}


def test_back_to_the_last_good_one_and_on_again(follower: Follower) -> None:
    first = follower.status()["revision"]["commit"]
    second = follower.push(WELL.replace("one", "two"), ALIVE)
    follower.call("apply")
    assert (follower.call("rollback", "--reason", "it is slow"), follower.out[:18]) == (0, f"pinned to {first[:7]} ")
    assert follower.call("apply") == 0, "that is what was asked for"
    assert follower.read("etc/a") == "one"
    found = follower.status()
    assert (found["verdict"], found["source"]["state"]) == ("WARNING", "pinned")
    assert "pinned " + first[:7] + ": it is slow" in found["headline"]
    assert found["revisions"] == {"applied": first, "attempted": second, "good": first}
    third = follower.push(WELL.replace("one", "three"), ALIVE)
    assert follower.call("apply") == 0
    assert (follower.read("etc/a"), follower.status()["revisions"]["attempted"]) == ("one", third)
    assert follower.call("unpin") == 0
    assert follower.call("apply") == 0
    assert (follower.read("etc/a"), follower.reasons()) == ("three", set())
    follower.call("unpin")
    assert follower.out == "nothing was pinned here\n"


def test_a_commit_by_its_id(follower: Follower) -> None:
    first = follower.status()["revision"]["commit"]
    for text in ("two", "three"):
        follower.push(WELL.replace("one", text), ALIVE)
        follower.call("apply")
    assert follower.call("rollback", first, "--forever") == 0
    assert follower.out.startswith(f"pinned to {first[:7]} until it is taken back")
    follower.call("apply")
    assert follower.read("etc/a") == "one"


def test_what_proves_bad_is_rolled_back_and_may_be_tried_again(follower: Follower) -> None:
    good = follower.status()["revision"]["commit"]
    bad = follower.push(BASE + "  - file: /etc/alive\n    ensure: absent\n" + file("/etc/a", "two"), ALIVE)
    assert follower.call("apply") == 4
    assert f"{bad[:7]} was rolled back: file_age:/etc/alive" in follower.err
    assert (follower.read("etc/a"), follower.read("etc/alive")) == ("one", "x")
    found = follower.status()
    assert (found["verdict"], found["operation"]["result"]) == ("WARNING", "rolled_back")
    assert (found["revisions"], follower.reasons()) == (
        {"applied": good, "attempted": bad, "good": good},
        {"RolledBack"},
    )
    follower.push(BASE + "  - file: /etc/alive\n    ensure: absent\n" + file("/etc/a", "two"), ALIVE + "# unrelated\n")
    assert follower.call("apply") == 4, "another commit that asks for the same is no better"
    assert follower.call("retry") == 0
    assert follower.out.startswith("1 revision that had been rolled back may be tried again")
    assert follower.call("apply") == 4
    assert follower.read("etc/a") == "one"


def test_removals_are_shown_and_approved_by_their_digest(follower: Follower) -> None:
    follower.push(WELL + "".join(file(f"/etc/f{number}") for number in range(9)), ALIVE)
    follower.call("apply")
    follower.push(WELL, ALIVE)
    assert follower.call("apply") == 4
    assert follower.reasons() == {"PruneBlocked"}
    assert follower.call("prune") == 0
    digest = follower.out.split()[-1]
    assert f"all 9 removals: {digest}" in follower.out
    assert f"agentctl prune approve {digest}" in follower.status()["operation"]["waiting_for"]
    assert follower.call("prune", "approve", digest) == 0
    assert follower.call("apply") == 0
    assert sorted(path.name for path in (follower.root / "etc").iterdir()) == ["a", "alive"]
    assert follower.call("prune") == 0
    assert follower.out == "nothing that left Git waits to be removed\n"


def test_a_failure_is_tried_again_later_and_later(follower: Follower) -> None:
    (follower.root / "etc/d").write_text("in the way")
    follower.push(WELL + file("/etc/d/x"), ALIVE)
    waits = []
    for _ in range(3):
        assert follower.call("apply") == 4
        found = follower.status()
        waits.append(found["operation"]["retry_at"] - found["operation"]["at"])
    assert waits == pytest.approx((5, 10, 20), rel=0.22)
    follower.call("suspend", "--reason", "x")
    follower.call("apply")
    assert follower.status()["operation"]["retry_at"] == 0, "it waits for a person, not for time"
    follower.call("resume")
    follower.call("apply")
    found = follower.status()["operation"]
    assert found["retry_at"] - found["at"] == pytest.approx(40, rel=0.22), "and that has used up no try"
    (follower.root / "etc/d").unlink()
    (follower.root / "etc/d").mkdir()
    assert follower.call("apply") == 0
    assert follower.status()["operation"]["retry_at"] == 0


def test_what_cannot_be_undone_is_marked_in_the_plan(follower: Follower) -> None:
    follower.push(WELL + "  - package: tool\n", ALIVE)
    follower.call("plan", "--json")
    steps = {step["id"]: step for step in json.loads(follower.out)["steps"]}
    assert steps["package:tool"]["one_way"] is True
    follower.push(WELL.replace("one", "two"), ALIVE)
    follower.call("plan", "--json")
    (step,) = json.loads(follower.out)["steps"]
    assert step["one_way"] is False
