"""Scenarios of a pass that gets nowhere: what mends it, and a person who wants it to end, are not kept waiting by it."""

from __future__ import annotations

import time

import pytest

from tests.system.conftest import Fleet
from tests.system.daemon_host import await_that, entries, shown, slow, sync
from tests.system.scenes import BASE, active, agentctl, await_status, reasons, scene, service, status, text_file

HANGING = service("app", "/bin/sleep infinity", "ExecStartPre=/bin/sleep 200")
STEADY = service("app", "/bin/sleep infinity")
AFTER = text_file("/srv/after") + '    after: ["unit:app.service"]\n'
BROKEN = text_file("/srv/broken") + "    validate: [sh, -c, 'test -e /run/never && test -e %s']\n"


def in_turn(text: str) -> str:
    """Three files, one after another, each of which takes a while."""
    after = '    after: ["file:/srv/{}"]\n'
    one, two, three = (slow(name, text, 4) for name in ("one", "two", "three"))
    return one + two + after.format("one") + three + after.format("two")


@pytest.fixture(params=["trixie"], scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """One is enough: what differs between releases is tried elsewhere."""
    return str(request.param)


def await_hanging(fleet: Fleet) -> None:
    """Wait until the unit starts, and does not come to an end of it."""
    await_that(lambda: active(fleet.host, "app.service") == "activating", 20, "a start that hangs")
    await_that(lambda: "applying" in shown(fleet.host, "StatusText"), 5, "a pass that waits for it")


def test_a_start_that_hangs_is_given_up_for_a_fix(fleet: Fleet) -> None:
    host = scene(fleet, poll_interval="5s").host
    bad = fleet.hold(BASE + HANGING + AFTER, "it does not come up")
    await_hanging(fleet)
    pushed = time.monotonic()
    fix = fleet.hold(BASE + STEADY + AFTER, "mended")
    await_that(lambda: active(host, "app.service") == "active", 20, "the fix")
    await_status(host, f"OK {fix[:7]}", 10)
    assert time.monotonic() - pushed < 100, "it waited for the start, which takes 200 s"
    (left,) = entries(host, GITOPS_RESULT="pending", GITOPS_REVISION=bad)
    assert "app.service was not waited for any longer, and goes on: a newer revision is there" in left["MESSAGE"]
    assert entries(host, GITOPS_RESULT="failed", GITOPS_REVISION=bad) == []
    said = [entry["MESSAGE"] for entry in entries(host, GITOPS_RESULT="noticed", GITOPS_REVISION=bad)]
    assert said == ["stopped before 1 resource: a newer revision is there"]
    assert host.exists("/srv/after")


def test_a_suspension_answers_at_once_and_ends_the_waiting(fleet: Fleet) -> None:
    host = scene(fleet).host
    fleet.hold(BASE + HANGING + AFTER, "it does not come up")
    host.run("systemctl", "reload", "gitops-agent")
    await_hanging(fleet)
    asked = time.monotonic()
    assert agentctl(host, "suspend", "--reason", "let me look").returncode == 0
    assert time.monotonic() - asked < 100
    assert "let me look" in agentctl(host, "status").stdout.splitlines()[0], "from the moment it is given"
    await_status(host, "WARNING", 20)
    assert {"Suspended", "Interrupted"} <= reasons(host)
    assert status(host)["operation"]["result"] == "interrupted"
    assert active(host, "app.service") == "activating", "systemd goes on with what was begun"
    assert not host.exists("/srv/after")
    assert sync(host).returncode == 4
    assert not host.exists("/srv/after")

    fleet.hold(BASE + STEADY + AFTER, "mended")
    resumed = time.monotonic()
    assert agentctl(host, "resume").returncode == 0
    assert time.monotonic() - resumed < 100
    assert (active(host, "app.service"), host.exists("/srv/after")) == ("active", True)


def test_what_failed_makes_way_for_a_fix_between_two_steps(fleet: Fleet) -> None:
    host = scene(fleet, poll_interval="5s").host
    host.shell("rm -f /run/begun-*")
    bad = fleet.hold(BASE + BROKEN + in_turn("bad"), "half of it fails")
    await_that(lambda: host.exists("/run/begun-one"), 20, "the first step after it")
    fix = fleet.hold(BASE + text_file("/srv/broken"), "mended")
    await_status(host, f"OK {fix[:7]}", 20)
    assert not host.exists("/run/begun-three")
    said = [entry["MESSAGE"] for entry in entries(host, GITOPS_RESULT="noticed", GITOPS_REVISION=bad)]
    assert "a newer revision is there" in said[0]


def test_what_goes_well_is_finished_first(fleet: Fleet) -> None:
    host = scene(fleet, poll_interval="5s").host
    host.shell("rm -f /run/begun-*")
    first = fleet.hold(BASE + in_turn("first"), "slow")
    await_that(lambda: host.exists("/run/begun-one"), 20, "the first step")
    second = fleet.hold(BASE + in_turn("first") + text_file("/srv/second"), "next")
    await_status(host, f"OK {second[:7]}", 40)
    assert host.read("/srv/three") == "first\n"
    done = [entry["GITOPS_RESOURCE"] for entry in entries(host, GITOPS_RESULT="converged", GITOPS_REVISION=first)]
    assert done[-1] == "file:/srv/three"


def test_a_suspension_leaves_the_rest_of_what_goes_well(fleet: Fleet) -> None:
    host = scene(fleet, poll_interval="5s").host
    host.shell("rm -f /run/begun-*")
    fleet.hold(BASE + in_turn("first"), "slow")
    await_that(lambda: host.exists("/run/begun-one"), 20, "the first step")
    assert agentctl(host, "suspend", "--reason", "not now").returncode == 0
    await_status(host, "WARNING", 20)
    assert (host.exists("/srv/one"), host.exists("/srv/three")) == (True, False)
    assert status(host)["notices"][0].startswith("stopped before ")
    assert agentctl(host, "resume").returncode == 0
    assert host.read("/srv/three") == "first\n"
