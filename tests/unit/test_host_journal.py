"""The last lines of a unit's journal: bounded in all ways, and read where a crash takes down nothing else."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Self

import pytest

from agent.host import LocalView, commands
from agent.host import journal as under_test
from modules.api import Completed, ResourceError

pytestmark = pytest.mark.processes(reason="the journal is read in a child")

Message = str | bytes | None


class Journal:
    """The Reader of systemd.journal over a few entries; what is asked of it is kept as text."""

    messages: Sequence[Message] = ()
    asked: str = ""
    trouble: Callable[[], object] = staticmethod(lambda: None)
    data_threshold = 0

    def __enter__(self) -> Self:
        self._left: Iterator[tuple[int, Message]] = reversed(list(enumerate(Journal.messages, 1)))
        return self

    def __exit__(self, *_: object) -> None: ...

    def add_match(self, **fields: str) -> None:
        Journal.asked += f" {fields}"

    def add_disjunction(self) -> None:
        Journal.asked += " or"

    def add_conjunction(self) -> None:
        Journal.asked += " and"

    def this_boot(self) -> None:
        Journal.asked += " this boot"

    def seek_tail(self) -> None: ...

    def get_previous(self) -> dict[str, object]:
        Journal.trouble()
        assert self.data_threshold == 8192
        if (found := next(self._left, None)) is None:
            return {}
        second, message = found
        written = {"__MONOTONIC_TIMESTAMP": SimpleNamespace(timestamp=timedelta(seconds=second))}
        return {**written, **({"MESSAGE": message} if message else {})}


@pytest.fixture(autouse=True)
def _reader(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("systemd.journal")
    monkeypatch.setattr(module, "Reader", Journal, raising=False)
    monkeypatch.setitem(sys.modules, "systemd.journal", module)
    monkeypatch.setattr(commands, "run", lambda _: Completed(0, "", ""))
    for name, value in (("messages", ()), ("asked", ""), ("trouble", lambda: None)):
        monkeypatch.setattr(Journal, name, staticmethod(value) if callable(value) else value)


def lines(since: float = 0, count: int = 10) -> Sequence[str]:
    return LocalView().journal("a.service", since=since, lines=count)


def test_the_last_lines_come_in_the_order_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "messages", ["old", "one\ntwo", b"\xfc", "", "three"])
    assert lines(count=4) == ["one", "two", "�", "three"]
    assert lines(count=3) == ["two", "�", "three"]
    assert lines(count=100) == ["old", "one", "two", "�", "three"]


def test_long_lines_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "messages", ["x" * 5000, "y" * 1000])
    assert lines() == ["x" * 1000 + "...", "y" * 1000]


def test_none_is_told_that_was_written_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries are written one a second."""
    monkeypatch.setattr(Journal, "messages", ["one", "two", "three"])
    assert lines(since=2) == ["two", "three"]
    assert lines(since=4) == []


def test_only_what_the_unit_and_systemd_wrote_is_asked_for() -> None:
    """Any process may log a field UNIT; _PID is set by the journal itself."""
    under_test._match(Journal(), "a.service")
    assert Journal.asked == " {'_SYSTEMD_UNIT': 'a.service'} or {'_PID': '1', 'UNIT': 'a.service'} and this boot"


def refused() -> None:
    raise OSError(74, "Bad message")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (lambda: time.sleep(60), "reading it did not end in 0.5 s; see journalctl -u a.service"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "reading it crashed; journalctl --verify tells whether"),
        (lambda: b"x" * (1 << 30), "reading it needs more than 256 MiB; see journalctl -u a.service"),
        (refused, "bad message; see journalctl --verify"),
    ],
)
def test_a_journal_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, trouble: Callable[[], object], said: str
) -> None:
    monkeypatch.setattr(under_test, "_READ_SECONDS", 0.5)
    monkeypatch.setattr(Journal, "trouble", staticmethod(trouble))
    with pytest.raises(ResourceError, match=said):
        lines()


def test_a_host_without_systemd_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    with pytest.raises(ResourceError, match="module systemd is missing; install the package python3-systemd"):
        lines()
