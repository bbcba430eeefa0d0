"""What systemd is told, and what it must not be told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.daemon.notify import MAX_LINE, Notifier, one_line


def test_assignments_reach_the_service_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "600000000")
        notifier = Notifier()
        notifier.say("WATCHDOG=1", "STATUS=CRITICAL: it failed\nMAINPID=1\nSTOPPING=1")
        assert systemd.recv(4096) == b"WATCHDOG=1\nSTATUS=CRITICAL: it failed"
    assert notifier.watchdog_seconds == 600


def test_without_a_service_manager_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    notifier = Notifier()
    notifier.say("READY=1")
    assert notifier.watchdog_seconds == 0


def test_a_line_is_short_and_has_nothing_in_it_that_is_obeyed() -> None:
    assert one_line("a\x1b[31mb") == "a?[31mb"
    assert len(one_line("x" * 10_000)) == MAX_LINE
