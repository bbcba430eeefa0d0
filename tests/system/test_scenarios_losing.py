"""Scenarios of losing things: resources that vanish from Git, a clone or state that breaks, a remote that is away."""

from __future__ import annotations

import re
import time

import pytest

from tests.system.conftest import Fleet
from tests.system.daemon_host import DROP_IN, UNIT, await_that, entries, main_pid, reload, shown, sync
from tests.system.scenes import BASE, QUICK, agentctl, reasons, scene, status, text_file

MANY = "".join(text_file(f"/srv/many-{number}") for number in range(20))
COUNT = "ls /srv/many-* 2>/dev/null | wc -l"


@pytest.fixture(params=["bookworm"], scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """One is enough: what differs between releases is tried elsewhere."""
    return str(request.param)


def test_a_host_that_git_names_no_more_keeps_everything(fleet: Fleet) -> None:
    host = scene(fleet).host
    fleet.hold(BASE + MANY, "many")
    assert sync(host).returncode == 0
    work = fleet.repository.work / "hosts"
    slips: dict[str, dict[str, str | bytes | None]] = {
        "renamed": {"hosts/web-01.yaml": None, "hosts/web-1.yaml": (work / "web-01.yaml").read_text()},
        "empty": {"hosts/web-01.yaml": "resources: []\n", "hosts/web-1.yaml": None},
        "nothing in it": {"hosts/web-01.yaml": ""},
        "a role that is not there": {"hosts/web-01.yaml": "roles: [webb]\n"},
        "one that renders to nothing": {
            "hosts/web-01.yaml": "resources:\n  - file: /srv/base\n    content: x\n    when: 'false'\n"
        },
        "nothing at all": {"hosts/web-01.yaml": None, "hosts/x.yaml": "resources:\n" + BASE},
    }
    for slip, files in slips.items():
        fleet.repository.commit(files, slip)
        assert sync(host).returncode == 1, slip
        assert host.shell(COUNT) == "20\n", slip
        assert "ManifestInvalid" in reasons(host), slip
        assert agentctl(host, "status").returncode == 1, slip
    host.write("/srv/base", "drifted\n")
    assert sync(host).returncode == 1
    assert host.read("/srv/base") == "base\n", "what was in force is still held"
    fleet.repository.commit({"hosts/x.yaml": None}, "tidy")


def test_when_most_of_it_vanishes_the_rest_goes_on_and_a_word_removes_exactly_that(fleet: Fleet) -> None:
    host = scene(fleet).host
    fleet.hold(BASE + MANY, "many")
    assert sync(host).returncode == 0
    fleet.hold(BASE + text_file("/srv/new"), "most of it is gone")
    assert sync(host).returncode == 4
    assert (host.exists("/srv/new"), host.shell(COUNT)) == (True, "20\n")
    assert "PruneBlocked" in reasons(host)
    digest = re.search(r"all 20 removals: (\w+)", agentctl(host, "prune").stdout)
    assert digest is not None
    assert agentctl(host, "prune", "approve", "0123456789ab").returncode == 1
    fleet.hold(BASE + text_file("/srv/new") + text_file("/srv/many-1"), "one less is to go")
    assert agentctl(host, "prune", "approve", digest[1]).returncode == 1, "the word was about another set"
    assert host.shell(COUNT) == "20\n"
    digest = re.search(r"all 19 removals: (\w+)", agentctl(host, "prune").stdout)
    assert digest is not None

    host.shell("mount --bind /srv/many-7 /srv/many-7")  # so that it cannot be removed
    assert agentctl(host, "prune", "approve", digest[1]).returncode == 4
    assert host.shell("ls -d /srv/many-*") == "/srv/many-1\n/srv/many-7\n"
    assert agentctl(host, "status").returncode == 2
    host.shell("umount /srv/many-7")
    assert sync(host).returncode == 0
    assert host.shell("ls -d /srv/many-*") == "/srv/many-1\n", "what could not be removed was not forgotten"
    assert host.read("/srv/base") == "base\n"


def test_two_declarations_of_one_thing_are_refused_before_anything_changes(fleet: Fleet) -> None:
    host = scene(fleet).host
    fleet.hold(BASE + text_file("/srv/new") + text_file("/srv/twice") + text_file("/srv/twice", "y"), "twice")
    synced = sync(host)
    assert synced.returncode == 1
    assert "file:/srv/twice" in synced.stderr
    assert host.shell("ls /srv") == "base\n"


@pytest.mark.parametrize(
    "harm",
    [
        "find objects -type f -exec truncate -s 0 {} +",
        "rm HEAD",
        "find objects -type f -exec sh -c 'echo x > \"$1\"' - {} ';'",
    ],
)
def test_a_clone_that_breaks_heals_by_itself(fleet: Fleet, harm: str) -> None:
    host = scene(fleet, poll_interval="5s", drift_interval="5s").host
    fleet.repository.commit({"files/big": "big\n" * 99}, "with a file")
    fleet.hold(BASE + "  - file: /srv/copied\n    source: big\n", "copied")
    assert sync(host).returncode == 0
    host.shell(f"cd /var/lib/gitops-agent/repo.git; {harm}; rm -f ../catalog.json; rm /srv/copied")
    await_that(lambda: host.exists("/srv/copied"), 30, "a repair from a clone that is whole")
    fleet.hold(BASE, "next")
    assert sync(host).returncode == 0
    assert not host.exists("/srv/copied")


def test_state_that_vanishes_is_told_begun_anew_and_lets_no_older_history_in(fleet: Fleet) -> None:
    host = scene(fleet).host
    older = fleet.repository.head()
    fleet.hold(BASE + text_file("/srv/mine") + text_file("/srv/other"), "held")
    assert sync(host).returncode == 0
    host.run("rm", "-rf", "/var/lib/gitops-agent")
    assert sync(host).returncode == 0
    assert host.stat("/var/lib/gitops-agent") == "700 root root directory"
    assert any("state" in notice and "begun anew" in notice for notice in status(host)["notices"])
    newer = fleet.repository.head()
    host.run("rm", "-rf", "/var/lib/gitops-agent")
    fleet.repository._git("push", "-q", "--force", "origin", f"{older}:refs/heads/main")
    refused = sync(host)
    assert refused.returncode == 1
    assert "the history was rewritten" in refused.stdout
    assert host.exists("/srv/mine")
    fleet.repository._git("push", "-q", "--force", "origin", f"{newer}:refs/heads/main")
    assert sync(host).returncode == 0


def test_settings_edited_by_hand_are_taken_or_refused_aloud(fleet: Fleet) -> None:
    host = scene(fleet).host
    pid = main_pid(host)
    host.write("/etc/gitops-agent/agent.yaml", "repository: [nonsense\n")
    host.run("systemctl", "reload", UNIT)
    await_that(lambda: agentctl(host, "status").returncode == 1, 15, "a word in the status")
    assert "agent.yaml:" in agentctl(host, "status").stdout
    reload(fleet, **{**QUICK, "drift_interval": "5s"})
    host.write("/srv/base", "drifted\n")
    await_that(lambda: host.read("/srv/base") == "base\n", 15, "a repair by the new interval")
    assert main_pid(host) == pid
    taken = len(entries(host, GITOPS_RESULT="settings_taken"))
    host.run("sed", "-i", "s/drift_interval: 5s/drift_interval: 6s/", "/etc/gitops-agent/agent.yaml")
    await_that(lambda: len(entries(host, GITOPS_RESULT="settings_taken")) > taken, 25, "a word without a reload")
    time.sleep(7)
    assert len(entries(host, GITOPS_RESULT="settings_taken")) == taken + 1, "they are taken once"
    host.write("/etc/gitops-agent/agent.yaml", "repository: [nonsense\n")
    refused = len(entries(host, GITOPS_RESULT="settings_refused"))
    await_that(lambda: len(entries(host, GITOPS_RESULT="settings_refused")) > refused, 25, "a refusal without a reload")
    host.write("/srv/base", "drifted\n")
    await_that(lambda: host.read("/srv/base") == "base\n", 15, "a repair by the settings in force")


def test_a_remote_that_is_away_is_told_with_its_age_and_drift_is_repaired(fleet: Fleet) -> None:
    host, bare = scene(fleet, poll_interval="5s", drift_interval="5s").host, fleet.repository.bare
    pid, away = main_pid(host), bare.with_suffix(".away")
    bare.rename(away)
    try:
        await_that(lambda: status(host)["source"]["state"] == "failed", 20, "a word on the remote")
        asked = status(host)["source"]["fetched_at"]
        host.write("/srv/base", "drifted\n")
        await_that(lambda: host.read("/srv/base") == "base\n", 15, "a repair without a remote")
        said = agentctl(host, "status").stdout
        assert re.search(r"^source +failed .* asked \d+ s ago\n +.*has no such repository", said, re.MULTILINE), said
        assert status(host)["source"]["fetched_at"] == asked < time.time() - 5
    finally:
        away.rename(bare)
    await_that(lambda: status(host)["source"]["state"] == "current", 40, "the remote again")
    assert (main_pid(host), shown(host, "NRestarts")) == (pid, "0")


def test_a_remote_that_never_answers_leaves_the_watchdog_quiet(fleet: Fleet) -> None:
    """That a loop that hangs wakes it is tried with the daemon."""
    fleet.host.write(DROP_IN, "[Service]\nWatchdogSec=4\n")
    host = scene(fleet, poll_interval="5s").host
    pid = main_pid(host)
    silent = "import socket, time; held = socket.create_server(('127.0.0.1', 8430)); time.sleep(60)"
    host.run("systemd-run", "--quiet", "--unit=silent", "python3", "-c", silent)
    fleet.configure(**{**QUICK, "repository": "http://127.0.0.1:8430/fleet.git", "poll_interval": "5s"})
    host.run("systemctl", "reload", UNIT)
    await_that(lambda: "pass running" in shown(host, "StatusText"), 15, "a pass that waits for the remote")
    time.sleep(12)
    assert "pass running" in shown(host, "StatusText"), "it still waits"
    assert (main_pid(host), shown(host, "NRestarts")) == (pid, "0")
    host.run("systemctl", "stop", "silent.service")
    await_that(lambda: status(host)["source"]["state"] == "failed", 40, "a word on the remote")
    assert (main_pid(host), shown(host, "NRestarts")) == (pid, "0")
