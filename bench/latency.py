"""From a push to the host converged: by polling, and by asking for a pass."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median

from bench.host import Bench
from bench.report import Figure
from tests.hosts.git import GitRepository, http_server

POLL_SECONDS, PORT = 10, 8418
PATH = "/srv/pushed"
KNOWN = ("/var/lib/gitops-agent", "/run/gitops-agent")  # what it followed before is another history, and would be kept


def figures(bench: Bench) -> Iterator[Figure]:
    """The whole way over HTTP: push, poll or request, fetch, compile, apply; seen in the file that changed."""
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        repository = GitRepository(Path(directory))
        stack.enter_context(http_server(Path(directory), pid=bench.machine.leader, port=PORT))
        push = _Push(bench, repository)
        push("first")
        _start(bench)
        push.await_there()
        asked = [
            push.timed(f"asked {number}", lambda: bench.machine.run("agentctl", "sync")) for number in _rounds(bench)
        ]
        polled = [push.timed(f"polled {number}", _wait_a_while) for number in _rounds(bench)]
        bench.machine.run("systemctl", "stop", "gitops-agent")
    half = {"half of the interval": 1000 * POLL_SECONDS / 2}
    yield Figure("push to converged, agentctl sync", median(asked), "ms", 1500)
    yield Figure(f"push to converged, {POLL_SECONDS} s poll, mean", mean(polled), "ms", 8000, floors=half)
    yield Figure(f"push to converged, {POLL_SECONDS} s poll, longest", max(polled), "ms", 15_000)


def _rounds(bench: Bench) -> range:
    return range(2 * bench.rounds)


def _wait_a_while() -> None:
    """Do nothing: the daemon polls."""


class _Push:
    """Commits that change one file, and when the host has it."""

    def __init__(self, bench: Bench, repository: GitRepository) -> None:
        self._machine, self._repository, self._text = bench.machine, repository, ""
        self._file = bench.machine.path(PATH)

    def __call__(self, text: str) -> None:
        self._text = text
        resources = f"resources:\n  - file: {PATH}\n    content: {text}\n"
        self._repository.commit({"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": resources})

    def timed(self, text: str, then: Callable[[], object]) -> float:
        """Milliseconds from the end of a push, at any moment between two polls, to the file on the host."""
        time.sleep(random.uniform(0, POLL_SECONDS) if then is _wait_a_while else 0)
        self(text)
        began = time.perf_counter()
        then()
        self.await_there()
        return 1000 * (time.perf_counter() - began)

    def await_there(self) -> None:
        """Wait for the last text that was pushed."""
        deadline = time.monotonic() + 6 * POLL_SECONDS
        while not self._file.exists() or self._file.read_text() != self._text:
            if time.monotonic() > deadline:
                journal = self._machine.journal("gitops-agent")
                raise SystemExit(f"bench: {self._text!r} does not reach the host\n{journal}")
            time.sleep(0.01)


def _start(bench: Bench) -> None:
    settings = f"repository: http://127.0.0.1:{PORT}/fleet.git\npoll_interval: {POLL_SECONDS}s\ndrift_interval: 1d\n"
    bench.machine.write("/etc/gitops-agent/agent.yaml", settings)
    bench.machine.run("systemctl", "stop", "gitops-agent")
    bench.machine.run("rm", "-rf", *KNOWN)
    bench.machine.run("systemctl", "start", "gitops-agent")
