"""A pass in a child process: its events as they come, its deadline, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

GRACE_SECONDS = 60.0  # between asking a pass to finish its step, and ending it
MAX_LINE = 1 << 20


def own_command(*arguments: str) -> list[str]:
    """The command that runs another verb with the interpreter, flags and code that we run with."""
    return [*sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1], *arguments]


class Child:
    """One running pass, in a process group of its own so that all it started can be ended with it."""

    def __init__(self, reason: str, command: Sequence[str], deadline_seconds: float) -> None:
        self.reason = reason
        self.report: dict[str, Any] = {}
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, close_fds=True
        )
        assert self._process.stdout is not None  # noqa: S101  (it was asked for)
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._partial = b""
        self._deadline = time.monotonic() + deadline_seconds
        self._asked = 0.0
        self.overran = False

    def fileno(self) -> int:
        """Where its events come from, for a selector."""
        return self._output.fileno()

    def events(self) -> tuple[list[dict[str, Any]], bool]:
        """Take in what it printed: its events, and whether that was all it will print."""
        try:
            chunk = os.read(self._output.fileno(), 1 << 16)
        except BlockingIOError:
            return [], False
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        self._partial = self._partial[-MAX_LINE:]
        found = [event for event in map(_event, lines) if event]
        for event in found:
            if event["event"] in ("report", "unchanged"):
                self.report = event
        return found, not chunk

    def wait(self) -> int:
        """Its exit status, once it printed all; it may not linger."""
        try:
            return self._process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            return self._process.wait()
        finally:
            self._output.close()

    def ask_to_stop(self) -> None:
        """Let it finish the step in hand, and begin no other."""
        if not self._asked:
            self._asked = time.monotonic()
            self._process.terminate()

    def check_deadline(self) -> None:
        """Ask it to stop when it overruns; end it, with all it started, when that does not help."""
        now = time.monotonic()
        if now > self._deadline and not self._asked:
            self.overran = True
            self.ask_to_stop()
        elif self._asked and now > self._asked + GRACE_SECONDS:
            self._signal(signal.SIGKILL)

    def seconds_left(self) -> float:
        """How long until `check_deadline` has something to do."""
        due = self._asked + GRACE_SECONDS if self._asked else self._deadline
        return max(0.1, due - time.monotonic())

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return  # it has ended by itself


def _event(line: bytes) -> dict[str, Any]:
    """One line as an event; empty for what is none (a library that prints)."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else {}
