"""What is said of units that fail: why, in which words of their own, and that those that die young are no good."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from modules.api import Change
from modules.systemd import Shown, jobs_before
from modules.unit import Unit
from modules.unit_failure import to_be_watched
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import SERVICE, STATIC, FakeSystemd
from tests.unit.units import converge, drift_of


def start(host: FakeHost, systemd: FakeSystemd, **facts: str) -> str:
    """What is said of a unit whose properties are these after its start."""
    unit = Unit(name="a.service", active=True, timeout=5)
    drift = drift_of(unit, host)
    systemd.facts["a.service"] = facts
    [error] = Unit.apply_all(host, [(unit, drift)])
    return str(error)


CLEAN = "{ path=/bin/true ; argv[]=/bin/true ; ignore_errors=no ; pid=7 ; code=exited ; status=0 }"
EXITED = "{ path=/bin/sh ; argv[]=/bin/sh -c { code=exited ; status=9 } ; ignore_errors=no ; pid=7 ; code=exited ; status=4 }"
KILLED = "{ path=/bin/sh ; argv[]=/bin/sh ; ignore_errors=no ; pid=7 ; code=killed ; status=9/KILL }"
IGNORED = EXITED.replace("errors=no", "errors=yes")


@pytest.mark.parametrize(
    ("active", "facts", "says"),
    [
        ("failed", {"Result": "exit-code", "ExecMainStatus": "203"}, "exit status 203; its journal"),
        ("failed", {"Result": "exit-code", "ExecStart": CLEAN, "ExecStartPre": EXITED}, "exit status 4 of ExecStartPre=/bin/sh;"),
        ("failed", {"Result": "exit-code", "ExecStart": EXITED, "ExecMainStatus": "9"}, "exit status 4; its"),
        ("failed", {"Result": "exit-code", "ExecMount": CLEAN, "ExecUnmount": EXITED}, "exit status 4 of ExecUnmount=/bin/sh;"),
        ("failed", {"Result": "exit-code", "ExecStartPre": IGNORED}, "failed: exit-code; its journal"),
        ("failed", {"Result": "exit-code"}, "failed: exit-code; its journal"),
        ("failed", {"Result": "signal", "ExecStopPost": KILLED}, "killed by signal 9 of ExecStopPost=/bin/sh;"),
        ("failed", {"Result": "signal", "ExecMainStatus": "9"}, "killed by signal 9"),
        ("failed", {"Result": "core-dump", "ExecMainStatus": "11"}, "killed by signal 11"),
        ("failed", {"Result": "timeout"}, "failed: timeout"),
        ("failed", {"Result": "watchdog"}, "failed: watchdog"),
        ("failed", {"Result": "oom-kill"}, "failed: killed for lack of memory; its journal"),
        ("failed", {"Result": "oom-kill", "MemoryMax": "16777216"},
         "killed for lack of memory (MemoryMax=16M; raise it, or find what in it needs so much)"),
        ("failed", {"Result": "signal", "ExecMainStatus": "9", "MemoryMax": "infinity", "MemoryLimit": "16777216"},
         "killed by signal 9, perhaps for lack of memory (MemoryLimit=16M; raise it"),
        ("failed", {"Result": "signal", "ExecMainStatus": "9", "MemoryMax": "infinity"}, "killed by signal 9; its journal"),
        ("failed", {"Result": "resources"}, "failed: resources"),
        ("failed", {"Result": "start-limit-hit", "NRestarts": "5"}, "start-limit-hit, and systemd has started it again 5 times"),
        ("activating", {"SubState": "auto-restart", "Result": "exit-code", "ExecMainStatus": "1", "NRestarts": "2", "Job": "7"},
         "exit status 1, and systemd has started it again 2 times"),
        ("active", {"SubState": "running", "Result": "success", "NRestarts": "1"}, "it ended at once, and systemd has"),
        ("activating", {"SubState": "start-pre", "Job": "7"}, "it is still activating (start-pre)"),
        ("inactive", {"SubState": "dead", "Job": "7"}, "its job still waits for slow.mount, slow.service"),
        ("inactive", {"SubState": "dead"}, "it is inactive; it ended at once"),
    ],
)  # fmt: skip
def test_a_start_that_fails_says_why(
    host: FakeHost, systemd: FakeSystemd, active: str, facts: dict[str, str], says: str
) -> None:
    systemd.unit("a.service", STATIC)
    systemd.jobs = "- waiting for job 8 (slow.service/start) - -\n- waiting for job 9 (slow.mount/start) - -\n"
    systemd.after_start = active
    said = start(host, systemd, **facts)
    assert said.startswith("start of a.service failed: ")
    assert says in said


def test_the_last_lines_of_the_journal_are_told(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", STATIC)
    systemd.after_start = "failed"
    host.journals["a.service"] = [f"line {number}" for number in range(30)]
    said = start(host, systemd, Result="exit-code", ExecMainStatus="1").splitlines()
    assert said[0].endswith("exit status 1; its journal ends:")
    assert said[1:] == [f"line {number}" for number in range(20, 30)]


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"Result": "exit-code"}, "this run"),
        ({"Result": "exit-code", "NRestarts": "1"}, "any run"),
        ({"Result": "exit-code", "SubState": "auto-restart"}, "any run"),
        ({"Result": "start-limit-hit", "NRestarts": "5"}, "any run"),
        ({"Result": "success"}, "any run"),
    ],
)
def test_only_lines_of_the_run_that_failed_are_told(
    host: FakeHost, systemd: FakeSystemd, facts: dict[str, str], line: str
) -> None:
    """What systemd starts again and again may have said nothing yet; of what never ran, the last run tells nothing."""
    systemd.unit("a.service", STATIC)
    systemd.after_start = "failed"
    host.journals["a.service"], host.written = ["any run", "this run"], {"any run": 6.4, "this run": 6.9}
    assert start(host, systemd, InactiveExitTimestampMonotonic="7000000", **facts).splitlines()[1] == line


def test_one_that_systemd_started_again_a_moment_ago_keeps_failing(host: FakeHost, systemd: FakeSystemd) -> None:
    """Seen also where the short list of units shows it active, until it has run for a minute."""
    systemd.unit("a.service", SERVICE)
    host.run("systemctl", "enable", "--", "a.service")
    systemd.active["a.service"] = "active"
    unit = Unit(name="a.service", active=True)
    host.files.tick(120)
    assert drift_of(unit, host) == {}
    shown = host.count("systemctl show")
    began = f"{int((time.monotonic() - 5) * 1e6)}"
    systemd.facts["a.service"] = {"NRestarts": "2", "Result": "exit-code", "ActiveEnterTimestampMonotonic": began}
    assert drift_of(unit, host) == {}, "nothing was started"
    assert host.count("systemctl show") == shown
    for path in ("/run/systemd/units", "/run/systemd/units/invocation:a.service"):
        host.files.put(path, kind="directory")
        host.files.entries[path] = replace(host.files.entries[path], ctime_ns=time.time_ns())
    assert drift_of(unit, host) == {"active": Change("keeps failing", True)}
    systemd.facts["a.service"]["ActiveEnterTimestampMonotonic"] = "1"
    assert drift_of(unit, host) == {}
    systemd.facts["a.service"]["ActiveEnterTimestampMonotonic"] = began
    assert Unit.apply_all(host, [(unit, drift_of(unit, host))]) == [None]
    assert host.count("systemctl restart -- a.service") == 1


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        ({"ActiveState": "failed"}, 0),
        ({"ActiveState": "failed", "ExecMainStartTimestampMonotonic": "5000000", "ExecMainExitTimestampMonotonic": "8000000"}, 3),
        ({"ActiveState": "failed", "ExecMainStartTimestampMonotonic": "5000000", "ExecMainExitTimestampMonotonic": "80000000"}, 0),
        ({"ActiveState": "inactive", "ExecMainStartTimestampMonotonic": "1", "ExecMainExitTimestampMonotonic": "2"}, 0),
    ],
)  # fmt: skip
def test_what_died_young_is_watched_for_as_long_as_it_lived(facts: dict[str, str], seconds: float) -> None:
    before = {"a.service": Shown("a.service", "loaded", facts["ActiveState"], "static", details=facts)}
    names, longest = to_be_watched(before)
    assert (list(names), longest) == (["a.service"] if seconds else [], seconds)


def test_that_one_had_failed_is_told_when_it_runs_again(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", STATIC)
    systemd.active["a.service"] = "failed"
    systemd.facts["a.service"] = {"Result": "exit-code", "ExecMainStatus": "3"}
    converge(host, Unit(name="a.service", active=True))
    assert host.notices == ["a.service had failed: exit status 3; it was started again"]


def test_no_other_jobs_no_names(host: FakeHost, systemd: FakeSystemd) -> None:
    assert jobs_before(host, "a.service") == []
