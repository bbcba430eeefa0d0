"""Scenarios of trying again and of going back: what failed is tried anew, a fix is not kept waiting, what proves bad goes."""

from __future__ import annotations

import time

import pytest

from tests.system.conftest import Fleet
from tests.system.daemon_host import DROP_IN, UNIT, await_that, entries, main_pid, shown, sync, sync_apart
from tests.system.scenes import (
    BASE,
    active,
    agentctl,
    await_status,
    reasons,
    scene,
    service,
    status,
    text_file,
)

CRASHING = service("app", "/bin/sh -c 'sleep 0.6; exit 3'", "Restart=always\n      RestartSec=100ms")
LATE = CRASHING.replace("sleep 0.6", "sleep 2.5")  # it is up long enough to look well at first
STEADY = service("app", "/bin/sleep infinity")
WEB = service("app", "/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv/{} 8000")
ASKED = 'checks:\n  - http: "http://127.0.0.1:8000/ready"\n'
READY = "  - directory: /srv/www\n" + text_file("/srv/www/ready", "yes")


@pytest.fixture(params=["bookworm"], scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """One is enough: what differs between releases is tried elsewhere."""
    return str(request.param)


def test_what_failed_is_really_tried_again_on_the_same_commit(fleet: Fleet) -> None:
    host = scene(fleet).host
    gated = text_file("/srv/gated") + "    validate: [sh, -c, 'test -e /run/gate && test -e %s']\n"
    commit = fleet.hold(BASE + text_file("/srv/first") + gated, "half of it fails")
    assert sync(host).returncode == 4
    assert host.exists("/srv/first")
    assert sync(host).returncode == 4, "no success where nothing was mended"
    assert status(host)["verdict"] == "CRITICAL"
    host.write("/run/gate", "")
    await_that(lambda: host.exists("/srv/gated"), 30, "another try by itself")
    await_status(host, f"OK {commit[:7]}")
    assert status(host)["operation"]["retry_at"] == 0


def test_a_fix_is_not_kept_waiting_by_the_back_off_of_what_it_mends(fleet: Fleet) -> None:
    host = scene(fleet, poll_interval="5s").host
    broken = text_file("/srv/gated") + "    validate: [sh, -c, 'test -e /run/never && test -e %s']\n"
    bad = fleet.hold(BASE + broken, "broken")
    await_that(lambda: status(host)["revision"]["commit"] == bad, 15, "the broken commit")
    for _ in range(4):
        assert sync(host).returncode == 4
    assert status(host)["operation"]["retry_at"] - time.time() > 20, "the back-off grew"
    fix = fleet.hold(BASE + text_file("/srv/gated"), "mended")
    await_that(lambda: status(host)["revision"]["commit"] == fix, 10, "the fix within one poll and its jitter")
    assert host.exists("/srv/gated")
    fleet.hold(BASE + broken.replace("x", "y"), "broken again")
    await_that(lambda: status(host)["operation"]["retry_at"], 15, "the next failure")
    assert status(host)["operation"]["retry_at"] - time.time() < 10, "it starts anew"


def test_a_wait_for_health_is_given_up_for_a_fix(fleet: Fleet) -> None:
    host = scene(fleet, poll_interval="5s", health_settle="4s", health_timeout="10m", rollback="health").host
    bad = fleet.hold(BASE + LATE, "crashing")
    await_that(lambda: host.exists("/etc/systemd/system/app.service"), 15, "the crashing unit")
    time.sleep(3)
    assert "running" in shown(host, "StatusText") or "pass" in shown(host, "StatusText"), "it waits for health"
    fix = fleet.hold(BASE + STEADY, "steady")
    await_status(host, f"OK {fix[:7]}", 20)
    assert active(host, "app.service") == "active"
    assert bad not in [entry.get("GITOPS_REVISION") for entry in entries(host, GITOPS_RESULT="refused")]


def test_a_unit_that_starts_over_and_over_is_rolled_back_and_stays_so(fleet: Fleet) -> None:
    host = scene(fleet, rollback="health").host
    good = fleet.hold(BASE + STEADY, "good")
    assert sync(host).returncode == 0
    bad = fleet.hold(BASE + CRASHING, "crashing")
    synced = sync(host)
    assert synced.returncode == 4, synced.stdout
    assert f"{bad[:7]} was rolled back: unit:app.service" in synced.stderr
    assert "sleep infinity" in host.read("/etc/systemd/system/app.service")
    assert active(host, "app.service") == "active"
    said = status(host)
    assert (said["verdict"], said["operation"]["result"]) == ("WARNING", "rolled_back")
    assert said["revisions"] == {"applied": good, "attempted": bad, "good": good}
    assert agentctl(host, "status").returncode == 1

    host.run("systemctl", "restart", UNIT)
    await_status(host, f"WARNING {good[:7]}")
    assert agentctl(host, "sync").returncode == 4
    fleet.repository.commit({"README": "the same for this host"}, "nothing new")
    assert agentctl(host, "sync").returncode == 4, "another commit that asks for the same is no better"
    assert "sleep infinity" in host.read("/etc/systemd/system/app.service")
    host.write("/srv/base", "drifted\n")
    started_again = fleet.hold(BASE + STEADY + text_file("/srv/new"), "mended")
    assert sync(host).returncode == 0
    assert (host.read("/srv/base"), host.exists("/srv/new")) == ("base\n", True)
    assert status(host)["revisions"]["good"] == started_again


def test_it_does_not_forget_between_two_looks_at_the_remote(fleet: Fleet) -> None:
    host = scene(fleet, rollback="health", drift_interval="5s").host
    fleet.hold(BASE + STEADY, "good")
    assert sync(host).returncode == 0
    fleet.hold(BASE + CRASHING, "crashing")
    assert sync(host).returncode == 4
    host.write("/srv/base", "drifted\n")
    await_that(lambda: host.read("/srv/base") == "base\n", 15, "a drift pass")
    await_status(host, "WARNING")
    assert "RolledBack" in reasons(host)


def test_a_check_that_fails_after_a_bad_configuration_brings_the_last_back(fleet: Fleet) -> None:
    host = scene(fleet, rollback="health").host
    good = BASE + READY + WEB.format("www")
    fleet.hold(good + ASKED, "good")
    assert sync(host).returncode == 0
    assert host.http(8000, "/ready") == "yes\n"
    bad = fleet.hold(good.replace("/srv/www 8000", "/srv/empty 8000") + "  - directory: /srv/empty\n" + ASKED, "bad")
    synced = sync(host)
    assert synced.returncode == 4
    assert "answers with status 404, not 200" in synced.stderr
    await_that(lambda: host.http(8000, "/ready") == "yes\n", 5, "the old configuration")
    assert not host.exists("/srv/empty")
    assert agentctl(host, "retry").returncode == 4, "a person may have it tried again, and it fails again"
    assert status(host)["revisions"]["attempted"] == bad


def test_only_the_soak_can_roll_back_and_after_it_illness_is_told(fleet: Fleet) -> None:
    host = scene(fleet, rollback="health", health_soak="8s", health_interval="5s").host
    check = "checks:\n  - command: canary\n    argv: [test, '!', -e, /run/ill]\n"
    good = fleet.hold(BASE + check, "good")
    assert sync(host).returncode == 0
    await_that(lambda: status(host)["revisions"]["good"] == good, 20, "the end of its soak")
    fleet.hold(BASE + text_file("/srv/new") + check, "ill a while after it")
    assert sync(host).returncode == 0
    assert "Soaking" in reasons(host)
    host.write("/run/ill", "")
    await_that(lambda: not host.exists("/srv/new"), 25, "a rollback within the soak")
    assert "RolledBack" in reasons(host)

    host.run("rm", "/run/ill")
    later = fleet.hold(BASE + text_file("/srv/later") + check, "ill long after it")
    assert sync(host).returncode == 0
    await_that(lambda: status(host)["revisions"]["good"] == later, 20, "the end of its soak")
    host.write("/run/ill", "")
    assert agentctl(host, "sync").returncode == 0
    assert host.exists("/srv/later")
    assert (status(host)["verdict"], reasons(host)) == ("CRITICAL", {"HealthDegraded"})
    host.run("rm", "/run/ill")


def test_what_was_ill_before_does_not_roll_back_what_has_nothing_to_do_with_it(fleet: Fleet) -> None:
    host = scene(fleet, rollback="health").host
    check = "checks:\n  - command: canary\n    argv: [test, '!', -e, /run/ill]\n"
    fleet.hold(BASE + check, "good")
    assert sync(host).returncode == 0
    host.write("/run/ill", "")
    other = fleet.hold(BASE + text_file("/srv/unrelated") + check, "unrelated")
    assert agentctl(host, "sync").returncode == 0
    assert host.exists("/srv/unrelated")
    assert "RolledBack" not in reasons(host)
    assert agentctl(host, "status").returncode == 2, "it is told all the same"
    fleet.repository.commit({"README": "not even about this host"}, "nothing for this host")
    assert agentctl(host, "sync").returncode == 0
    assert "RolledBack" not in reasons(host)
    assert status(host)["revision"]["commit"] != other
    host.run("rm", "/run/ill")


def test_a_pass_that_dies_before_its_verdict_acquits_nothing(fleet: Fleet) -> None:
    fleet.host.write(DROP_IN, "[Service]\nRestartSec=1\n")
    host = scene(fleet, rollback="health", health_settle="4s", health_timeout="8s").host
    fleet.hold(BASE + STEADY, "good")
    assert sync(host).returncode == 0
    fleet.hold(BASE + LATE, "crashing")
    asked = sync_apart(host)
    await_that(lambda: "sleep 2.5" in host.read("/etc/systemd/system/app.service"), 15, "the bad one")
    pid = main_pid(host)
    host.run("systemctl", "kill", "--signal=KILL", UNIT, check=False)  # it says so when a process of it was faster
    await_that(lambda: main_pid(host) not in (0, pid), 15, "a restart")
    asked.communicate(timeout=30)
    await_status(host, "WARNING", 40)
    assert "sleep infinity" in host.read("/etc/systemd/system/app.service")
