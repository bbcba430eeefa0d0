"""What goes wrong with packages on a real host with dnf: scripts, locks, kills, signatures; and another root."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.archive import PORT, served
from tests.hosts.machine import Machine
from tests.hosts.rpms import SHELL, Repository, Rpm, rpm_machine
from tests.system.conftest import REPOSITORY_PORT, Fleet

WAITING = "while [ -e /run/wait ]; do sleep 0.1; done"
REPOSITORY = f"""\
  - rpm_repository: tests
    baseurl: ["http://127.0.0.1:{PORT}/"]
    key: repository.asc
"""
SETTINGS = "/usr/lib/gitops-agent/modules/package_backend.py"


@pytest.fixture(params=("dnf4-bookworm", "dnf5"), scope="module")
def machine(request: pytest.FixtureRequest, deb: Path) -> Iterator[Machine]:
    """A host where rpm counts; its Debian does not matter to rpm and dnf 4."""
    with rpm_machine(request.param, deb) as host:
        yield host


@pytest.fixture(scope="module")
def repository(machine: Machine, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository that the host follows from here on."""
    made = Repository(tmp_path_factory.mktemp("repository"))
    made.add(SHELL, *(Rpm(name) for name in ("a", "b", "c", "d", "library")))
    made.add(Rpm("gitops-agent", "9", tags="Requires: library"), Rpm("unsigned"), signed=False)
    made.add(Rpm("failing", post="echo the words of the script; exit 3"))
    made.add(Rpm("slow"), Rpm("slow", "2.0", post=WAITING), Rpm("user", tags="Requires: d"))
    stranger = Repository(tmp_path_factory.mktemp("stranger"))
    fleet.repository.commit({"files/repository.asc": made.key, "files/stranger.asc": stranger.key}, "keys")
    with served(made.directory, pid=machine.leader, port=PORT):
        yield made


def apply(fleet: Fleet, resources: str) -> tuple[int, str]:
    fleet.hold(REPOSITORY + resources)
    applied = fleet.apply()
    return applied.returncode, applied.stdout + applied.stderr


def installed(host: Machine, name: str) -> str:
    return host.run("rpm", "-q", name, check=False).stdout.strip()


def transactions(host: Machine) -> int:
    return int(host.shell("dnf -q history list 2>/dev/null | grep -c '^ *[0-9]' || true"))


def await_line(host: Machine, script: str) -> None:
    deadline = time.monotonic() + 30
    while not host.shell(f"{script} || true").strip() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert host.shell(f"{script} || true").strip(), host.journal("passing")


def test_a_list_is_one_transaction(fleet: Fleet, repository: Repository) -> None:
    before = transactions(fleet.host)
    assert apply(fleet, '  - package: "{{ item }}"\n    for_each: [a, b, c]\n')[0] == 0
    assert installed(fleet.host, "a") == "a-1.0-1.noarch"
    assert transactions(fleet.host) == before + 1


def test_a_script_whose_failure_dnf_hides_fails_its_package_with_its_last_lines(
    fleet: Fleet, repository: Repository
) -> None:
    status, said = apply(fleet, "  - package: failing\n  - package: d\n")
    assert status == 4
    assert "the words of the script" in said
    assert "exit status 3" in said
    assert "failed    package:failing" in said
    assert "failed    package:d " not in said
    assert installed(fleet.host, "d") == "d-1.0-1.noarch"


def test_what_nobody_signed_is_not_installed(fleet: Fleet, repository: Repository) -> None:
    status, said = apply(fleet, "  - package: unsigned\n  - package: a\n")
    assert status == 4
    assert "not signed" in said
    assert installed(fleet.host, "unsigned") == "package unsigned is not installed"
    assert installed(fleet.host, "a") == "a-1.0-1.noarch"


def test_what_others_need_is_not_removed_least_of_all_what_the_agent_needs(
    fleet: Fleet, repository: Repository
) -> None:
    host = fleet.host
    host.shell("dnf -q -y --nogpgcheck install gitops-agent library user")
    status, said = apply(fleet, "  - package: library\n    ensure: absent\n  - package: d\n    ensure: absent\n")
    assert status == 4
    assert "gitops-agent, the agent itself, needs library and would be removed with it" in said
    assert "the agent itself, needs library" in fleet.plan().stdout
    assert "would also remove user, installed by name" in said
    assert installed(host, "library") == "library-1.0-1.noarch"
    assert installed(host, "d") == "d-1.0-1.noarch"
    removed = "".join(f"  - package: {name}\n    ensure: absent\n" for name in ("d", "user"))
    assert apply(fleet, removed)[0] == 0
    assert installed(host, "user") == "package user is not installed"


def test_a_killed_transaction_is_recovered_once_and_told_as_an_event(fleet: Fleet, repository: Repository) -> None:
    host = fleet.host
    host.shell("touch /run/wait; dnf -q -y install slow-1.0")
    fleet.hold(REPOSITORY + '  - package: slow\n    version: "2.0"\n')
    host.shell("systemd-run --quiet --collect --unit=passing agentctl apply")
    await_line(host, "pgrep -f '[/]var/tmp/rpm-tmp'")
    host.shell("systemctl kill --signal=KILL passing; pkill -KILL -x 'dnf5?'; rm /run/wait")
    assert installed(host, "slow").splitlines() == ["slow-1.0-1.noarch", "slow-2.0-1.noarch"]
    plan = fleet.plan()
    assert "installed twice" in plan.stdout
    applied = fleet.apply()
    assert applied.returncode == 0, applied.stdout
    assert installed(host, "slow") == "slow-2.0-1.noarch"
    logged = host.run("journalctl", "-o", "json", "GITOPS_RESOURCE=host:repair").stdout.splitlines()
    messages = [json.loads(line)["MESSAGE"] for line in logged]
    assert ["slow is there twice: dnf remove" in message for message in messages] == [True]
    assert fleet.plan().returncode == 0


def hold_lock(host: Machine, seconds: float) -> None:
    """Have another dnf at work that holds rpm's database."""
    host.shell("rpm -e a b || true; touch /run/wait; rpm -e --allmatches slow || true; dnf -q -y install slow-1.0")
    host.shell("systemd-run --quiet --collect --unit=other dnf -y install slow-2.0")
    await_line(host, "pgrep -f '[/]var/tmp/rpm-tmp'")
    host.shell(f"systemd-run --quiet --collect --unit=release sh -c 'sleep {seconds}; rm /run/wait'")


def test_a_lock_is_waited_for(fleet: Fleet, repository: Repository) -> None:
    hold_lock(fleet.host, 4)
    started = time.monotonic()
    status, said = apply(fleet, "  - package: a\n")
    assert status == 0, said
    assert time.monotonic() - started > 2
    assert re.search(r"waited \d s for dnf \(pid \d+\), which held ", said), said
    assert installed(fleet.host, "a") == "a-1.0-1.noarch"


def test_who_holds_the_lock_for_too_long_is_named(fleet: Fleet, repository: Repository) -> None:
    host = fleet.host
    host.shell(
        f"cp {SETTINGS} /root/settings.py; sed -i 's/^LOCK_TIMEOUT_SECONDS = 300/LOCK_TIMEOUT_SECONDS = 1/' {SETTINGS}"
    )
    hold_lock(host, 20)
    try:
        status, said = apply(fleet, "  - package: a\n  - package: b\n")
    finally:
        host.shell(f"cp /root/settings.py {SETTINGS}; systemctl stop release; rm /run/wait")
    assert status == 4
    assert "another package manager is at work: dnf (pid " in said
    assert fleet.apply().returncode == 0


def test_a_repository_that_leaves_git_leaves_the_host(fleet: Fleet, repository: Repository) -> None:
    host = fleet.host
    assert host.stat("/etc/pki/rpm-gpg/tests.asc") == "644 root root regular file"
    assert host.stat("/etc/yum.repos.d/tests.repo") == "644 root root regular file"
    fleet.hold("  - file: /etc/motd\n    content: hello\n")
    assert fleet.apply().returncode == 0
    assert not host.exists("/etc/pki/rpm-gpg/tests.asc")
    assert not host.exists("/etc/yum.repos.d/tests.repo")


def test_another_root_has_packages_of_its_own(fleet: Fleet, repository: Repository) -> None:
    host = fleet.host
    host.shell("mkdir -p /srv/root/var/lib/rpm /srv/root/etc /srv/root/tmp; rpm -e a || true")
    fleet.hold(REPOSITORY + "  - package: a\n  - package: c\n    ensure: absent\n")
    url = f"http://127.0.0.1:{REPOSITORY_PORT}/fleet.git"
    words = ("--root", "/srv/root", "--repo", url, "--host", "web-01")
    applied = host.run("agentctl", "apply", *words, check=False)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert host.run("rpm", "--root=/srv/root", "-q", "a").stdout.strip() == "a-1.0-1.noarch"
    assert installed(host, "a") == "package a is not installed"
    assert host.run("agentctl", "plan", *words, check=False).returncode == 0
