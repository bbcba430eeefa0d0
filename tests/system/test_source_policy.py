"""What a booted host accepts from real Git servers: signed, forward, from whichever remote answers; all of it judged from outside."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import images
from tests.hosts.git import http_server
from tests.hosts.machine import Machine
from tests.hosts.signing import Signers
from tests.system.conftest import REPOSITORY_PORT, Fleet
from tests.system.daemon_host import await_that, entries, started, sync

CLONE, STATE = "/var/lib/gitops-agent/repo.git", "/var/lib/gitops-agent"
TRUSTED = "/etc/gitops-agent/trusted.d"
FIRST_PORT = 8419
FIRST, MIRROR = (f"http://127.0.0.1:{port}/fleet.git" for port in (FIRST_PORT, REPOSITORY_PORT))


@pytest.fixture(scope="module")
def machine(suite: str, deb: Path) -> Iterator[Machine]:
    with Machine(images.with_verifiers(suite)) as host:
        host.install(deb)
        yield host


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signers]:
    made = Signers(tmp_path_factory.mktemp("signers"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def running(fleet: Fleet, signers: Signers) -> Fleet:
    """A host that trusts alice, and runs with both remotes; the first does not answer yet."""
    fleet.host.write(f"{TRUSTED}/people.signers", signers.allowed("alice"))
    signers.sign(fleet.repository, "alice")
    hold(fleet, "first")
    return started(
        fleet, repository=FIRST, fallbacks=f"[{MIRROR}]", poll_interval="5s", drift_interval="5s", connect_timeout="5s"
    )


def hold(fleet: Fleet, text: str) -> str:
    """Commit what /etc/motd shall say."""
    return fleet.hold(f"  - file: /etc/motd\n    content: {text}\n", text)


def set_branch(fleet: Fleet, commit: str) -> None:
    """Force the branch to a commit, on the server and in the checkout."""
    for command in (("reset", "-q", "--hard", commit), ("push", "-q", "--force", "origin", "main")):
        fleet.repository._git(*command)


def refs(host: Machine) -> str:
    """Every ref of the clone, as git itself lists them."""
    command = ["git", f"--git-dir={host.path(CLONE)}", "-c", "safe.directory=*", "for-each-ref"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def source(host: Machine) -> dict[str, Any]:
    """The source, as `status --json` has it."""
    return dict(json.loads(host.run("agentctl", "status", "--json", check=False).stdout)["source"])


def revision(host: Machine) -> str:
    """The commit in force, as the last pass that ended says."""
    return str(json.loads(host.run("agentctl", "status", "--json", check=False).stdout)["revision"]["commit"])


def status(host: Machine) -> str:
    return host.run("agentctl", "status", check=False).stdout


def motd(host: Machine) -> str:
    return host.read("/etc/motd")


def refused(fleet: Fleet, reason: str, commit: str) -> str:
    """Wait until a pass has refused the tip; what it says. Drift is repaired meanwhile, and no ref has moved."""
    host, held, before = fleet.host, motd(fleet.host), refs(fleet.host)
    await_that(lambda: source(host)["attempted"] == commit, 30, "a refusal")
    assert (source(host)["state"], source(host)["reason"]) == ("rejected", reason)
    assert refs(host) == before
    host.write("/etc/motd", "drift")
    await_that(lambda: motd(host) == held, 30, "repair")
    assert refs(host) == before
    assert status(host).startswith("WARNING ")
    return str(source(host)["error"])


def goes_on(fleet: Fleet, text: str) -> None:
    """A signed commit on top, which the host takes by itself."""
    commit = hold(fleet, text)
    await_that(
        lambda: source(fleet.host)["state"] == "current" and revision(fleet.host) == commit, 30, "a new revision"
    )
    assert motd(fleet.host) == text
    assert refs(fleet.host).split()[0] == commit


def test_the_mirror_serves_while_the_first_is_silent_and_the_status_says_who_signed(running: Fleet) -> None:
    host = running.host
    assert motd(host) == "first"
    first, mirror = source(host)["remotes"]
    assert (first["url"], first["answered_at"], mirror["url"]) == (FIRST, 0, MIRROR)
    assert first["failures"] > 0
    assert mirror["error"] == ""
    said = status(host)
    assert f'main@{running.repository.head()[:7]} "first", signed by alice@example.com, asked ' in said
    assert f"{FIRST} cannot be reached" in said
    assert f"{MIRROR} answers" in said
    assert said.startswith("OK ")


def test_the_first_is_asked_again_and_goes_first_when_it_is_back(running: Fleet) -> None:
    host = running.host
    with http_server(running.repository.bare.parent, pid=host.leader, port=FIRST_PORT) as server:
        sync(host)
        assert server.log.requests != [], "a person who asks for a pass lets no remote rest"
        assert source(host)["remotes"][0]["failures"] == 0
        assert "answers" not in status(host)
        goes_on(running, "from the first")
        assert server.log.downloads == 1
    await_that(lambda: f"{MIRROR} answers" in status(host), 30, "the mirror's turn")
    assert status(host).startswith("OK ")


def test_a_mirror_that_lags_behind_refuses_nothing_and_is_told(running: Fleet) -> None:
    """The first remote is ahead, then goes away; the mirror has not got its newest commit yet."""
    host, bare = running.host, running.repository.bare
    with http_server(bare.parent, pid=host.leader, port=FIRST_PORT):
        sync(host)
        lagging = running.repository.head()
        goes_on(running, "newest")
        accepted = running.repository.head()
    set_branch(running, lagging)
    await_that(lambda: "lags behind" in str(source(host)["error"]), 30, "the lag")
    assert (source(host)["state"], revision(host)) == ("failed", accepted)
    assert f"{MIRROR} lags behind: main is at {lagging[:7]} there, and {accepted[:7]} was accepted here" in str(
        source(host)["error"]
    )
    host.write("/etc/motd", "drift")
    await_that(lambda: motd(host) == "newest", 30, "repair")
    assert status(host).startswith("OK "), "it is held to the newest that is known; the age of the last answer counts"
    assert "HistoryRefused" not in host.run("agentctl", "source").stdout
    set_branch(running, accepted)
    goes_on(running, "caught up")


def test_an_unsigned_tip_moves_no_ref(running: Fleet, signers: Signers) -> None:
    signers.sign(running.repository, "")
    unsigned = hold(running, "unsigned")
    said = refused(running, "VerifyFailed", unsigned)
    assert f'{unsigned[:7]} "unsigned" is not signed' in said
    (entry,) = entries(running.host, GITOPS_RESULT="refused", GITOPS_REVISION=unsigned)
    assert unsigned[:7] in entry["MESSAGE"]
    signers.sign(running.repository, "mallory")
    assert "is not signed by a key that this host trusts" in refused(running, "VerifyFailed", hold(running, "mallory"))
    signers.sign(running.repository, "alice")
    tip = hold(running, "on top")
    assert f"{unsigned[:7]} " in refused(running, "VerifyFailed", tip) or "mallory" in str(source(running.host))


def test_a_person_accepts_what_nobody_signed(running: Fleet) -> None:
    host, tip = running.host, running.repository.head()
    parent = running.repository._git("rev-parse", f"{tip}^")
    command = ("env", "SUDO_USER=carol", "agentctl", "source", "accept", parent[:12], "--reason", "reviewed by hand")
    assert f"{parent[:7]} was accepted by carol" in host.run(*command).stdout
    await_that(lambda: motd(host) == "on top", 30, "what was signed on top of it")
    shown = host.run("agentctl", "source").stdout
    assert f"accepted   {parent[:7]} instead of " in shown
    assert "by carol" in shown
    assert "reviewed by hand" in shown
    (entry,) = entries_of_all(host, "accepted")
    assert "carol" in entry["MESSAGE"]


def entries_of_all(host: Machine, result: str) -> list[dict[str, str]]:
    """The journal's entries of a result, of the daemon or of a person's command."""
    printed = host.run("journalctl", "-o", "json", f"GITOPS_RESULT={result}").stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_a_branch_set_back_to_an_older_signed_commit_is_refused_and_the_old_line_goes_on(running: Fleet) -> None:
    """On the first remote, that is, where people push: from here on the other one is the fallback."""
    running.configure(
        repository=MIRROR, fallbacks=f"[{FIRST}]", poll_interval="5s", drift_interval="5s", connect_timeout="5s"
    )
    running.host.run("systemctl", "reload", "gitops-agent.service")
    older = running.repository.head()
    goes_on(running, "newest of all")
    accepted = running.repository.head()
    set_branch(running, older)
    said = refused(running, "HistoryRefused", older)
    assert f"main@{older[:7]} does not contain {accepted[:7]}, the accepted revision: it is older" in said
    set_branch(running, accepted)
    goes_on(running, "forward again")
    assert status(running.host).startswith("OK ")


def test_a_gpg_key_that_is_added_counts_at_the_next_poll(running: Fleet, signers: Signers) -> None:
    key = signers.gpg_key()
    signers.sign(running.repository, "gpg")
    refused(running, "VerifyFailed", hold(running, "by gpg"))
    running.host.write(f"{TRUSTED}/ops.asc", key)
    await_that(lambda: "signed by Operations <ops@example.com> (" in status(running.host), 30, "a new look")
    assert motd(running.host) == "by gpg"
    signers.sign(running.repository, "alice")


@pytest.mark.parametrize("lost", ["state.db", "floor.json"])
def test_whatever_is_deleted_under_the_running_daemon_the_floor_holds_and_it_is_loud(running: Fleet, lost: str) -> None:
    host, older = running.host, running.repository.head()
    goes_on(running, f"before {lost}")
    accepted = running.repository.head()
    host.run("rm", f"{STATE}/{lost}")
    set_branch(running, older)
    sync(host)
    assert f"main@{older[:7]} does not contain {accepted[:7]}" in source(host)["error"]
    assert motd(host) == f"before {lost}"
    assert noticed(host, accepted)
    set_branch(running, accepted)
    goes_on(running, f"after {lost}")
    assert json.loads(host.read(f"{STATE}/floor.json"))["accepted"] == running.repository.head()
    assert host.run("stat", "-c", "%a %U", f"{STATE}/floor.json").stdout.strip() == "600 root"


def noticed(host: Machine, accepted: str) -> bool:
    """Tell whether the journal has a notice of where the floor was taken from."""
    found = [entry["MESSAGE"] for entry in entries(host, GITOPS_RESULT="noticed")]
    return any(f"the accepted revision, {accepted[:7]}, is taken from" in message for message in found)


def test_the_whole_state_deleted_under_the_running_daemon_does_not_lower_the_floor(running: Fleet) -> None:
    host, older = running.host, running.repository.head()
    goes_on(running, "before all")
    accepted = running.repository.head()
    host.run("mv", STATE, f"{STATE}.gone")  # in one step, whatever a pass does meanwhile
    set_branch(running, older)
    asked = sync(host)
    assert asked.returncode == 1
    assert f"main@{older[:7]} does not contain {accepted[:7]}" in asked.stdout + asked.stderr
    await_that(
        lambda: status(host).startswith("WARNING "), 15, "a verdict that is no OK, as nothing is here to be held"
    )
    assert motd(host) == "before all"
    set_branch(running, accepted)
    goes_on(running, "after all")
    assert status(host).startswith("OK ")


def test_with_no_remote_at_all_drift_is_repaired_and_the_silence_is_told(running: Fleet) -> None:
    running.configure(repository=FIRST, fallbacks="[http://127.0.0.1:8420/fleet.git]", poll_interval="5s", drift_interval="5s")  # fmt: skip
    running.host.run("systemctl", "reload", "gitops-agent.service")
    await_that(lambda: source(running.host)["state"] == "failed", 30, "silence")
    held = motd(running.host)
    running.host.write("/etc/motd", "drift")
    await_that(lambda: motd(running.host) == held, 30, "repair")
    assert "none of 2 remotes is of use" in str(source(running.host)["error"])
    assert "signed by alice@example.com" in status(running.host)
