"""Orders of people: one of a kind, by whom and why, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import orders
from agent.catalog import Suspension
from agent.errors import ConfigInvalid
from agent.orders import PIN, REMOVE, SUSPEND, Order
from agent.store import Store

NOW = 1_800_000_000.0
ORDER = Order("a move", "ops", int(NOW), int(NOW) + 60)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr("time.time", lambda: NOW)
    with Store(str(tmp_path), writable=True) as opened:
        yield opened


def test_one_is_there_until_it_runs_out_or_is_taken_back(store: Store) -> None:
    assert orders.given(store, SUSPEND) is None
    orders.give(store, SUSPEND, ORDER)
    assert orders.given(store, SUSPEND, NOW + 59) == ORDER
    assert orders.given(store, SUSPEND, NOW + 60) is None
    assert orders.lift(store, SUSPEND) == ORDER
    assert orders.given(store, SUSPEND) is None
    assert orders.lift(store, SUSPEND) is None


def test_one_without_an_end_stays(store: Store) -> None:
    orders.give(store, PIN, Order("so", "ops", 0, about="4f2c1a9"))
    assert orders.given(store, PIN, NOW * 2) is not None


def test_the_last_of_a_kind_counts_and_kinds_are_apart(store: Store) -> None:
    orders.give(store, SUSPEND, ORDER)
    orders.give(store, SUSPEND, Order("another", "ops", 0))
    orders.give(store, REMOVE, Order("", "ops", 0, about="abc"))
    assert {kind: order["reason"] for kind, order in orders.to_json(store).items()} == {SUSPEND: "another", REMOVE: ""}


def test_a_person_and_the_repository_suspend_each_for_themselves(store: Store) -> None:
    assert orders.suspension(store, None) == ""
    declared = Suspension("frozen for the audit", int(NOW) + 10)
    assert orders.suspension(store, declared).startswith("suspended by the repository until ")
    assert orders.suspension(store, declared).endswith(": frozen for the audit")
    assert orders.suspension(store, Suspension("frozen", int(NOW))) == "", "it ran out"
    assert orders.suspension(store, Suspension("frozen")) == "suspended by the repository: frozen"
    orders.give(store, SUSPEND, ORDER)
    said = orders.suspension(store, declared)
    assert said.startswith("suspended by ops until ")
    assert said.endswith(": a move (agentctl resume)")
    orders.lift(store, SUSPEND)
    assert orders.suspension(store, declared), "taking back the one leaves the other"


def test_who_gives_one_is_the_user_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert orders.who() not in ("", "ops")
    monkeypatch.setenv("SUDO_USER", "ops")
    assert orders.who() == "ops"


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("30m", 1800), ("24h", 86_400), ("7d", 604_800)])
def test_durations(text: str, seconds: int) -> None:
    assert orders.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0h", "h", "-1h", "1.5h", "30", "9" * 9 + "d", "1h "])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="is no duration"):
        orders.seconds(text)
