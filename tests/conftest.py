"""For every test: a skip is a failure where CI is set, since a machine of CI lacks nothing that it cannot install."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure where CI is set: {call.excinfo and call.excinfo.value}"


@pytest.fixture(autouse=True)
def _blank_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own Git settings are not part of any test."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
