"""Health over time: how long is waited, what is waited for, and what a check came to before and after a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import pytest

from agent import health
from agent.catalog import Catalog, Node
from agent.errors import Place
from agent.health import Timing, Verdict
from agent.reconcile import WatchedHost
from modules import checks
from modules.checks import Check, Health, Http, Tcp
from modules.unit import Unit
from tests.unit.fake_host import FakeHost

URL, ADDRESS = "http://localhost/", "localhost:80"
HTTP, TCP = Http(url=URL), Tcp(address=ADDRESS)
WELL, ILL = Health.HEALTHY, Health.DEGRADED


class Clock:
    """Time that passes by sleeping only; at moments something happens."""

    def __init__(self) -> None:
        self.now, self.events = 0.0, dict[float, Callable[[], object]]()

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in sorted(self.events):
            if moment <= self.now:
                self.events.pop(moment)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("time.monotonic", lambda: made.now)
    monkeypatch.setattr("time.sleep", made.sleep)
    return made


@pytest.fixture
def watched(host: FakeHost) -> WatchedHost:
    host.answers[URL] = (200, "")
    host.listening.add(ADDRESS)
    return cast("WatchedHost", host)


def settle(
    host: WatchedHost, before: Mapping[str, Verdict] | None = None, given_up: Callable[[], str] = lambda: ""
) -> list[Verdict]:
    return health.settle([HTTP, TCP], host, before or {}, Timing(2, 60), given_up)


def healths(verdicts: list[Verdict]) -> list[Health]:
    return [verdict.health for verdict in verdicts]


def test_it_must_stay_well_for_a_while(watched: WatchedHost, clock: Clock) -> None:
    assert healths(settle(watched)) == [WELL, WELL]
    assert clock.now == 2


def test_a_relapse_begins_the_while_anew(watched: WatchedHost, clock: Clock, host: FakeHost) -> None:
    clock.events = {1.5: host.listening.clear, 3.0: lambda: host.listening.add(ADDRESS)}
    assert healths(settle(watched)) == [WELL, WELL]
    assert clock.now == 5


def test_what_starts_slowly_is_waited_for_but_not_for_ever(watched: WatchedHost, clock: Clock, host: FakeHost) -> None:
    host.answers.clear()
    clock.events = {30.0: lambda: host.answers.update({URL: (200, "")})}
    assert healths(settle(watched)) == [WELL, WELL]
    assert clock.now == 32
    host.answers.clear()
    assert healths(settle(watched)) == [ILL, WELL]
    assert clock.now == 32 + 60


def test_whoever_stops_the_pass_ends_the_waiting(watched: WatchedHost, clock: Clock, host: FakeHost) -> None:
    host.answers.clear()
    assert healths(settle(watched, given_up=lambda: "stopped" * (clock.now >= 3))) == [ILL, WELL]
    assert clock.now == 3


def test_what_was_ill_before_is_not_waited_for(watched: WatchedHost, clock: Clock, host: FakeHost) -> None:
    host.answers.clear()
    before = {HTTP.id: Verdict(HTTP.id, ILL), TCP.id: Verdict(TCP.id, WELL)}
    seen, _ = settle(watched, before)
    assert (seen.health, seen.regressed, clock.now) == (ILL, False, 2)


def test_what_is_not_required_is_not_waited_for(watched: WatchedHost, clock: Clock) -> None:
    wanted = Http(url="http://nobody/", required=False)
    (seen,) = health.settle([wanted], watched, {}, Timing(2, 60))
    assert (seen.health, seen.required, clock.now) == (ILL, False, 0)


def test_what_was_well_or_is_new_has_regressed(watched: WatchedHost, clock: Clock, host: FakeHost) -> None:
    host.answers.clear()
    for before in ({}, {HTTP.id: Verdict(HTTP.id, WELL)}):
        seen, other = settle(watched, before)
        assert (seen.regressed, other.regressed) == (True, False)
    assert clock.now


def test_what_counts_is_what_is_required_and_was_not_ill() -> None:
    checks = [HTTP, TCP, Http(url="http://wanted/", required=False)]
    assert health.counting(checks, {HTTP.id: Verdict(HTTP.id, ILL)}) == (TCP.id,)


def test_a_service_that_starts_over_and_over_is_not_well(
    watched: WatchedHost, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter(range(1000))
    monkeypatch.setattr(
        checks.UnitCheck,
        "ask_all",
        classmethod(lambda *_: [checks.Seen(WELL, "", str(next(counted)))]),
    )
    (seen,) = health.settle([checks.UnitCheck(name="a.service")], watched, {}, Timing(2, 10))
    assert (seen.health, seen.message) == (ILL, "unit:a.service does not stay well")
    assert clock.now == 10


def test_what_a_failed_resource_brings_is_not_waited_for_long(
    host: FakeHost, watched: WatchedHost, clock: Clock
) -> None:
    host.answers[URL] = (503, "")
    seen = health.settle([HTTP, TCP], watched, {}, Timing(2, 60), failed={HTTP.id})
    assert healths(seen) == [ILL, WELL]
    assert 2 <= clock.now < 4


def test_nor_believed_when_it_looks_well_for_a_moment(
    watched: WatchedHost, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter(range(1000))
    monkeypatch.setattr(
        checks.UnitCheck, "ask_all", classmethod(lambda *_: [checks.Seen(WELL, "", str(next(counted)))])
    )
    (seen,) = health.settle([checks.UnitCheck(name="a.service")], watched, {}, Timing(2, 60), failed={"unit:a.service"})
    assert (seen.health, clock.now < 4) == (ILL, True)


def test_the_whole_is_as_well_as_the_worst() -> None:
    verdicts = [Verdict("a", found) for found in (Health.PROGRESSING, WELL, Health.UNKNOWN)]
    assert health.worst(verdicts) is Health.UNKNOWN
    assert health.worst([]) is WELL


# At rest


def catalog(*checks: Check) -> Catalog:
    return Catalog("web-01", (Node(Unit(name="a.service", active=True), Place("hosts/web-01.yaml")),), checks)


def test_what_a_resource_brings_is_taken_from_it_when_it_is_in_sync(watched: WatchedHost, host: FakeHost) -> None:
    found = health.at_rest(catalog(HTTP), {"unit:a.service": WELL}, watched)
    assert [(verdict.id, verdict.health) for verdict in found] == [("unit:a.service", WELL), (HTTP.id, WELL)]
    assert not host.count("systemctl"), "nobody is asked twice"


def test_and_as_ill_as_the_resource_when_it_is_not(watched: WatchedHost, host: FakeHost) -> None:
    (found,) = health.at_rest(catalog(), {"unit:a.service": ILL}, watched)
    assert (found.health, found.message) == (ILL, "unit:a.service is not in sync")
    assert not host.count("systemctl")


def test_a_check_that_is_declared_too_is_asked_once() -> None:
    from modules.checks import UnitCheck

    own = UnitCheck(name="a.service", required=False)
    assert health.checks_of(catalog(own)) == (own,)
