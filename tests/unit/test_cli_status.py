"""`agentctl status`: the first line is a verdict that a pager can show, and is never OK without reason."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from agent import cli
from agent.cli.verdict import NO_CONTACT_SECONDS
from agent.status import write_status

NOW = time.time()
COMMIT = "4f2c1a9aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
PROBLEM = {
    "id": "unit:nginx.service", "result": "failed", "cause": "revision", "place": "roles/nginx/role.yaml:21", "drift": {},
    "message": "reload: exit status 1\nits journal ends: unknown cipher", "seconds": 0.1, "since": NOW - 3600,
}  # fmt: skip
REFRESH_OWED = {"reason": "RefreshOwed", "message": "unit:dbus.service", "since": NOW}
CHECK = {"id": "unit:a.service", "health": "healthy", "message": "", "required": True}
BLOCKED = {**PROBLEM, "id": "container:web", "result": "blocked", "message": "needs unit:nginx.service", "place": ""}


def status(**fields: Any) -> dict[str, Any]:
    made = {
        "format": 1, "host": "web-01", "verdict": "OK", "checked_at": NOW - 21,
        "revision": {"commit": COMMIT, "branch": "main", "summary": "raise limit", "author": "ops@example.com", "committed_at": 0},
        "source": {"state": "current", "fetched_at": NOW - 21, "error": "", "attempted": COMMIT},
        "revisions": {"applied": COMMIT, "attempted": COMMIT, "good": COMMIT},
        "sync": sync("in_sync", in_sync=141, converged=2), "problems": [],
        "health": {"state": "healthy", "observed_at": NOW - 21, "checks": [CHECK]},
        "conditions": [], "orders": {}, "owed": [],
        "operation": {"state": "idle", "waiting_for": "", "retry_at": 0, "soak_until": 0},
        "last_change": {"at": NOW - 60, "summary": "2 converged", "seconds": 0.4},
        "notices": [], "limits": {"stale_seconds": 2400},
    }  # fmt: skip
    return {**made, **fields}


def failing(**fields: Any) -> dict[str, Any]:
    counts = sync("pending", in_sync=140, failed=1, blocked=1)
    return status(verdict="CRITICAL", sync=counts, problems=[PROBLEM, BLOCKED], **fields)


def sync(state: str, **counts: int) -> dict[str, Any]:
    repairs = {"count": 0, "last_id": "", "last_at": 0}
    return {"state": state, "observed_at": NOW - 21, "counts": counts, "repairs": repairs}


def source(state: str, silent: float, error: str) -> dict[str, Any]:
    return {"state": state, "fetched_at": NOW - silent, "error": error, "attempted": ""}


class Runtime:
    """A runtime directory, and the command on it."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self._capsys = directory, capsys

    def show(self, found: dict[str, Any] | None, *more: str, pid: int = 1, **daemon: Any) -> tuple[int, list[str]]:
        """The exit status and the lines; without a `pid` there is no daemon."""
        if found is not None:
            write_status(str(self.directory / "status.json"), found)
        if pid:
            (self.directory / "daemon.json").write_text(json.dumps({"pid": pid, **daemon}))
        ended = cli.main(["status", "--runtime-dir", str(self.directory), *more])
        return ended, self._capsys.readouterr().out.splitlines()


@pytest.fixture
def runtime(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runtime:
    monkeypatch.setattr("time.time", lambda: NOW)
    return Runtime(tmp_path, capsys)


@pytest.mark.parametrize(
    ("found", "pid", "ended", "said"),
    [
        (status(), 1, 0, "OK web-01 in sync with main@4f2c1a9, 143 resources, checked 21 s ago"),
        (failing(), 1, 2, "CRITICAL web-01 1 of 142 resources failing since "),
        (status(verdict="WARNING", sync=sync("pending", in_sync=1, blocked=2), problems=[BLOCKED]), 1, 1,
         "WARNING web-01 2 of 3 resources blocked since "),
        (status(verdict="WARNING", source=source("rejected", 5, "hosts/a.yaml:3: unknown\nmore")), 1, 1,
         "WARNING web-01 holds main@4f2c1a9, a newer revision is refused: hosts/a.yaml:3: unknown"),
        (status(source=source("failed", NO_CONTACT_SECONDS + 60, "no route")), 1, 1,
         "WARNING web-01 holds main@4f2c1a9, no contact with the remote for 16 min: no route"),
        (status(source=source("failed", NO_CONTACT_SECONDS - 60, "no route")), 1, 0, "OK web-01 in sync"),
        (status(source={**source("failed", 0, "no route"), "fetched_at": 0}), 1, 1,
         "WARNING web-01 holds main@4f2c1a9, no contact with the remote ever: no route"),
        (status(checked_at=NOW - 2500), 1, 3, "UNKNOWN web-01 the last verdict is 41 min old; see journalctl"),
        (failing(checked_at=NOW - 2500), 1, 3, "UNKNOWN web-01 the last verdict is 41 min old"),
        (status(), 0, 3, "UNKNOWN web-01 the agent is not running, last pass 21 s ago; systemctl start gitops-agent"),
        (failing(), 2**22 + 1, 3, "UNKNOWN web-01 the agent is not running"),
        (None, 0, 3, "UNKNOWN the agent has never run here; write `repository: URL` in "),
        (None, 1, 3, "UNKNOWN no pass has ended yet; see systemctl status gitops-agent"),
    ],
)  # fmt: skip
def test_the_first_line_and_the_exit_status(runtime: Runtime, found: Any, pid: int, ended: int, said: str) -> None:
    found_status, lines = runtime.show(found, pid=pid)
    assert lines[0].startswith(said)
    assert found_status == ended


def test_what_left_git_and_stays_is_named(runtime: Runtime) -> None:
    left = [{"id": f"directory:/{name}", "message": "left as it is: it holds x"} for name in range(7)]
    last = {"at": NOW - 60, "summary": "7 released", "seconds": 0.4, "released": left}
    _, lines = runtime.show(status(last_change=last))
    first = next(number for number, line in enumerate(lines) if line.startswith("  released"))
    assert re.fullmatch("  released directory:/0 +left as it is: it holds x", lines[first])
    assert lines[first + 5] == "  and 2 more: agentctl log"


def test_a_daemon_that_never_got_a_pass_done_says_why_on_one_line(runtime: Runtime) -> None:
    ended, lines = runtime.show(None, last_error="hosts/a.yaml:3: unknown\nhosts/b.yaml:4: too\x1b[2J")
    assert (ended, lines[0]) == (3, "UNKNOWN hosts/a.yaml:3: unknown; see systemctl status gitops-agent")
    assert "\x1b" not in "".join(lines)


def test_the_details_name_each_problem_its_place_and_what_to_do(runtime: Runtime) -> None:
    _, lines = runtime.show(failing(), next_poll=NOW + 40, next_drift=NOW + 300)
    text = "\n".join(lines)
    assert 'source     current   main@4f2c1a9 "raise limit" by ops@example.com, asked 21 s ago' in text
    assert "sync       pending   140 in sync, 1 failed, 1 blocked; last good 4f2c1a9" in text
    (problem,) = (line.split() for line in lines if "nginx.service  " in line)
    assert (problem[0], problem[-1]) == ("failed", "roles/nginx/role.yaml:21")
    assert "\n             its journal ends: unknown cipher\n" in text, "what the tool said last"
    assert lines[-1].startswith("next       poll in ")
    assert "a new commit starts at once" in lines[-1]


def test_what_is_left_to_a_person_is_a_warning_that_says_what_to_do(runtime: Runtime) -> None:
    owed = [{"id": "unit:dbus.service", "text": "restart, because file:/a changed;\nsystemctl restart dbus.service"}]
    ended, lines = runtime.show(status(verdict="WARNING", owed=owed, conditions=[REFRESH_OWED]))
    assert (ended, lines[0]) == (1, "WARNING web-01 holds main@4f2c1a9, a refresh is left to you: unit:dbus.service")
    assert "owed       unit:dbus.service: restart, because file:/a changed;\\nsystemctl restart dbus.service" in lines


def test_a_first_line_is_one_line_and_short(runtime: Runtime) -> None:
    long = "x" * 1000 + "\x1b[31m\nmore"
    for found in (status(source=source("rejected", 5, long)), status(source=source("failed", 5000, long))):
        _, lines = runtime.show(found)
        assert len(lines[0]) < 250
        assert "\x1b" not in "\n".join(lines)


def test_json_has_all_of_it(runtime: Runtime) -> None:
    ended, lines = runtime.show(failing(), "--json")
    shown = json.loads("\n".join(lines))
    assert ended == 2
    assert (shown["verdict"], shown["daemon"]["running"], len(shown["problems"])) == ("CRITICAL", True, 2)
    assert shown["headline"].startswith("web-01 1 of 142")
    ended, lines = runtime.show({"format": 99}, "--json", pid=0)
    assert (ended, json.loads("\n".join(lines))["verdict"]) == (3, "UNKNOWN")


def test_another_root_needs_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run/gitops-agent").mkdir(parents=True)
    write_status(str(tmp_path / "run/gitops-agent/status.json"), status())
    assert cli.main(["status", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("OK web-01")


def test_a_status_that_makes_no_sense_is_unknown(runtime: Runtime) -> None:
    for found in ({"format": 1, "host": "web-01"}, status(source=None), status(sync=[]), status(problems=[{}])):
        ended, lines = runtime.show(found)
        assert ended == 3
        assert lines == [f"UNKNOWN {runtime.directory}/status.json cannot be understood; the next pass writes it anew"]
    for text in ("{", "[]", '{"pid": "x"}'):
        (runtime.directory / "daemon.json").write_text(text)
        assert runtime.show(status(), pid=0)[0] == 3
