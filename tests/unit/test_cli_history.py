"""The verbs of the history on another root: what they print, and with which exit status they end."""

from __future__ import annotations

import json
from pathlib import Path

import pygit2
import pytest

from agent.health import Timing
from tests.unit.site import NAME, RESOURCES, Site

LINE = '  - file: /etc/a\n    content: "{}"\n    mode: "{}"\n'


def at_root(site: Site, verb: str, *more: str) -> int:
    """A verb that reads the state of the site's root, with no settings."""
    return site.call(verb, *more, "--root", str(site.root), "--config", str(site.root / "no-settings"))


@pytest.fixture
def lived(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A root that was converged, changed, edited by hand and repaired."""
    monkeypatch.setattr("agent.cli.session.Timing", lambda *_: Timing(0.0, 0.0))  # nothing here has to settle
    site.hold(RESOURCES)
    site.on("apply")
    site.write(f"hosts/{NAME}.yaml", f"resources:\n{RESOURCES}".replace("two", "three"))
    site.on("apply")
    (site.root / "etc/a").write_text("by hand\n")
    site.on("apply")
    return site


def test_the_log_of_one_resource(lived: Site) -> None:
    assert at_root(lived, "log", "file:/etc/a", "--diff") == 0
    heads = [line for line in lived.out.splitlines() if line[:1] != " "]
    assert len(heads) == 3
    assert "drift    changed on the host, put back" in heads[0]
    assert heads[0].endswith("content +2 -1")
    assert heads[1].endswith("content +1 -1")
    assert "    -two\n    +three\n" in lived.out
    at_root(lived, "log", "file:/etc/a")
    assert "+three" not in lived.out


def test_the_log_of_all_and_its_limit(lived: Site) -> None:
    at_root(lived, "log", "--json")
    changes = json.loads(lived.out)["changes"]
    assert [change["id"] for change in changes[:2]] == ["file:/etc/a", "file:/etc/a"]
    assert len(changes) == 5
    assert changes[1]["diff"] == ["@@ -1,2 +1,2 @@", " one", "-two", "+three"]
    at_root(lived, "log", "--limit", "2")
    assert len(lived.out.splitlines()) == 2
    assert at_root(lived, "log", "--limit", "0") == 1


def test_a_name_that_is_nearly_right(lived: Site) -> None:
    assert at_root(lived, "log", "file:/ect/a") == 1
    assert "did you mean file:/etc/a?" in lived.err


def test_what_was_never_changed_is_said_to_be_so(site: Site) -> None:
    (site.root / "etc").mkdir()
    site.hold("  - directory: /etc\n")
    site.on("apply")
    assert at_root(site, "log", "directory:/etc") == 1
    assert "directory:/etc was never changed here" in site.err


def test_without_a_history_it_is_said_how_one_begins(site: Site) -> None:
    for verb in ("log", "history"):
        assert at_root(site, verb) == 1
        assert "there is no history" in site.err
    assert list(site.root.iterdir()) == []


def test_the_history_of_passes(lived: Site) -> None:
    assert at_root(lived, "history") == 0
    assert "because of drift" in lived.out.splitlines()[1]
    (lived.root / "etc/a").write_text("again\n")
    lived.on("apply")
    at_root(lived, "history", "--json")
    newest, change = json.loads(lived.out)["passes"]
    assert (newest["cause"], newest["times"], newest["class"]) == ("drift", 2, "good")
    assert (change["cause"], change["times"]) == ("revision", 2), "a working tree has no commit to tell them apart"
    at_root(lived, "history")
    assert "; 2 times since " in lived.out


def commit(directory: Path, files: dict[str, str], message: str) -> str:
    """Commit files, and nothing else, to the main branch of a bare repository; the commit's id."""
    repository = pygit2.init_repository(str(directory), bare=True, initial_head="main")
    hosts = repository.TreeBuilder()
    hosts.insert(f"{NAME}.yaml", repository.create_blob(files["host"]), pygit2.GIT_FILEMODE_BLOB)
    top = repository.TreeBuilder()
    top.insert("fleet.yaml", repository.create_blob("format: 1\n"), pygit2.GIT_FILEMODE_BLOB)
    top.insert("hosts", hosts.write(), pygit2.GIT_FILEMODE_TREE)
    who = pygit2.Signature("ops", "ops@example.com", 1_700_000_000, 0)
    known = repository.references.get("refs/heads/main")
    parents = [known.target] if known else []
    return str(repository.create_commit("refs/heads/main", who, who, message, top.write(), parents))


@pytest.mark.parametrize("named", [True, False])
def test_two_revisions_compared(site: Site, tmp_path: Path, named: bool) -> None:
    bare = tmp_path / "fleet.git"
    both = LINE.format("one\\n", "0644") + "  - file: /etc/old\n    content: x\n"
    first = commit(bare, {"host": f"resources:\n{both}"}, "first")
    after = LINE.format("two\\n", "0600") + "  - directory: /srv\n  - file: /etc/new\n    content: y\n"
    second = commit(bare, {"host": f"resources:\n{after}"}, "say two")
    revs = f"{first[:7]}..{second[:7]}" if named else first[:7]
    place = ("--repo", str(bare), "--host", NAME, "--root", str(site.root))
    assert site.call("diff", revs, *place) == 0, site.err
    lines = site.out.splitlines()
    assert lines[0] == f'{NAME}: {first[:7]} -> {second[:7]} "say two" by ops@example.com'
    assert [line.split()[:2] for line in lines if line[2:3] in ("+", "~", "-")] == [
        ["~", "file:/etc/a"], ["+", "directory:/srv"], ["+", "file:/etc/new"], ["-", "file:/etc/old"],
    ]  # fmt: skip
    assert "content +1 -1, mode 0644 -> 0600" in lines[1]
    assert lines[3:5] == ["      -one", "      +two"]
    assert lines[-1] == "2 added, 1 changed, 1 removed, 0 the same"
    assert list(site.root.iterdir()) == []
    site.call("diff", revs, "--json", *place)
    changed = json.loads(site.out)["resources"][0]
    assert changed["fields"] == {"mode": ["0644", "0600"]}
    assert changed["contents"]["content"]["size"] == "+1 -1"


def test_revisions_that_cannot_be_compared(site: Site, tmp_path: Path) -> None:
    bare = tmp_path / "fleet.git"
    commit(bare, {"host": "resources:\n" + LINE.format("one", "0644")}, "first")
    place = ("--repo", str(bare), "--host", NAME, "--root", str(site.root))
    assert site.call("diff", "..main", *place) == 1
    assert "REV..REV" in site.err
    assert site.call("diff", "nosuch..main", *place) == 1
    assert "has no branch nosuch" in site.err


def test_what_is_sensitive_is_never_shown(site: Site, tmp_path: Path) -> None:
    bare = tmp_path / "fleet.git"
    said = 'resources:\n  - file: /etc/key\n    content: "{0}"\n    sensitive: true\n  - file: /etc/was\n    content: "{0}"\n'
    first = commit(bare, {"host": said.format("hunter2") + "    sensitive: true\n"}, "first")
    commit(bare, {"host": said.format("hunter3")}, "second")
    place = ("--repo", str(bare), "--host", NAME, "--root", str(site.root))
    for more in ((), ("--json",)):
        assert site.call("diff", first, *more, *place) == 0
        assert "file:/etc/key" in site.out
        assert "hunter" not in site.out
