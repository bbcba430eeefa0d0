"""Scenarios of other hands on the host: people who suspend, stop and pin, programs that fight, commits about other hosts."""

from __future__ import annotations

import time

import pytest

from tests.system.conftest import Fleet
from tests.system.daemon_host import await_that, entries, sync
from tests.system.scenes import BASE, active, agentctl, await_status, reasons, scene, service, status, text_file

APP = service("app", "/bin/sleep infinity")


@pytest.fixture(params=["trixie"], scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """One is enough: the other scenarios run on the other."""
    return str(request.param)


def test_two_who_write_one_file_do_not_fight_for_ever(fleet: Fleet) -> None:
    host = scene(fleet, contested_after=3).host
    fleet.hold(BASE + text_file("/srv/fought", "ours"), "ours")
    assert sync(host).returncode == 0
    for _ in range(3):
        host.write("/srv/fought", "theirs\n")
        assert sync(host).returncode == 0
        assert host.read("/srv/fought") == "ours\n"
    host.write("/srv/fought", "theirs\n")
    host.write("/srv/base", "drifted\n")
    for _ in range(2):
        synced = sync(host)
        assert synced.returncode == 4, "and it is not called converged"
        assert host.read("/srv/fought") == "theirs\n"
    assert "contested: content was put back 3 times" in synced.stdout
    assert host.read("/srv/base") == "base\n", "everything else is repaired"
    assert "Contested" in reasons(host)
    assert agentctl(host, "status").returncode == 1
    fleet.hold(BASE + text_file("/srv/fought", "new"), "what Git newly asks for is applied")
    assert sync(host).returncode == 0
    assert host.read("/srv/fought") == "new\n"


def test_a_commit_about_other_hosts_touches_nothing_here(fleet: Fleet) -> None:
    host = scene(fleet, poll_interval="5s").host
    unheld = APP.replace("    active: true\n", "    enabled: false\n")
    held = service("app-held", "/bin/sleep infinity")
    fleet.hold(BASE + unheld + held, "one is held, one may be stopped")
    assert sync(host).returncode == 0
    began = host.run("systemctl", "show", "-P", "MainPID", "app-held.service").stdout
    count = len(entries(host, GITOPS_RESULT="converged")) + len(entries(host, GITOPS_RESULT="report"))
    listing = "find /etc /srv -printf '%p %i %T@ %C@\\n' | sort"
    before = host.shell(listing)
    other = fleet.repository.commit({"hosts/other.yaml": "resources:\n" + text_file("/srv/other")}, "other")
    await_status(host, f"OK {other[:7]}", 15)
    assert active(host, "app.service") == "inactive"
    assert host.run("systemctl", "show", "-P", "MainPID", "app-held.service").stdout == began
    assert host.shell(listing) == before
    assert len(entries(host, GITOPS_RESULT="converged")) + len(entries(host, GITOPS_RESULT="report")) == count


def test_what_a_person_stops_while_suspended_stays_stopped_until_they_resume(fleet: Fleet) -> None:
    host = scene(fleet, drift_interval="5s", poll_interval="5s").host
    fleet.hold(BASE + APP, "held active")
    assert sync(host).returncode == 0
    assert agentctl(host, "suspend").returncode == 1, "it needs a reason"
    assert agentctl(host, "suspend", "--reason", "disk is being replaced", "--for", "2h").returncode == 0
    host.run("systemctl", "stop", "app.service")
    host.write("/srv/base", "drifted\n")
    newer = fleet.hold(BASE + APP + text_file("/srv/new"), "while it is suspended")
    await_that(lambda: status(host)["sync"]["counts"].get("pending", 0) == 3, 15, "a look at what differs")
    assert active(host, "app.service") == "inactive"
    assert (host.read("/srv/base"), host.exists("/srv/new")) == ("drifted\n", False)
    said = agentctl(host, "status")
    assert said.returncode == 1
    assert "disk is being replaced" in said.stdout.splitlines()[0]
    assert "until 20" in said.stdout.splitlines()[0]

    assert agentctl(host, "sync", "--force").returncode == 0
    assert (active(host, "app.service"), host.exists("/srv/new")) == ("active", True)
    assert status(host)["orders"]["suspend"]["reason"] == "disk is being replaced", "one forced run lifts nothing"
    host.run("systemctl", "stop", "app.service")
    unheld = APP.replace("    active: true\n", "    enabled: false\n")
    fleet.hold(BASE + unheld + text_file("/srv/new", "y"), "Git holds it no more")
    assert sync(host).returncode == 4
    assert agentctl(host, "resume").returncode == 0
    assert host.read("/srv/new") == "y\n"
    assert active(host, "app.service") == "inactive", "Git does not say active"
    fleet.hold(BASE + APP + text_file("/srv/new"), "held again")
    assert sync(host).returncode == 0
    assert active(host, "app.service") == "active"
    assert newer != status(host)["revision"]["commit"]


def test_an_order_that_runs_out_is_followed_by_the_newest(fleet: Fleet) -> None:
    host = scene(fleet, poll_interval="5s").host
    first = fleet.hold(BASE + text_file("/srv/one"), "one")
    assert sync(host).returncode == 0
    second = fleet.hold(BASE + text_file("/srv/two"), "two")
    assert sync(host).returncode == 0
    assert agentctl(host, "rollback", first, "--reason", "two is slow", "--for", "15s").returncode == 1
    began = time.time()
    assert (host.exists("/srv/one"), host.exists("/srv/two")) == (True, False)
    said = agentctl(host, "status")
    assert said.returncode == 1
    assert "pinned" in said.stdout.splitlines()[0]
    assert "two is slow" in said.stdout.splitlines()[0]
    third = fleet.hold(BASE + text_file("/srv/three"), "three")
    await_that(lambda: status(host)["revisions"]["attempted"] == third, 15, "a look at a newer revision")
    assert status(host)["revision"]["commit"] == first
    host.write("/srv/one", "drifted\n")
    assert sync(host).returncode == 1
    assert host.read("/srv/one") == "x\n", "a pinned host is held"
    await_that(lambda: host.exists("/srv/three"), 30, "the newest, when the pin has run out")
    assert time.time() - began > 14
    assert agentctl(host, "status").returncode == 0
    assert agentctl(host, "rollback", second).returncode == 1
    assert host.exists("/srv/two")
    assert agentctl(host, "unpin").returncode == 0
    assert (host.exists("/srv/two"), host.exists("/srv/three")) == (False, True)


def test_the_repository_suspends_too_and_a_resume_here_does_not_lift_that(fleet: Fleet) -> None:
    host = scene(fleet).host
    words = "suspend:\n  reason: audit\n"
    fleet.hold(BASE + text_file("/srv/new") + words, "suspended")
    assert sync(host).returncode == 4
    assert not host.exists("/srv/new")
    assert "nothing was suspended here" in agentctl(host, "resume").stdout
    assert sync(host).returncode == 4
    assert "audit" in agentctl(host, "status").stdout.splitlines()[0]
    fleet.hold(BASE + text_file("/srv/new"), "no more")
    assert sync(host).returncode == 0
    assert host.exists("/srv/new")


def test_drift_that_is_only_reported_is_never_called_ok(fleet: Fleet) -> None:
    host = scene(fleet).host
    fleet.hold(BASE + text_file("/srv/told") + "    drift: report\n", "only reported")
    assert sync(host).returncode == 0
    host.write("/srv/told", "by hand\n")
    host.write("/srv/base", "by hand\n")
    assert sync(host).returncode == 4
    assert (host.read("/srv/told"), host.read("/srv/base")) == ("by hand\n", "base\n")
    said = status(host)
    assert (said["verdict"], said["sync"]["state"]) == ("WARNING", "drifted")
    assert agentctl(host, "status").returncode == 1
