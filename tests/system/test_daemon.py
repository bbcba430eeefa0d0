"""The daemon on a booted host: what systemd, the journal and other users see of it, requests, reloads, stops, upgrades."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.conftest import HERE, Fleet
from tests.system.daemon_host import (
    DROP_IN,
    QUIET,
    UNIT,
    await_that,
    entries,
    main_pid,
    reload,
    shown,
    slow,
    started,
    sync,
    sync_apart,
)

MOTD = '  - file: /etc/motd\n    content: "held\\n"\n'


@pytest.fixture(scope="module")
def running(fleet: Fleet) -> Fleet:
    """A fleet whose host runs the daemon, with a watchdog that does not let a test wait."""
    fleet.host.write(DROP_IN, "[Service]\nWatchdogSec=4\nRestartSec=1\n")
    fleet.hold(MOTD, "first")
    return started(fleet, **QUIET)


def test_systemd_sees_it_ready_watched_and_what_it_found(running: Fleet) -> None:
    host = running.host
    assert shown(host, "StatusText") == f"OK {running.repository.head()[:7]}: 1 converged"
    assert shown(host, "WatchdogUSec") == "4s"
    assert (shown(host, "Type"), shown(host, "NotifyAccess")) == ("notify", "main")
    pid = main_pid(host)
    time.sleep(6)
    assert (main_pid(host), shown(host, "NRestarts")) == (pid, "0"), "it feeds its watchdog when there is nothing to do"


def test_it_lives_in_the_hosts_own_namespaces(running: Fleet) -> None:
    names = "for name in mnt uts net ipc user cgroup; do readlink /proc/$1/ns/$name; done"
    ours, of_init = (running.host.run("sh", "-c", names, "-", pid).stdout for pid in (str(main_pid(running.host)), "1"))
    assert ours == of_init
    assert "NoNewPrivs:\t0" in running.host.read(f"/proc/{main_pid(running.host)}/status")


def test_its_files_are_for_whom_they_are(running: Fleet) -> None:
    paths = ("", "/control.sock", "/status.json", "/daemon.json", "/lock")
    found = [running.host.stat(f"/run/gitops-agent{path}") for path in paths]
    assert found == [
        "755 root root directory",
        "600 root root socket",
        "644 root root regular file",
        "644 root root regular file",
        "600 root root regular file",
    ]
    assert running.host.stat("/var/lib/gitops-agent") == "700 root root directory"
    inside = running.host.run("find", "/var/lib/gitops-agent", "-perm", "/077", "!", "-type", "l").stdout
    assert inside == "", "nothing of its state is readable by others"


def test_every_file_that_it_keeps_is_documented(running: Fleet) -> None:
    documented = (HERE / "docs/operations.md").read_text()
    for directory in ("/var/lib/gitops-agent", "/run/gitops-agent"):
        names = running.host.run("ls", "-A", directory).stdout.split()
        assert names
        assert [name for name in names if f"| `{directory}/{name}` | " not in documented] == []


def test_others_may_ask_how_it_is_and_nothing_else(running: Fleet) -> None:
    status = running.host.run("runuser", "-u", "nobody", "--", "agentctl", "status", check=False)
    assert (status.returncode, status.stdout.split()[0]) == (0, "OK"), status.stdout
    refused = running.host.run("runuser", "-u", "nobody", "--", "agentctl", "sync", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "agentctl: /run/gitops-agent/control.sock is for root alone; use sudo\n"


def test_the_journal_has_what_happened_by_field(running: Fleet) -> None:
    commit = running.hold(MOTD.replace("held", "held on"), "change")
    assert sync(running.host).returncode == 0
    (entry,) = entries(running.host, MESSAGE_ID="acf9a32df14e4676ae9dfb23b976a24d", GITOPS_REVISION=commit)
    assert (entry["GITOPS_RESOURCE"], entry["GITOPS_RESULT"]) == ("file:/etc/motd", "converged")
    assert (entry["GITOPS_PLACE"], entry["PRIORITY"]) == ("hosts/web-01.yaml:2", "6")
    (report,) = entries(running.host, MESSAGE_ID="7a6144cf3f82442ea01a537de6bac8ae", GITOPS_REVISION=commit)
    assert report["MESSAGE"].startswith(f"OK {commit[:7]}: 1 converged in ")


def test_a_request_while_a_pass_runs_gets_a_later_pass(running: Fleet) -> None:
    host = running.host
    running.hold(slow("first", "1", 3), "slow")
    early = sync_apart(host)
    await_that(lambda: host.exists("/run/begun-first"), what="the slow step")
    commit = running.hold(slow("first", "1", 0) + MOTD, "meanwhile")
    late = sync_apart(host)
    assert "file:/srv/first" in early.communicate(timeout=30)[0]
    printed = late.communicate(timeout=30)[0]
    assert printed.splitlines()[-1].startswith(f"{commit[:7]}: "), printed
    assert (early.returncode, late.returncode) == (0, 0)


def test_clients_that_leave_or_talk_nonsense_do_no_harm(running: Fleet) -> None:
    script = """
import contextlib, socket
held = []
for number in range(40):
    one = socket.socket(socket.AF_UNIX)
    one.connect("/run/gitops-agent/control.sock")
    with contextlib.suppress(BrokenPipeError):  # refused before it was heard, there being too many
        one.sendall([b"", b"GET /\\n", b'{"verb": "sync"}\\n', b"[" * 4000][number % 4])
    held.append(one)
"""
    running.host.run("python3", "-c", script)
    assert sync(running.host).returncode == 0
    assert shown(running.host, "NRestarts") == "0"


def test_settings_are_read_again_and_bad_ones_are_not_taken(running: Fleet) -> None:
    host = running.host
    reload(running, poll_interval="1h", drift_interval="5s")
    host.write("/etc/gitops-agent/agent.yaml", "repository: x\npoll_intervall: 5s\n")
    host.run("systemctl", "reload", UNIT)
    await_that(lambda: entries(host, GITOPS_RESULT="settings_refused"), 15, "a word on the settings")
    (refused,) = entries(host, GITOPS_RESULT="settings_refused")
    assert 'agent.yaml:2: unknown setting "poll_intervall"; did you mean poll_interval?' in refused["MESSAGE"]
    assert refused["PRIORITY"] == "3"
    host.write("/etc/motd", "broken\n")
    await_that(lambda: host.read("/etc/motd") == "held\n", 20, "a repair with the settings that were in force")
    reload(running, **QUIET)


def test_a_dead_remote_stops_no_repair_and_is_said_once(running: Fleet) -> None:
    host, bare = running.host, running.repository.bare
    reload(running, poll_interval="5s", drift_interval="5s")
    bare.rename(bare.with_suffix(".away"))
    try:
        await_that(lambda: entries(host, GITOPS_RESULT="unreachable"), 20, "a word on the remote")
        host.write("/etc/motd", "broken\n")
        await_that(lambda: host.read("/etc/motd") == "held\n", 20, "a repair without a remote")
        time.sleep(6)
        (entry,) = entries(host, GITOPS_RESULT="unreachable")
        assert "has no such repository" in entry["MESSAGE"]
        assert host.run("agentctl", "status").stdout.splitlines()[1].split()[:2] == ["source", "failed"]
    finally:
        bare.with_suffix(".away").rename(bare)
    reload(running, **QUIET)
    assert host.run("agentctl", "status").stdout.splitlines()[1].split()[:2] == ["source", "current"]


def test_a_daemon_that_hangs_is_started_again(running: Fleet) -> None:
    host, pid = running.host, main_pid(running.host)
    host.run("kill", "-STOP", str(pid))
    await_that(lambda: main_pid(host) not in (0, pid), 30, "a restart by the watchdog")
    assert "watchdog" in host.run("journalctl", "-u", UNIT, "-o", "cat", "-n", "50").stdout.lower()
    await_that(lambda: shown(host, "StatusText").startswith("OK"), 30, "a pass after it")
    assert sync(host).returncode == 0


def test_a_stop_lets_the_step_in_hand_end_and_begins_no_other(running: Fleet) -> None:
    host = running.host
    later = slow("third", "3", 0) + "    requires: [file:/srv/second]\n"
    running.hold(slow("second", "2", 3) + later + MOTD, "slow again")
    asked = sync_apart(host)
    await_that(lambda: host.exists("/run/begun-second"), what="the slow step")
    host.run("systemctl", "stop", UNIT)
    assert shown(host, "Result") == "success"
    assert host.read("/srv/second") == "2\n"
    assert not host.exists("/run/begun-third")
    assert "file:/srv/second" in asked.communicate(timeout=10)[0]
    assert not host.exists("/run/gitops-agent/control.sock")
    gone = sync(host)
    assert (gone.returncode, gone.stderr) == (
        1,
        "agentctl: the agent is not running; systemctl start gitops-agent, or use agentctl apply\n",
    )
    host.run("systemctl", "start", UNIT)
    await_that(lambda: shown(host, "StatusText").startswith("OK"), 30, "the rest of it")
    assert host.read("/srv/third") == "3\n"


def test_an_upgrade_goes_on_as_the_new_code_and_loses_nothing(running: Fleet, tmp_path: Path) -> None:
    host, pid = running.host, main_pid(running.host)
    inode = host.run("stat", "-c", "%i", "/run/gitops-agent/control.sock").stdout
    newer = build("99.0", tmp_path)
    running.hold(slow("fourth", "4", 4), "during the upgrade")
    asked = sync_apart(host)
    await_that(lambda: host.exists("/run/begun-fourth"), what="the slow step")
    host.install(newer)
    assert "file:/srv/fourth" in asked.communicate(timeout=30)[0]
    assert asked.returncode == 0, "the upgrade did not end the pass"
    host.run("systemctl", "reload", UNIT)  # wakes it; its poll would, too
    await_that(lambda: json.loads(host.read("/run/gitops-agent/daemon.json"))["version"] == "99.0", 30, "the new code")
    assert main_pid(host) == pid, "no restart: systemd has seen nothing of it"
    assert entries(host, GITOPS_RESULT="replaced")
    assert sync(host).returncode == 0
    again = host.run("stat", "-c", "%i", "/run/gitops-agent/control.sock").stdout
    assert again == inode, "the socket stayed open: nobody was turned away meanwhile"
    host.run("systemctl", "stop", UNIT)
    assert shown(host, "Result") == "success"


def build(version: str, into: Path) -> Path:
    """The package as it would be in another version, of another time."""
    command = [sys.executable, "packaging/build.py", "--version", version, "--into", str(into), "deb"]
    epoch = str(int(time.time()))
    subprocess.run(command, cwd=HERE, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": epoch})
    return next(into.glob("*.deb"))
