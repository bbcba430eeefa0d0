"""A pass in a child process: its events as they come, its deadline, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

STEP_SECONDS = 60.0  # a pass that is asked to stop may take to finish its step; the unit's TimeoutStopSec is longer
OVERRUN_SECONDS = 10.0  # a pass that overran its deadline may take
CHUNK = 1 << 16
MAX_LINE = MAX_PIPE = 1 << 20  # bytes
MAX_ROUNDS = 20  # of looking for processes that were started while others were ended


class Child:
    """One running pass; it prints events, one JSON object a line. Raises OSError when it cannot be started."""

    def __init__(self, reason: str, command: Sequence[str], given: bytes, deadline_seconds: float) -> None:
        self.reason = reason
        self.report: dict[str, Any] = {}
        self.overran = self.asked = self.killed = False
        self.silent = False  # it closed its output
        self._partial = b""
        with _in_memory(given) as stdin:
            self._process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, start_new_session=True)
        assert self._process.stdout is not None  # noqa: S101  (it was asked for)
        self.output = self._process.stdout
        os.set_blocking(self.output.fileno(), False)
        self.exit = os.pidfd_open(self._process.pid)
        self._due = time.monotonic() + deadline_seconds

    @property
    def pid(self) -> int:
        """Its process, which leads a session of its own."""
        return self._process.pid

    def events(self) -> Iterator[dict[str, Any]]:
        """Take in some of what it printed since: its events."""
        *lines, self._partial = (self._partial + self._read()).split(b"\n")
        self._partial = self._partial[-MAX_LINE:]
        for event in filter(None, map(_event, lines)):
            if event["event"] in ("report", "unchanged"):
                self.report = event
            yield event

    def last_events(self) -> Iterator[dict[str, Any]]:
        """Take in what was left in the pipe when it ended; who inherited the pipe and goes on printing is not waited for."""
        for _ in range(MAX_PIPE // CHUNK):
            yield from self.events()

    def _read(self) -> bytes:
        try:
            chunk = os.read(self.output.fileno(), CHUNK)
        except BlockingIOError:
            return b""
        self.silent = not chunk
        return chunk

    def end(self) -> int:
        """Its exit status, once `exit` is readable."""
        self.output.close()
        os.close(self.exit)
        return self._process.wait()

    def ask_to_stop(self, within_seconds: float = STEP_SECONDS) -> None:
        """Let it finish the step in hand, and begin no other."""
        if not self.asked:
            self.asked = True
            self._due = time.monotonic() + within_seconds
            self._process.terminate()

    def check(self) -> None:
        """Ask it to stop when it overruns; end it, with all it started, when that does not help."""
        if self.killed or time.monotonic() < self._due:
            return
        if self.asked:
            self.killed = True
            end_all(self.pid)
        else:
            self.overran = True
            self.ask_to_stop(OVERRUN_SECONDS)

    def seconds_left(self) -> float | None:
        """How long until `check` has something to do; None when there is nothing left to do but to wait for its end."""
        return None if self.killed else max(0.0, self._due - time.monotonic())


def end_all(pid: int) -> None:
    """End a child and everything it started, except what has a control group of its own: a package transaction."""
    import psutil  # heavy, and wanted only now

    root = psutil.Process(pid)
    os.kill(pid, signal.SIGSTOP)  # so that it starts nothing more
    for _ in range(MAX_ROUNDS):
        found = [process for process in root.children(recursive=True) if _alive(process) and _beside(process.pid, pid)]
        for process in found:
            os.kill(process.pid, signal.SIGKILL)
        if not found:
            break
    os.killpg(pid, signal.SIGKILL)


def _alive(process: Any) -> bool:  # noqa: ANN401  (psutil)
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _beside(pid: int, other: int) -> bool:
    """Tell whether a process is in the control group of another."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as one, open(f"/proc/{other}/cgroup", "rb") as two:
            return one.read() == two.read()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has ended


def _in_memory(data: bytes) -> Any:  # noqa: ANN401  (a binary file)
    """A file in memory with these bytes, to be read from its start: it may hold a password, which a command line shows."""
    file = os.fdopen(os.memfd_create("gitops-agent-settings"), "w+b")
    file.write(data)
    file.seek(0)
    return file


def _event(line: bytes) -> dict[str, Any]:
    """One line as an event; empty for what is none (a library that prints)."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else {}
