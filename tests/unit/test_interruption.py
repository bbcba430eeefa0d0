"""What ends a pass before it is through, and what is left for the next: a stop, a suspension, something newer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agent import orders
from agent.apply import Conduct, Reason
from agent.cli.interruption import OVERTAKEN, Interruption, Overtaken, Stop
from agent.cli.session import Session
from agent.errors import FetchFailed
from agent.orders import Order
from agent.store import Store
from tests.unit.fake_systemd import ETC, SERVICE, FakeSystemd
from tests.unit.world import World, file, unit

NEWER = Conduct(given_up=lambda: OVERTAKEN)
BROKEN = file("/etc/broken", owner="nosuch")
HANGING = SERVICE + "ExecStartPre=/bin/sleep 200\n"


class Remote:
    """A remote whose branch is at a commit, or that does not answer."""

    def __init__(self) -> None:
        self.tip, self.asked = "old", 0

    def remote_tip(self) -> str:
        self.asked += 1
        if not self.tip:
            raise FetchFailed("nobody answers")
        return self.tip


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
def session(tmp_path: Path, remote: Remote) -> Session:
    site = SimpleNamespace(limits={"poll_seconds": 60})
    store = Store(str(tmp_path), writable=True)
    return cast("Session", SimpleNamespace(site=site, store=store, source=remote))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("time.monotonic", lambda: found.now)
    return found


def interruption(session: Session, stop: Stop | None = None) -> Interruption:
    return Interruption(session, stop or Stop(), Overtaken(session, "old"))


def suspend(session: Session, reason: str = "disk is full") -> None:
    orders.give(session.store, orders.SUSPEND, Order(reason, "ops", 1))


def test_the_remote_is_asked_as_often_as_for_a_poll(session: Session, remote: Remote, clock: SimpleNamespace) -> None:
    ends = interruption(session)
    for _ in range(100):
        assert (ends.given_up(), remote.asked) == ("", 0)
    for second in range(1, 200):
        clock.now = 1000 + second
        assert ends.given_up() == ""
    assert remote.asked == 3
    remote.tip = ""
    clock.now += 60
    assert ends.given_up() == "", "who does not answer has nothing newer"
    remote.tip = "new"
    clock.now += 60
    assert ends.stopped() == "", "a pass that gets on is not ended for that"
    assert ends.given_up() == OVERTAKEN
    assert ends.stopped() == OVERTAKEN, "once it is ended, it is ended"
    assert remote.asked == 5


def test_a_stop_ends_a_pass_and_asks_nobody(session: Session, remote: Remote, clock: SimpleNamespace) -> None:
    stop = Stop()
    ends = interruption(session, stop)
    assert ends.stopped() == ""
    stop.asked, clock.now = True, 9999.0
    assert ends.stopped() == ends.given_up() == "the pass was asked to stop"
    assert remote.asked == 0


def test_a_suspension_that_is_given_meanwhile_ends_a_pass(session: Session) -> None:
    ends = interruption(session)
    assert (ends.stopped(), ends.suspended) == ("", "")
    suspend(session)
    assert ends.stopped() == ends.suspended == "suspended by ops: disk is full (agentctl resume)"
    orders.lift(session.store, orders.SUSPEND)
    assert ends.stopped(), "the pass is ended all the same"


def test_one_that_was_there_before_does_not_end_a_forced_pass(session: Session) -> None:
    suspend(session)
    ends = interruption(session)
    assert (ends.stopped(), ends.suspended) == ("", "")
    suspend(session, "stop it now")
    assert "stop it now" in ends.stopped()


# A pass that is failing


def test_a_pass_in_which_something_failed_makes_way_for_what_is_newer(world: World) -> None:
    resources = file("/etc/a") + BROKEN + unit("a.service") + file("/etc/b")
    world.systemd.unit("a.service")
    done = world.run(resources, NEWER)
    assert list(done.values()) == ["converged", "failed", "pending", "pending"]
    assert world.outcomes[-1].message == f"not begun: {OVERTAKEN}"
    assert world.host.notices == [f"stopped before 2 resources: {OVERTAKEN}"]
    assert not world.has("/etc/b")


def test_one_in_which_all_goes_well_does_not(world: World) -> None:
    world.systemd.unit("a.service")
    assert set(world.run(file("/etc/a") + unit("a.service") + file("/etc/b"), NEWER).values()) == {"converged"}
    assert world.host.notices == []


def test_what_is_right_already_or_blocked_is_told_as_that(world: World) -> None:
    world.systemd.unit("a.service")
    world.run(file("/etc/a") + file("/etc/b"))
    needing = file("/etc/c", requires="['file:/etc/broken']")
    done = world.run(BROKEN + unit("a.service") + file("/etc/b") + needing, NEWER)
    assert list(done.values()) == ["failed", "pending", "in_sync", "blocked", "pending"]
    assert world.has("/etc/a"), "what left Git is not removed either"
    assert world.run(file("/etc/b"))["file:/etc/a"] == "removed"


# A job that hangs


@pytest.fixture
def hanging(world: World, systemd: FakeSystemd) -> World:
    """A unit whose start does not end, in a pass that is not to wait for it."""
    world.systemd.after_start = "activating"
    world.systemd.facts["app.service"] = {"SubState": "start-pre", "Job": "7"}
    world.host.hangs = lambda: world.systemd.active.get("app.service") == "activating"
    world.host.given_up = OVERTAKEN
    return world


def held(text: str) -> str:
    lines = text.replace("\n", "\\n")
    path = f"{ETC}/app.service"
    return file(path, f'"{lines}"') + unit("app.service", restart_on=f"['file:{path}']") + file("/etc/b")


def mend(world: World) -> None:
    world.systemd.after_start, world.host.given_up = "", ""
    world.systemd.facts.clear()


def test_a_start_that_hangs_is_left_to_systemd_and_is_no_failure(hanging: World) -> None:
    done = hanging.run(held(HANGING), NEWER)
    assert list(done.values()) == ["converged", "pending", "pending"]
    assert hanging.outcomes[1].reason is Reason.INTERRUPTED
    assert "app.service goes on" in hanging.outcomes[1].message
    assert hanging.inventory()["unit:app.service"].pending, "its apply was begun and not finished"
    assert hanging.host.notices == [f"stopped before 1 resource: {OVERTAKEN}"]
    assert hanging.systemd.active["app.service"] == "activating", "nothing was cancelled"


def test_what_mends_it_is_not_kept_waiting_by_it(hanging: World) -> None:
    hanging.run(held(HANGING), NEWER)
    mend(hanging)
    hanging.systemd.facts["app.service"] = {"SubState": "start-pre"}
    hanging.host.history.clear()
    done = hanging.run(held(SERVICE))
    assert list(done.values()) == ["converged", "converged", "converged"]
    assert "restart" in hanging.message("unit:app.service")
    jobs = [line for line in hanging.host.history if "start -- app.service" in line]
    assert jobs == ["systemctl try-restart -- app.service"], "a start would have waited for the old one"
    assert hanging.owed() == []
    assert not hanging.inventory()["unit:app.service"].pending
    assert set(hanging.run(held(SERVICE)).values()) == {"in_sync"}


def test_nor_is_one_whose_text_is_its_own(hanging: World) -> None:
    def own(text: str) -> str:
        return unit("app.service", content='"' + text.replace("\n", "\\n") + '"') + file("/etc/b")

    assert hanging.run(own(HANGING), NEWER)["unit:app.service"] == "pending"
    mend(hanging)
    hanging.systemd.facts["app.service"] = {"SubState": "start-pre"}
    hanging.host.history.clear()
    assert set(hanging.run(own(SERVICE)).values()) == {"converged"}
    jobs = [line for line in hanging.host.history if "start -- app.service" in line]
    assert jobs == ["systemctl restart -- app.service"]
    assert hanging.owed() == []


def test_what_somebody_else_is_starting_is_waited_for_and_not_restarted(world: World) -> None:
    world.systemd.unit("app.service")
    world.systemd.active["app.service"] = "activating"
    world.systemd.facts["app.service"] = {"SubState": "start-pre"}
    assert world.run(unit("app.service")) == {"unit:app.service": "converged"}
    assert [line for line in world.host.history if "start -- app.service" in line] == ["systemctl start -- app.service"]


def test_a_restart_that_hangs_stays_owed(world: World) -> None:
    world.run(held(SERVICE))
    world.systemd.after_start = "activating"
    world.host.hangs, world.host.given_up = lambda: True, OVERTAKEN
    done = world.run(held(HANGING), NEWER)
    assert done["unit:app.service"] == "pending"
    assert "restart: " in world.message("unit:app.service")
    assert world.owed() == [("unit:app.service", "restart", f"file:{ETC}/app.service")]
