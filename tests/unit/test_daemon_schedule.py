"""When passes are due: spread over hosts, jittered, and not fooled by a clock that is set back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agent.daemon.schedule import BackOff, Schedule, offset
from agent.daemon.wake import Wake


@pytest.fixture
def timers() -> Iterator[Schedule]:
    made = Schedule(lambda _reason: None)
    made.start(60, 300)
    yield made
    made.stop()


def test_each_host_has_a_place_of_its_own_in_an_interval() -> None:
    places = [offset("poll", 60, f"host-{number}") for number in range(1000)]
    assert all(1 <= place <= 60 for place in places)
    per_ten_seconds = [sum(low <= place < low + 10 for place in places) for low in range(0, 60, 10)]
    assert min(per_ten_seconds) > 120, per_ten_seconds
    assert offset("poll", 60, "host-1") == offset("poll", 60, "host-1")
    assert offset("poll", 60, "host-1") != offset("drift", 60, "host-1")


def test_both_timers_are_set_and_may_be_changed(timers: Schedule) -> None:
    now = time.time()
    assert 0 < timers.next("poll") - now <= 61 + 12
    assert 0 < timers.next("drift") - now <= 301 + 60
    timers.set(5, 10)
    assert timers.next("poll") - now <= 7
    assert timers.next("drift") - now <= 13


def test_a_clock_that_is_set_back_does_not_silence_the_timers(timers: Schedule) -> None:
    before = timers.next("poll")
    timers.check()
    assert timers.next("poll") == before, "nothing to do while the clock runs as it should"
    timers._scheduler.modify_job("poll", next_run_time=datetime.fromtimestamp(time.time() + 3600, UTC))
    timers.check()
    assert timers.next("poll") - time.time() <= 61 + 12


def test_a_timer_wakes_the_loop() -> None:
    wake = Wake()
    made = Schedule(wake.post)
    made.start(1, 300)
    try:
        wake._reader.settimeout(10)
        assert list(wake.taken()) == ["poll"]
    finally:
        made.stop()


def test_more_wake_ups_than_the_socket_holds_block_nobody() -> None:
    wake = Wake()
    for _ in range(100_000):
        wake.post("drift")
    assert set(wake.taken()) == {"drift"}


def test_back_off_doubles_with_jitter_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    back_off = BackOff()
    waits = []
    for _ in range(12):
        back_off.failed()
        waits.append(back_off._until - 1000)
    assert back_off.holds
    for number, wait in enumerate(waits):
        plain = min(900, 5 * 2**number)
        assert 0.8 * plain <= wait <= 1.2 * plain
    assert len({wait / min(900, 5 * 2**number) for number, wait in enumerate(waits)}) > 6, "hosts would ask together"
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + 2000)
    assert not back_off.holds
