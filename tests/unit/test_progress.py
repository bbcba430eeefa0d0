"""The line of progress: on a terminal it is written over and gone at the end; elsewhere there is nothing of it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.cli import progress as module
from agent.cli.progress import CLEAR, Progress, applying, observing
from tests.unit.terminal import Terminal


def test_one_line_that_is_written_over_and_gone_at_the_end(terminal: Terminal) -> None:
    with Progress(terminal.stream) as progress:
        progress.say(observing(1200))
        progress.say("applying 12 of 143: package:nginx")
        assert terminal.written() == f"{CLEAR}observing 1,200 resources{CLEAR}applying 12 of 143: package:nginx"
    assert terminal.written() == CLEAR


def _fail(progress: Progress) -> None:
    progress.say("asking")
    raise ValueError("x")


def test_it_is_gone_after_an_error_too(terminal: Terminal) -> None:
    with pytest.raises(ValueError, match="x"), Progress(terminal.stream) as progress:
        _fail(progress)
    assert terminal.written().endswith(CLEAR)


def test_a_line_that_is_too_long_or_hostile_stays_one_line(terminal: Terminal) -> None:
    with Progress(terminal.stream) as progress:
        progress.say("a" * 100)
        assert terminal.written() == CLEAR + "a" * 39
        progress.say("one\x1b[2Jtwo\nthree")
        assert terminal.written() == f"{CLEAR}one\\x1b[2Jtwo"


def test_what_takes_long_says_for_how_long(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOW_AGE_AFTER", 0)
    with Progress(terminal.stream) as progress, progress.ticking():
        progress.say("applying")
        deadline = time.monotonic() + 10
        seen = ""
        while "applying 1 s" not in seen and time.monotonic() < deadline:
            time.sleep(0.05)
            seen += terminal.written()
    assert "applying 0 s" in seen
    assert "applying 1 s" in seen
    time.sleep(1.1)
    assert terminal.written() == CLEAR, "the clock is stopped"


def test_nothing_of_it_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    pipe = io.StringIO()
    with Progress(pipe) as progress, progress.ticking():
        progress.say("asking")
        progress.show()
    assert pipe.getvalue() == ""


def test_nothing_of_it_on_a_terminal_that_cannot(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with Progress(terminal.stream) as progress:
        progress.say("asking")
    assert terminal.written() == ""


@pytest.mark.processes(reason="what a command writes to a terminal and to a pipe is seen from outside")
@pytest.mark.parametrize("verb", ["apply", "plan", "validate"])
def test_verbs_show_it_on_a_terminal_alone(terminal: Terminal, tmp_path: Path, verb: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "tree/hosts").mkdir(parents=True)
    (tmp_path / "tree/fleet.yaml").write_text("format: 1\n")
    (tmp_path / "tree/hosts/a.yaml").write_text('resources:\n  - file: /one\n    content: "1"\n')
    place = ["--repo", f"{tmp_path}/tree", "--working-tree", "--host", "a", "--root", f"{tmp_path}/root"]
    arguments = [f"{tmp_path}/tree"] if verb == "validate" else place
    program = [sys.executable, "-c", "import sys; from agent.cli import main; sys.exit(main())", verb, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    piped = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    assert piped.stderr == ""
    (tmp_path / "root/one").unlink(missing_ok=True)
    shown = subprocess.run(
        program, stdout=subprocess.PIPE, stderr=terminal.stream, text=True, check=False, env=environment
    )
    assert (shown.returncode, shown.stdout.count("\n")) == (piped.returncode, piped.stdout.count("\n"))
    assert "\x1b" not in piped.stdout + shown.stdout
    written = terminal.written()
    steps = {
        "apply": ["asking", "observing 1 resource", "applying 1 of 1: file:/one"],
        "plan": ["asking", "observing 1"],
    }
    for step in steps.get(verb, ["reading 1 of 1: a"]):
        assert f"{CLEAR}{step}" in written
    assert written.endswith(CLEAR)


def test_steps_in_hand_are_counted() -> None:
    event = {"id": "file:/a", "step": 12, "steps": 1430, "more": 0}
    assert applying(event) == "applying 12 of 1,430: file:/a"
    assert applying({**event, "more": 3}) == "applying 12 of 1,430: file:/a and 3 more"
