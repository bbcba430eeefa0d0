"""A host that follows a branch while people hold it back, the remote is silent, or a check breaks; and one with nothing to do."""

from __future__ import annotations

import pytest

from agent import orders
from agent.apply import Reason
from agent.health import Verdict
from agent.orders import Order
from tests.unit.following import CHECK, Following, break_when, commit_of, reason_of, results, verdict
from tests.unit.world import file

GOOD, BAD, OTHER = file("/etc/a", "good"), file("/etc/a", "bad"), file("/etc/a", "other")


def test_a_suspended_host_is_looked_at_and_left_alone(following: Following) -> None:
    good = following.branch.push(GOOD, [CHECK])
    following.poll()
    following.host.files.put("/etc/a", "drifted")
    following.branch.push(OTHER, [CHECK])
    result = following.poll(held_back="suspended by ops")
    assert results(result) == {"file:/etc/a": "pending"}
    assert [outcome.reason for outcome in result.outcomes] == [Reason.SUSPENDED]
    assert following.world.read("/etc/a") == "drifted"
    assert following.recall("in_force") == good
    following.poll()
    assert following.world.read("/etc/a") == "other", "it goes on with the newest"


def test_a_pinned_revision_is_held_and_never_rolled_back(following: Following) -> None:
    break_when(following, "bad")
    first = following.branch.push(BAD, [CHECK])
    second = following.branch.push(GOOD, [CHECK])
    following.poll()
    with following.store() as store:
        orders.give(store, orders.PIN, Order("so", "ops", 0, int(following.now) + 60, first))
    result = following.poll()
    assert (commit_of(result), reason_of(result)) == (first, "Pinned")
    assert (following.world.read("/etc/a"), following.good) == ("bad", second)
    following.now += 61
    assert commit_of(following.poll()) == second, "it ran out"


def test_an_unreachable_remote_changes_nothing_of_that(following: Following) -> None:
    good = following.branch.push(GOOD, [CHECK])
    following.poll()
    following.branch.reachable = False
    following.host.files.put("/etc/a", "drifted")
    result = following.poll()
    assert (commit_of(result), following.world.read("/etc/a")) == (good, "good")
    assert str(result.desired.rejection) == "nobody answers"


def test_what_a_pass_that_died_left_must_stay_well_as_after_a_change(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    following.branch.push(GOOD, [CHECK])
    following.poll()
    following.branch.push(OTHER, [CHECK])
    following.poll(given_up=lambda: "stopped")
    settled: list[object] = []

    def settle(*_: object, **named: object) -> list[Verdict]:
        settled.append(named)
        return []

    monkeypatch.setattr("agent.health.settle", settle)
    following.look()
    assert settled, "one look might meet a service that crashes between two crashes"
    following.with_care(soak_seconds=300)
    settled.clear()
    following.look()
    assert not settled


def test_an_idle_pass_writes_nothing_with_checks_too(following: Following) -> None:
    following.branch.push(GOOD, [CHECK])
    following.poll()
    following.poll()
    before = (following.directory / "state.db").stat()
    following.poll()
    following.look()
    after = (following.directory / "state.db").stat()
    assert (after.st_mtime_ns, after.st_ino, after.st_size) == (before.st_mtime_ns, before.st_ino, before.st_size)


def test_nor_does_one_that_is_asked_with_others(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("modules.checks.UnitCheck.ask_all", broken)
    following.branch.push(GOOD, ["unit: a.service\n", CHECK])
    result = following.poll()
    assert verdict(result, "unit:a.service").message == "it cannot be asked: ZeroDivisionError: oops"
    assert verdict(result).well


def test_a_check_that_breaks_does_not_end_the_pass(following: Following) -> None:
    def broken(_url: str, _timeout: float) -> tuple[int, str]:
        raise ZeroDivisionError("oops")

    following.host.http = broken  # type: ignore[assignment]
    following.branch.push(GOOD, [CHECK, "tcp: localhost:1\n"])
    result = following.poll()
    assert following.world.read("/etc/a") == "good"
    assert verdict(result).health.value == "unknown"
    assert "ZeroDivisionError: oops" in verdict(result).message
    assert verdict(result, "tcp:localhost:1").health.value == "degraded", "the others are asked"
