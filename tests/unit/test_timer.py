"""Timers on a small machine: what is written, what is refused, and what is left when one leaves Git."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modules.api import Completed, Drift
from modules.calendar import event_problem, span_problem
from modules.timer import Timer
from modules.unit_text import MARK
from tests.unit.convergence import difference
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import ETC, FakeSystemd

BACKUP = Timer(name="backup", command=("/usr/local/bin/backup", "--all"), on_calendar=("daily",))
SERVICE, SCHEDULE = f"{ETC}/backup.service", f"{ETC}/backup.timer"


@pytest.fixture(autouse=True)
def _systemd(systemd: FakeSystemd) -> None:
    """Every one of these hosts runs systemd."""


def drift_of(timer: Timer, host: FakeHost) -> Drift:
    return difference(timer, timer.observe(host))


def converge(host: FakeHost, timer: Timer) -> set[str]:
    drift = drift_of(timer, host)
    if drift:
        timer.apply(host, drift)
    assert drift_of(timer, host) == {}
    return set(drift)


def line(timer: Timer, name: str) -> str:
    """One setting of the service."""
    assert timer.service.content is not None
    assert timer.service.content.data is not None
    lines = timer.service.content.data.decode().splitlines()
    return next(text for text in lines if text.startswith(f"{name}=")).partition("=")[2]


EVENTS = [
    "daily", "Hourly", "weekly UTC", "*-*-* 03:30:00", "*-*-* 03:30", "03:30", "Mon..Fri 08:00", "Mon,Wed *-*-1..7 12:00:00",
    "Sat *-*~7/1 18:00", "*:0/15", "2026-01-01", "*-02-29 00:00:00 Europe/Berlin", "Monday", "12,14,13:20,10,30", "1-7..21",
    "mon,fri *-1/2-1,3 *:30:45",
]  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
def test_calendar_events_are_taken(event: str) -> None:
    assert event_problem(event) == ""


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("0 3 * * *", "as for cron"),
        ("*/5 * * * 1-5", "as for cron"),
        ("@daily", "as for cron"),
        ("", "is not a calendar event"),
        ("every day", "is not a calendar event"),
        ("03.30", "is not a calendar event"),
        ("daily\nPersistent=true", "is not a calendar event"),
        ("Mon..Fri 08:00 at night", "is not a calendar event"),
    ],
)
def test_what_is_no_calendar_event_is_refused(event: str, says: str) -> None:
    assert says in event_problem(event)


@pytest.mark.parametrize("span", ["90", "90s", "15min", "1h 30min", "1h30min", "2.5 hours"])
def test_time_spans_are_taken(span: str) -> None:
    assert span_problem(span) == ""


@pytest.mark.parametrize("span", ["", "soon", "1 fortnight", "15min\nUser=x"])
def test_what_is_no_time_span_is_refused(span: str) -> None:
    assert "is not a time span" in span_problem(span)


@pytest.mark.parametrize(
    ("timer", "says"),
    [
        (replace(BACKUP, command=()), "needs a command"),
        (Timer(name="backup", ensure="absent", command=("x",)), "command has no meaning with ensure: absent"),
        (replace(BACKUP, on_calendar=()), "needs on_calendar"),
        (replace(BACKUP, on_calendar=("daily", "0 3 * * *")), "as for cron"),
        (replace(BACKUP, randomized_delay="soon"), "randomized_delay: `soon` is not a time span"),
        (replace(BACKUP, name="backup.timer"), "and no suffix"),
        (replace(BACKUP, name="a b"), "is not the name of a timer"),
        (replace(BACKUP, command=("-/bin/false",)), "is not a program"),
        (replace(BACKUP, command=("tar -c /etc",)), "is not a program"),
        (replace(BACKUP, environment={"A B": "x"}), "`A B` is not a variable's name"),
        (replace(BACKUP, description="a\nUser=x"), "one line"),
        (replace(BACKUP, timeout=0), "at least 1 second"),
    ],
)
def test_what_no_units_could_be_made_of_is_refused(timer: Timer, says: str) -> None:
    [problem] = timer.problems()
    assert says in problem


def test_one_resource_makes_a_service_and_its_timer(host: FakeHost) -> None:
    timer = replace(
        BACKUP, user="backup", persistent=True, randomized_delay="15min", environment={"TO": "/srv/b 100%"}, timeout=3600,
        description="Backup of 100%", on_calendar=("daily", "Sun 12:00"),
    )  # fmt: skip
    assert not timer.problems()
    assert converge(host, timer) == {"ensure", "command", "schedule", "enabled", "active", "loaded"}
    assert host.files.read(SERVICE).decode() == MARK.decode() + (
        "[Unit]\nDescription=Backup of 100%%\n\n[Service]\nType=oneshot\nExecStart=/usr/local/bin/backup --all\n"
        'User=backup\nEnvironment="TO=/srv/b 100%%"\nTimeoutStartSec=3600\n'
    )
    assert host.files.read(SCHEDULE).decode() == MARK.decode() + (
        "[Unit]\nDescription=Backup of 100%%\n\n[Timer]\nOnCalendar=daily\nOnCalendar=Sun 12:00\nPersistent=true\n"
        "RandomizedDelaySec=15min\n\n[Install]\nWantedBy=timers.target\n"
    )
    assert converge(host, timer) == set()


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("plain-1.2/x:y=z", "plain-1.2/x:y=z"),
        ("two words", '"two words"'),
        ("", '""'),
        (";", '";"'),
        ("$HOME", '"$$HOME"'),
        ("100%", '"100%%"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines", '"two\\nlines"'),
        ("'quoted'", "\"'quoted'\""),
    ],
)
def test_an_argument_reaches_the_program_as_it_is_written(argument: str, written: str) -> None:
    assert line(replace(BACKUP, command=("echo", argument)), "ExecStart") == f"echo {written}"


def test_a_schedule_that_systemd_does_not_understand_changes_nothing(host: FakeHost) -> None:
    host.programs["systemd-analyze"] = lambda words: Completed(1, "", "Failed to parse calendar expression")
    [error] = Timer.apply_all(host, [(BACKUP, drift_of(BACKUP, host))])
    assert "Failed to parse calendar expression" in str(error)
    assert SERVICE not in host.files.entries


def test_a_timer_that_is_misunderstood_does_not_hold_up_the_others(host: FakeHost) -> None:
    host.programs["systemd-analyze"] = lambda words: Completed(int(words[1] == "03:99"), "", "no such minute")
    bad, good = replace(BACKUP, on_calendar=("03:99",)), replace(BACKUP, name="other")
    errors = Timer.apply_all(host, [(timer, drift_of(timer, host)) for timer in (bad, good)])
    assert [bool(error) for error in errors] == [True, False]
    assert drift_of(good, host) == {}


def test_a_new_schedule_takes_effect_and_a_new_command_waits_for_the_next_run(host: FakeHost) -> None:
    converge(host, BACKUP)
    assert (BACKUP.refreshed_for, BACKUP.own_refresh) == (("schedule",), "restart")
    BACKUP.refresh(host, "restart")
    assert host.count("try-restart -- backup.timer") == 1
    assert host.count("try-restart -- backup.service") == 0


def test_a_timer_can_be_held_off(host: FakeHost) -> None:
    converge(host, BACKUP)
    assert converge(host, replace(BACKUP, enabled=False)) == {"enabled", "active"}
    assert f"{ETC}/multi-user.target.wants/backup.timer" not in host.files.entries


@pytest.mark.parametrize("path", [SERVICE, SCHEDULE])
def test_an_edit_by_hand_is_undone_and_shown(host: FakeHost, path: str) -> None:
    converge(host, BACKUP)
    text = host.files.read(path)
    host.files.put(path, text + b"# mine\n")
    shown = BACKUP.contents(host, drift_of(BACKUP, host))
    assert shown is not None
    assert shown[0].decode() == f"# {path}\n{text.removeprefix(MARK).decode()}# mine\n"
    assert shown[1].decode() == f"# {path}\n{text.removeprefix(MARK).decode()}"
    converge(host, BACKUP)
    assert host.files.read(path) == text


def test_what_leaves_git_leaves_the_host(host: FakeHost) -> None:
    prior = BACKUP.observe(host)
    converge(host, BACKUP)
    undo = BACKUP.undo(prior)
    assert undo is not None
    converge(host, undo)
    assert not [path for path in host.files.entries if "backup" in path]
    assert BACKUP.undo({**BACKUP.observe(host), "ensure": "present"}) is None


def test_a_timer_comes_after_its_program_and_its_user(host: FakeHost) -> None:
    needs = replace(BACKUP, user="backup").needs()
    assert ("path:/usr/local/bin/backup",) in needs
    assert ("user:backup",) in needs
    files = [key for path in (SERVICE, SCHEDULE) for key in (f"path:{path}", f"content:{path}")]
    assert sorted(BACKUP.provides()) == sorted(["unit:backup.service", "unit:backup.timer", *files])
