"""Of several commits that come at once, a change is put down to the one that touched where it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pygit2
import pytest

from agent.cli import main
from agent.source import lineage
from agent.source.lineage import Lineage
from tests.unit.fleets import Host, commit

BASE = {
    "fleet.yaml": "format: 1\n",
    "hosts/web-01.yaml": "roles: [app]\nresources:\n  - file: /etc/motd\n    content: one\n",
    "roles/app/role.yaml": "resources:\n  - file: /etc/plain\n    source: plain\n  - file: /etc/made\n    template: made.j2\n",
    "roles/app/files/plain": "one",
    "roles/app/templates/made.j2": "one",
}


@pytest.fixture
def follower(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path / "root", capsys)


def newest(follower: Host, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The newest line of the log of a resource."""
    assert main(["log", name, "--json", "--state-dir", str(follower.root / "var/lib/gitops-agent")]) == 0
    return dict(json.loads(capsys.readouterr().out)["changes"][0])


def test_each_change_is_put_down_to_its_own_commit(
    follower: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, kept = tmp_path / "fleet.git", dict(BASE)
    commit(repository, kept)
    assert follower.follow(repository) == (0, "")
    made: list[str] = []
    for change in (
        {"hosts/web-01.yaml": BASE["hosts/web-01.yaml"].replace("one", "two")},
        {"roles/app/files/plain": "two"},
        {"roles/app/templates/made.j2": "two"},
        {"roles/app/role.yaml": f"{BASE['roles/app/role.yaml']}  - file: /etc/new\n    content: new\n"},
        {"README": "nothing of a host"},
    ):
        kept |= change
        made.append(commit(repository, kept, f"change {len(made)}"))
    assert follower.follow(repository) == (0, "")
    for number, name in enumerate(("motd", "plain", "made", "new")):
        line = newest(follower, f"file:/etc/{name}", capsys)
        assert (line["revision"], line["summary"], line["author"]) == (
            made[number],
            f"change {number}",
            "ops@example.com",
        )


def test_what_no_commit_of_them_touched_is_put_down_to_the_newest(
    follower: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, kept = tmp_path / "fleet.git", {**BASE, "roles/app/templates/made.j2": "{{ vars.word }}\n"}
    kept["fleet.yaml"] = "format: 1\nvars: {word: one}\n"
    commit(repository, kept)
    assert follower.follow(repository) == (0, "")
    kept["fleet.yaml"] = "format: 1\nvars: {word: two}\n"
    commit(repository, kept)
    newest_of_all = commit(repository, {**kept, "README": "x"})
    assert follower.follow(repository) == (0, "")
    assert newest(follower, "file:/etc/made", capsys)["revision"] == newest_of_all


class History:
    """Commits in a repository, and what is asked of the newest."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.made = directory, [commit(directory, {"a": "0"})]

    def add(self, **files: str) -> None:
        self.made.append(commit(self.directory, dict(files)))

    def last(self, since: int, *paths: str) -> str:
        found = Lineage(pygit2.Repository(str(self.directory)), self.made[-1]).last(paths, self.made[since])
        return str(found.id) if found else ""


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "fleet.git")


def test_the_newest_that_touched_a_file_counts_also_when_it_removed_it(history: History) -> None:
    history.add(a="1", b="1")
    history.add(a="2", b="1")
    history.add(b="1")
    assert history.last(0, "a") == history.made[3]
    assert history.last(0, "b") == history.made[1]
    assert history.last(1, "b") == "", "that was before"
    assert history.last(3, "a") == "", "nothing is newer"


def test_no_more_than_so_many_are_looked_through(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "MAX_COMMITS", 2)
    history.add(a="1")
    for number in range(2):
        history.add(a="1", b=str(number))
    assert history.last(0, "b") == history.made[3]
    assert history.last(0, "a") == ""


def test_a_damaged_clone_tells_nothing(history: History) -> None:
    history.add(a="1")
    history.add(a="2")
    lost = history.directory / "objects" / history.made[1][:2] / history.made[1][2:]
    lost.unlink()
    assert history.last(0, "b") == ""


def test_a_commit_that_is_not_here_tells_nothing(history: History) -> None:
    found = Lineage(pygit2.Repository(str(history.directory)), history.made[0])
    assert found.last(["a"], "0" * 40) is None
    assert found.last(["a"], "") is None
