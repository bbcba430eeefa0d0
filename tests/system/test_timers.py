"""Timers on booted hosts, held by the installed agent and judged with systemctl and what the command wrote."""

from __future__ import annotations

import json

import pytest

from tests.system.conftest import Fleet
from tests.system.test_units import ETC, converge, declared, failing, is_active, is_enabled, reloads, show

ARGUMENTS = ["plain", "two words", "", ";", "$HOME", "100%", 'say "hi"', "back\\slash", "two\nlines", "'quoted'", "%n"]
WRITER = """#!/usr/bin/python3
import json, os, sys
json.dump([sys.argv[1:], os.environ.get('TO'), os.getuid()], open('/tmp/said', 'w'))
"""
FIELDS: dict[str, object] = {
    "command": ["/usr/local/bin/writer", *ARGUMENTS],
    "on_calendar": ["daily", "Mon..Fri 08:00"],
    "user": "daemon",
    "persistent": True,
    "randomized_delay": "15min",
    "environment": {"TO": 'a "b" 100% \\ $x'},
    "description": "Say it, 100%",
    "timeout": 60,
}


def timer(**fields: object) -> str:
    """The program, and the timer that runs it."""
    program = declared("file", "/usr/local/bin/writer", content=WRITER, mode="0755")
    return declared("timer", "say", **{**FIELDS, **fields}) + program


def test_a_timer_from_one_resource(fleet: Fleet) -> None:
    host, before = fleet.host, reloads(fleet.host)
    notes = converge(fleet, timer())
    assert "+OnCalendar=Mon..Fri 08:00" in notes
    assert (is_active(host, "say.timer"), is_enabled(host, "say.timer")) == ("active", "enabled")
    assert reloads(host) == before + 1
    assert "say.timer" in host.run("systemctl", "list-timers", "--all", "--no-pager").stdout
    assert show(host, "say.timer", "Persistent", "RandomizedDelayUSec", "Description") == [
        "yes",
        "15min",
        "Say it, 100%",
    ]
    assert show(host, "say.service", "User", "TimeoutStartUSec", "Type") == ["daemon", "1min", "oneshot"]
    verified = host.run("systemd-analyze", "verify", f"{ETC}/say.service", f"{ETC}/say.timer")
    assert "say" not in verified.stdout + verified.stderr


def test_the_command_gets_its_arguments_and_environment_as_they_are_written(fleet: Fleet) -> None:
    host = fleet.host
    host.shell("rm -f /tmp/said")
    host.run("systemctl", "start", "say.service")
    uid = int(host.run("id", "-u", "daemon").stdout)
    assert json.loads(host.read("/tmp/said")) == [ARGUMENTS, 'a "b" 100% \\ $x', uid]


@pytest.mark.parametrize(
    ("name", "first", "then", "unit", "shown"),
    [
        ("on_calendar", "daily", "hourly", "say.timer", "TimersCalendar"),
        ("persistent", True, False, "say.timer", "Persistent"),
        ("randomized_delay", "1min", "2min", "say.timer", "RandomizedDelayUSec"),
        ("user", "daemon", "root", "say.service", "User"),
        ("command", ["/bin/true"], ["/bin/false"], "say.service", "ExecStart"),
        ("environment", {"A": "1"}, {"A": "2"}, "say.service", "Environment"),
        ("description", "one", "two", "say.service", "Description"),
        ("timeout", 10, 20, "say.service", "TimeoutStartUSec"),
        ("enabled", True, False, "say.timer", "UnitFileState"),
    ],
)
def test_each_field_is_followed(fleet: Fleet, name: str, first: object, then: object, unit: str, shown: str) -> None:
    converge(fleet, timer(**{name: first}))
    before = show(fleet.host, unit, shown)
    assert "timer:say" in converge(fleet, timer(**{name: then}))
    assert show(fleet.host, unit, shown) != before
    assert show(fleet.host, unit, "NeedDaemonReload") == ["no"]


@pytest.mark.parametrize(
    "spoil",
    [
        f"echo '# mine' >> {ETC}/say.timer",
        f"rm {ETC}/say.service; systemctl daemon-reload",
        "systemctl stop say.timer",
        "systemctl -q disable say.timer",
        f"ln -sf /dev/null {ETC}/say.timer; systemctl daemon-reload",
    ],
)
def test_a_change_by_hand_comes_back(fleet: Fleet, spoil: str) -> None:
    converge(fleet, timer())
    fleet.host.shell(spoil)
    assert fleet.plan().returncode == 2
    converge(fleet, timer())
    assert (is_active(fleet.host, "say.timer"), is_enabled(fleet.host, "say.timer")) == ("active", "enabled")
    assert "# mine" not in fleet.host.read(f"{ETC}/say.timer")


def test_a_schedule_that_systemd_does_not_understand_leaves_the_old_one(fleet: Fleet) -> None:
    converge(fleet, timer())
    before = fleet.host.read(f"{ETC}/say.timer")
    status = failing(fleet, timer(on_calendar="*-13-40 03:00:00"))
    assert "systemd-analyze calendar '*-13-40 03:00:00' failed" in status
    assert fleet.host.read(f"{ETC}/say.timer") == before


def test_what_leaves_git_is_stopped_and_both_files_are_gone(fleet: Fleet) -> None:
    host = fleet.host
    converge(fleet, timer())
    converge(fleet, declared("file", "/srv/nothing", content=""))
    assert host.shell(f"find {ETC} -name '*say*'") == ""
    assert host.run("systemctl", "list-timers", "--all", "--no-pager").stdout.count("say.timer") == 0
    assert show(host, "say.timer", "LoadState") == ["not-found"]
