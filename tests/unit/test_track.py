"""The track record of revisions: what was rolled back, what was good, and how long to wait after failures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from agent import track
from agent.store import Store
from agent.track import Rejection, Soak


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path), writable=True) as opened:
        yield opened


def rejection(number: int) -> Rejection:
    return Rejection(f"plan-{number}", f"commit-{number}", "it was ill", number, ["package:tool"])


def test_rejections_are_kept_by_what_was_asked_for(store: Store) -> None:
    assert track.rejected(store, "plan-1") is None
    track.reject(store, rejection(1), "good")
    track.reject(store, rejection(2), "good")
    track.reject(store, rejection(1), "good")
    assert track.rejected(store, "plan-1") == rejection(1)
    assert [found.plan for found in track.rejections(store)] == ["plan-1", "plan-2"]
    assert (store.recall("in_force"), track.soaking(store)) == ("good", None)


def test_they_are_bounded_and_can_be_forgiven(store: Store) -> None:
    for number in range(track.KEPT_REJECTIONS + 5):
        track.reject(store, rejection(number), "good")
    track.failed(store, "plan", "a", 0)
    assert len(track.rejections(store)) == track.KEPT_REJECTIONS
    assert track.forgive(store) == track.KEPT_REJECTIONS
    assert (track.rejections(store), track.attempts(store)) == ([], None)


def test_the_good_ones_are_bounded_and_the_newest_is_first(store: Store) -> None:
    assert track.good(store) == ""
    for number in range(track.KEPT_GOOD + 3):
        track.proved(store, f"commit-{number}", [])
    track.proved(store, "commit-5", ["b", "a"])
    assert track.good(store) == "commit-5"
    assert len(track.good_ones(store)) == len(set(track.good_ones(store))) == track.KEPT_GOOD
    assert track.checked(store) == {"a", "b"}


def test_a_soak_is_of_one_plan_and_ends_with_the_proof(store: Store) -> None:
    soak = Soak("plan", "commit", 100, ("unit:a",))
    track.begin_soak(store, soak)
    assert track.soaking(store) == track.soaking(store, "plan") == soak
    assert track.soaking(store, "another") is None
    track.proved(store, "commit", [])
    assert track.soaking(store) is None


def test_waiting_doubles_up_to_a_bound_and_survives_a_restart(tmp_path: Path) -> None:
    waits = []
    for _ in range(12):
        with Store(str(tmp_path), writable=True) as store:
            waits.append(track.failed(store, "plan", "a", 1000).next_at - 1000)
    expected = [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]
    assert waits == pytest.approx(expected, rel=0.2)
    assert waits == pytest.approx([track.wait_seconds("a", "plan", count) for count in range(1, 13)], abs=0.001)
    assert len(set(waits)) == 12


def test_hosts_that_fail_together_come_back_apart() -> None:
    for count, middle in ((1, 5), (20, 900)):
        waits = sorted(track.wait_seconds(f"web-{number:03}", "plan", count) / middle for number in range(1000))
        assert 0.8 <= waits[0] < 0.81
        assert 1.19 < waits[-1] <= 1.2
        assert max(later - one for one, later in pairwise(waits)) < 0.01


def test_success_or_something_new_begins_anew(store: Store) -> None:
    for _ in range(3):
        track.failed(store, "plan", "a", 0)
    assert track.failed(store, "another", "a", 0).count == 1
    track.failed(store, "another", "a", 0)
    track.succeeded(store)
    assert track.attempts(store) is None
    assert track.failed(store, "another", "a", 0).next_at <= 1.2 * track.FIRST_RETRY_SECONDS
