"""The verbs on another root, as a person calls them: what they print, and with which exit status they end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent import cli
from agent.errors import AgentError

NAME = "web-01"
RESOURCES = """\
  - directory: /etc
  - file: /etc/a
    content: "one\\ntwo\\n"
  - file: /etc/secret
    content: hunter2
    mode: "0600"
"""


class Site:
    """A checkout and a root, and the command on both."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.repo, self.root, self._capsys = directory / "repo", directory / "root", capsys
        self.root.mkdir()
        self.out = self.err = ""

    def hold(self, resources: str = RESOURCES, host: str = NAME, **files: str) -> None:
        self.write("fleet.yaml", "format: 1\n")
        self.write(f"hosts/{host}.yaml", f"resources:\n{resources}")
        for path, text in files.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        (self.repo / path).parent.mkdir(parents=True, exist_ok=True)
        (self.repo / path).write_text(text)

    def call(self, *arguments: str) -> int:
        status = cli.main(arguments)
        self.out, self.err = self._capsys.readouterr()
        return status

    def on(self, verb: str, *more: str) -> int:
        """A verb on the root, with the files of the checkout as they lie."""
        place = ("--repo", str(self.repo), "--working-tree", "--host", NAME, "--root", str(self.root))
        return self.call(verb, *more, *place)

    @property
    def state(self) -> Path:
        return self.root / "var/lib/gitops-agent"

    def status_file(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "run/gitops-agent/status.json").read_text())
        return found


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    made = Site(tmp_path, capsys)
    made.hold()
    return made


def test_plan_apply_plan(site: Site) -> None:
    assert site.on("plan") == 2
    assert "3 to create" in site.out
    assert "(nothing was changed)" in site.out
    assert os.listdir(site.root) == []
    assert site.on("apply") == 0
    assert "3 converged" in site.out
    assert (site.root / "etc/a").read_text() == "one\ntwo\n"
    assert site.on("plan") == 0
    assert "3 in sync" in site.out
    assert site.on("apply") == 0
    assert "converged" not in site.out
    assert (site.state / "state.db").exists()


def test_a_changed_file_is_shown_as_a_unified_diff_with_its_place(site: Site) -> None:
    site.on("apply")
    (site.root / "etc/a").write_text("one\nzwei")
    assert site.on("plan") == 2
    lines = [line.strip() for line in site.out.splitlines()]
    assert lines[2:7] == ["@@ -1,2 +1,2 @@", "one", "-zwei", "\\ No newline at end of file", "+two"]
    assert "drift: " in lines[1]
    assert "content +1 -1" in lines[1]
    assert lines[1].endswith("hosts/web-01.yaml:3")


def test_json_of_a_plan_and_of_what_was_applied(site: Site) -> None:
    assert site.on("plan", "--json") == 2
    plan = json.loads(site.out)
    assert (plan["format"], plan["host"], plan["root"], plan["pending"]) == (1, NAME, str(site.root), True)
    assert {step["id"]: step["action"] for step in plan["steps"]} == {
        "directory:/etc": "create", "file:/etc/a": "create", "file:/etc/secret": "create",
    }  # fmt: skip
    assert site.on("apply", "--json") == 0
    report = json.loads(site.out)
    assert (report["verdict"], report["exit"], report["counts"]["converged"]) == ("OK", 0, 3)
    assert site.on("plan", "--json") == 0
    assert json.loads(site.out)["steps"] == []


def test_what_fails_ends_with_4_and_says_why(site: Site) -> None:
    site.hold(RESOURCES + "  - file: /etc/b\n    content: x\n    owner: nobody-here\n  - file: /etc/c\n"
              "    content: x\n    requires: ['file:/etc/b']\n")  # fmt: skip
    assert site.on("apply") == 4
    assert "failed" in site.out
    assert "nobody-here" in site.out
    assert "needs file:/etc/b" in site.out
    assert (site.root / "etc/a").exists(), "the rest goes on"
    assert site.status_file()["verdict"] == "CRITICAL"


def test_a_mistake_in_the_repository_ends_with_1_and_its_place(site: Site) -> None:
    site.hold(RESOURCES.replace("mode:", "mood:"))
    for verb in ("plan", "apply", "show"):
        assert site.on(verb) == 1
        assert 'hosts/web-01.yaml:7: unknown field "mood"' in site.err
        assert "1 problem in 1 file" in site.err
    assert not (site.root / "etc").exists()


def test_what_is_to_be_removed_in_plenty_waits_for_a_word(site: Site) -> None:
    site.hold(RESOURCES + "".join(f"  - file: /etc/f{number}\n    content: x\n" for number in range(7)))
    site.on("apply")
    site.hold(RESOURCES)
    assert site.on("apply") == 4
    assert "--confirm-removals" in site.out
    assert site.on("apply", "--confirm-removals") == 0
    assert not (site.root / "etc/f0").exists()


def test_another_state_directory(site: Site, tmp_path: Path) -> None:
    assert site.on("apply", "--state-dir", str(tmp_path / "state")) == 0
    assert (tmp_path / "state/state.db").exists()
    assert not site.state.exists()


def test_a_plan_leaves_the_state_alone(site: Site) -> None:
    site.on("apply")
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in site.state.iterdir()}
    site.hold(RESOURCES + "  - file: /etc/b\n    content: x\n")
    assert site.on("plan") == 2
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in site.state.iterdir()} == before


def test_no_secret_in_state_status_plan_or_report(site: Site) -> None:
    (site.root / "etc").mkdir()
    (site.root / "etc/secret").write_text("old")
    site.on("apply", "--json")
    kept = site.out.encode() + (site.state / "state.db").read_bytes()
    kept += (site.root / "run/gitops-agent/status.json").read_bytes()
    assert b"hunter2" not in kept
    assert site.on("show", "file:/etc/secret") == 0
    assert "hunter2" not in site.out


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aply"], "there is no verb 'aply'; did you mean apply?"),
        (["nonsense"], "there is no verb 'nonsense' (agentctl --help lists them)"),
        (["plan", "--rot", "/x"], "agentctl plan: there is no option --rot; did you mean --root?"),
        (["plan", "--zzz"], "agentctl plan: there is no option --zzz (agentctl plan --help lists them)"),
        (["status", "--jason"], "agentctl status: there is no option --jason; did you mean --json?"),
        (["plan", "--root"], "expected one argument"),
        (["plan", "--root", "/nosuch", "--repo", "/x"], "--root /nosuch is not a directory; make it first"),
        (["plan", "--working-tree"], "--working-tree needs --repo DIR"),
        (["plan", "--config", "/nosuch"], "no repository is configured in /nosuch"),
    ],
)
def test_wrong_usage_ends_with_1_and_says_how_to_go_on(site: Site, arguments: list[str], said: str) -> None:
    assert site.call(*arguments) == 1
    assert said in site.err
    assert "Traceback" not in site.err


@pytest.mark.parametrize("verb", ["", "--help", "-h", *cli.VERBS])
def test_every_verb_explains_itself(site: Site, verb: str) -> None:
    assert site.call(*([verb, "--help"] if verb in cli.VERBS else [verb] if verb else [])) == 0
    assert site.out.startswith("usage: agentctl")
    assert site.err == ""


def raising(error: BaseException) -> Callable[..., int]:
    def run(_options: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("boom\x1b[2J"), 1, r"agentctl: internal error, RuntimeError: boom\x1b[2J; this is a bug"),
        (AgentError("it is \x07 broken", "mend it"), 1, r"agentctl: it is \x07 broken; mend it"),
        (PermissionError(13, "Permission denied", "/x"), 1, "agentctl: /x: Permission denied"),
        (KeyboardInterrupt(), 130, "agentctl: interrupted"),
    ],
)
def test_no_error_ends_in_a_traceback(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    monkeypatch.delenv("AGENTCTL_TRACE", raising=False)
    monkeypatch.setattr("agent.cli.facts.run", raising(error))
    assert site.call("facts") == status
    assert said in site.err
    assert "Traceback" not in site.err


def test_whoever_wants_the_traceback_gets_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTCTL_TRACE", "1")
    monkeypatch.setattr("agent.cli.facts.run", raising(RuntimeError("boom")))
    with pytest.raises(RuntimeError, match="boom"):
        site.call("facts")


# Show, explain, facts


def test_show_lists_in_order_and_shows_one_in_full(site: Site) -> None:
    assert site.on("show") == 0
    assert [line.split() for line in site.out.splitlines()] == [
        ["directory:/etc", "hosts/web-01.yaml:2"],
        ["file:/etc/a", "hosts/web-01.yaml:3"],
        ["file:/etc/secret", "hosts/web-01.yaml:5"],
    ]
    assert site.on("show", "file:/etc/secret", "--json") == 0
    (shown,) = json.loads(site.out)
    assert (shown["fields"]["mode"], shown["requires"], shown["kind"]) == ("0600", ["directory:/etc"], "file")
    assert site.on("show", "file:/etc/secrt") == 1
    assert "did you mean file:/etc/secret?" in site.err


def test_explain_says_who_wins_and_what_it_beat(site: Site) -> None:
    site.write("fleet.yaml", "format: 1\nvars:\n  workers: 4\n")
    site.write(f"hosts/{NAME}.yaml", f"vars:\n  workers: 8\nresources:\n{RESOURCES}")
    assert site.on("explain", "vars.workers") == 0
    first, second = (line.split() for line in site.out.splitlines())
    assert first[:3] == ["wins", "8", "hosts/web-01.yaml:2"]
    assert second[:3] == ["beaten", "4", "fleet.yaml:3"]
    assert site.on("explain", "file:/etc/a") == 0
    assert "declared at  hosts/web-01.yaml:5" in site.out
    assert "needs directory:/etc" in site.out
    assert site.on("explain", "vars.nosuch") == 1
    assert "the variables are workers" in site.err


def test_facts_one_and_all(site: Site) -> None:
    assert site.call("facts", "--json") == 0
    facts = json.loads(site.out)
    assert site.call("facts", "os.id") == 0
    assert site.out.strip() == facts["os"]["id"]
    assert site.call("facts") == 0
    assert any(line.split()[0] == "os.id" for line in site.out.splitlines())
    assert site.call("facts", "os.nosuch") == 1
    assert "there is no fact os.nosuch" in site.err


def test_version(site: Site) -> None:
    assert site.call("version") == site.call("--version") == 0
    assert site.out.startswith("gitops-agent ")


# What comes from Git and from tools


def test_no_control_character_of_others_reaches_the_terminal(site: Site) -> None:
    evil = "\\e]0;owned\\a\\r\\u202e"
    site.hold(
        f'  - directory: /etc\n  - file: "/etc/{evil}"\n    content: "{evil}"\n'
        f'  - file: "/etc/b\\nfile:/etc/spoofed"\n    content: x\n    owner: "no{evil}"\n'
    )
    shown = ""
    for verb in ("plan", "apply", "show"):
        site.on(verb)
        shown += site.out + site.err
    site.call("status", "--root", str(site.root))
    shown += site.out
    site.hold(f'  - "{evil}": x\n')
    site.on("plan")
    shown += site.err
    site.call("validate", str(site.repo))
    shown += site.out + site.err
    assert shown.count("\\x1b]0;owned\\x07\\r\\u202e") >= 6
    assert not [char for char in shown if not char.isprintable() and char != "\n"]
    assert not [line for line in shown.splitlines() if line.strip().startswith("file:/etc/spoofed")]


def test_binary_and_large_contents_are_said_in_bytes(site: Site) -> None:
    site.on("apply")
    (site.root / "etc/a").write_bytes(b"\0\1\2")
    site.on("plan")
    assert "content binary, 3 -> 8 bytes" in site.out
    (site.root / "etc/a").write_text("x\n" * 100_000)
    started = time.monotonic()
    site.on("plan")
    assert "content 200000 -> 8 bytes" in site.out
    assert time.monotonic() - started < 5
