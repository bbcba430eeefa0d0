"""Passes in child processes: their order, their events, their deadline and their end; the children are small scripts."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.daemon import child, passes
from agent.daemon.passes import Passes
from agent.settings import Settings
from tests.unit.looping import turn_until

REPORT = (
    '{"event": "report", "exit": 0, "verdict": "OK", "revision": "0123456789", "summary": "1 in sync", "retry": ""}'
)
UNREACHABLE = (
    '{"event": "report", "exit": 1, "verdict": "WARNING", "revision": "", "summary": "no answer", "result": "", '
    '"retry": "BACK_OFF"}'
)


@dataclass
class Audience:
    """Who would be told."""

    events: list[Mapping[str, Any]] = field(default_factory=list)
    watched: int = 0

    def watch(self) -> None:
        self.watched += 1

    def tell(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)


class Stage:
    """Passes whose children run a script; what the daemon says of itself is kept."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.selector = selectors.DefaultSelector()
        self.audience = Audience()
        self.again: list[float] = []
        self.passes = Passes(self.selector, self.audience, self.again.append)  # type: ignore[arg-type]
        self.said: list[tuple[str, str]] = []
        self.reasons: list[str] = []
        self.script = f"echo '{REPORT}'"
        patch.setattr(passes, "own_command", self._command)
        patch.setattr(passes, "say", lambda *said: self.said.append(said))

    def _command(self, *arguments: str) -> list[str]:
        self.reasons.append(arguments[2])
        return ["/bin/sh", "-c", self.script]

    def run(self, *reasons: str, **settings: Any) -> None:
        """Ask for passes, and run until there are none."""
        for reason in reasons:
            self.passes.ask(reason)
        self.begin(**settings)
        while self.passes.running:
            self.finish()
            self.begin(**settings)

    def begin(self, **settings: Any) -> None:
        self.passes.begin(Settings(repository="r", **settings))

    def finish(self) -> None:
        turn_until(self.selector, self._over)

    def _over(self) -> bool:
        self.passes.check()
        return not self.passes.running


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(monkeypatch)
    with contextlib.closing(made.selector):
        yield made


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def await_pid(path: Path) -> int:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


def test_a_whole_pass_stands_for_all_that_is_due_and_the_rest_runs_by_urgency(stage: Stage) -> None:
    stage.run("poll", "drift", "sync")
    stage.run("poll", "drift")
    assert stage.reasons == ["sync", "drift", "poll"]
    assert stage.audience.watched == 3


def test_a_request_during_a_pass_gets_a_later_one(stage: Stage) -> None:
    stage.passes.ask("sync")
    stage.begin()
    stage.passes.ask("sync")
    stage.begin()
    assert stage.reasons == ["sync"], "one at a time"
    stage.finish()
    stage.run()
    assert stage.reasons == ["sync", "sync"]


def test_the_settings_in_force_reach_the_pass_and_no_command_line(stage: Stage, tmp_path: Path) -> None:
    stage.script = f"cat > {tmp_path}/given"
    stage.run("sync", token_file="/etc/token")
    assert json.loads((tmp_path / "given").read_text())["token_file"] == "/etc/token"


def test_events_reach_the_audience_and_the_verdict_the_status_line(stage: Stage) -> None:
    stage.script = f"""echo 'a library prints'; printf '{{"event": "sta'; sleep 0.05; echo 'rted"}}'; echo '{REPORT}'"""
    stage.run("drift")
    assert [event["event"] for event in stage.audience.events] == ["started", "report"]
    assert (stage.passes.status_line, stage.passes.problem) == ("OK 0123456: 1 in sync", "")


def test_the_step_in_hand_is_in_the_status_line(stage: Stage) -> None:
    stage.script = """echo '{"event": "applying", "id": "package:nginx", "step": 12, "steps": 143}'; sleep 10"""
    stage.passes.ask("drift")
    stage.begin()
    turn_until(stage.selector, lambda: "applying" in stage.passes.status_line)
    assert stage.passes.status_line == "drift pass: applying 12 of 143: package:nginx"
    stage.passes.stop()
    stage.finish()


def test_a_pass_that_dies_without_a_report_is_said_and_the_next_runs(stage: Stage) -> None:
    stage.script = "kill -9 $$"
    stage.run("sync")
    assert stage.said == [("crashed", "the sync pass was ended by signal 9 without a report")]
    assert (stage.audience.events[-1]["event"], stage.audience.events[-1]["exit"]) == ("report", 1)
    stage.script = f"echo '{REPORT}'"
    stage.run("drift")
    assert stage.passes.problem == ""


def test_a_pass_that_cannot_be_started_is_said_and_the_next_runs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "own_command", lambda *_: ["/nonexistent"])
    stage.run("sync")
    assert stage.said == [("crashed", "the sync pass cannot be started: No such file or directory")]
    assert stage.audience.events[-1]["exit"] == 1


def test_a_pass_that_could_not_run_is_said_once_until_one_could(stage: Stage) -> None:
    refused = UNREACHABLE.replace('"result": ""', '"result": "could_not_run"')
    for line in (refused, refused, REPORT, refused):
        stage.script = f"echo '{line}'"
        stage.run("sync")
    assert stage.said == 2 * [("could_not_run", "no answer")]


def test_who_holds_the_pipe_of_a_pass_does_not_hold_up_its_end(stage: Stage, tmp_path: Path) -> None:
    stage.script = f"setsid sleep 60 & echo $! > {tmp_path}/pid; echo '{REPORT}'"
    started = time.monotonic()
    stage.run("drift")
    os.kill(await_pid(tmp_path / "pid"), 9)
    assert time.monotonic() - started < 5
    assert stage.passes.status_line.startswith("OK")


def test_an_overdue_pass_is_asked_first(stage: Stage) -> None:
    stage.script = f"trap 'echo \"$R\"; exit 4' TERM; R='{REPORT}'; while :; do sleep 0.01; done"
    stage.run("drift", pass_deadline=0.3)
    assert stage.passes.status_line == "OK 0123456: 1 in sync", "it had its say"
    assert [result for result, _ in stage.said] == ["overran"]


def test_an_overdue_pass_that_hangs_is_ended_with_all_it_started(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "OVERRUN_SECONDS", 0.2)
    stage.script = f"""trap '' TERM
        setsid sh -c 'trap "" TERM; sleep 60 & echo $! > {tmp_path}/inner; wait' &
        echo $! > {tmp_path}/outer; sleep 60; sleep 60"""
    stage.passes.ask("drift")
    stage.begin(pass_deadline=1)
    pids = [await_pid(tmp_path / name) for name in ("inner", "outer")]
    assert all(map(alive, pids))
    stage.finish()
    assert not any(map(alive, pids))
    assert stage.passes.problem == "the drift pass overran its deadline and was ended"
    assert stage.audience.events[-1]["exit"] == 1
    stage.script = f"echo '{REPORT}'"
    stage.run("poll")
    assert stage.passes.problem == "", "the next pass proceeds"


def test_stopping_lets_the_step_in_hand_end_and_begins_no_other(stage: Stage) -> None:
    stage.script = (
        f"trap 'sleep 0.2; echo \"$R\"; exit 0' TERM; R='{REPORT}'; echo '{{\"event\": \"up\"}}'; sleep 5 & wait"
    )
    stage.passes.ask("drift")
    stage.begin()
    turn_until(stage.selector, lambda: bool(stage.audience.events))
    stage.passes.stop()
    stage.passes.ask("sync")
    stage.finish()
    stage.begin()
    assert (stage.reasons, stage.passes.running) == (["drift"], False)
    assert [event["event"] for event in stage.audience.events] == ["up", "report"]


def test_a_remote_that_fails_is_left_alone_and_drift_passes_go_on(stage: Stage) -> None:
    stage.script = f"echo '{UNREACHABLE}'"
    stage.run("poll")
    assert stage.passes.problem == "no answer"
    stage.script = f"echo '{REPORT}'"
    stage.run("poll", "drift")
    stage.run("poll")
    assert stage.reasons == ["poll", "drift"], "a drift pass, which asks nobody, does not end the waiting"
    stage.run("sync")
    stage.run("poll")
    assert stage.reasons[2:] == ["sync", "poll"], "a request is not held back, and a success ends the waiting"


def test_a_drift_pass_that_has_nothing_to_hold_keeps_nobody_from_asking(stage: Stage) -> None:
    stage.script = f"echo '{UNREACHABLE}'"
    stage.run("drift")
    stage.run("poll")
    assert stage.reasons == ["drift", "poll"]


def test_a_remote_that_answers_again_leaves_the_verdict_that_was_before(stage: Stage) -> None:
    stage.run("drift")
    stage.script = f"echo '{UNREACHABLE}'"
    stage.run("poll")
    assert stage.passes.status_line == "WARNING: no answer"
    stage.script = """echo '{"event": "unchanged", "revision": "0123456789"}'"""
    stage.run("start")
    assert (stage.passes.status_line, stage.passes.problem) == ("OK 0123456: 1 in sync", "")


def test_our_own_command_keeps_interpreter_and_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.daemon.code import own_command

    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", "-I", "/usr/bin/agentctl", "run", "--config", "/c"])
    monkeypatch.setattr(sys, "argv", ["/usr/bin/agentctl", "run", "--config", "/c"])
    assert own_command("pass") == ["/usr/bin/python3", "-I", "/usr/bin/agentctl", "pass"]
