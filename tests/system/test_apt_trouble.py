"""What goes wrong with packages on real hosts with apt: scripts, locks, kills, keys, holds, images; and what it costs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.hosts.archive import PORT, Archive, Deb, only_archive
from tests.hosts.machine import Machine
from tests.system.conftest import Fleet

WAITING = "while [ -e /run/wait ]; do sleep 0.1; done"
REPOSITORY = f"""\
  - apt_repository: tests
    uris: ["http://127.0.0.1:{PORT}/"]
    suites: ["./"]
    signed_by: archive.asc
"""
LOCKER = """
import fcntl, sys, time
lock = open(sys.argv[2], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(float(sys.argv[1]))
"""
SETTINGS = "/usr/lib/gitops-agent/modules/package_backend.py"


@pytest.fixture(scope="module")
def asked(machine: Machine) -> list[str]:
    """The paths that the archive was asked for."""
    return []


@pytest.fixture(scope="module")
def archive(
    machine: Machine, fleet: Fleet, asked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """An archive that the host follows from here on."""
    made = Archive(tmp_path_factory.mktemp("archive"))
    made.add(*(Deb(name) for name in ("a", "b", "c", "d", "e")), Deb("old", "1.0"), Deb("old", "2.0"))
    made.add(Deb("broken", postinst="echo the words of the script; exit 3"), Deb("slow", postinst=WAITING))
    made.add(Deb("slower", depends="slow"))
    stranger = Archive(tmp_path_factory.mktemp("stranger"))
    fleet.repository.commit({"files/archive.asc": made.key, "files/stranger.asc": stranger.key}, "keys")
    with only_archive(machine, made, asked):
        yield made


def apply(fleet: Fleet, resources: str) -> subprocess.CompletedProcess[str]:
    fleet.hold(resources)
    return fleet.apply()


def status_of(host: Machine, name: str) -> str:
    return host.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", name, check=False).stdout.strip()


def commands(host: Machine) -> list[str]:
    """The transactions that apt has run, as it logged them."""
    return host.shell("grep -h ^Commandline: /var/log/apt/history.log || true").splitlines()


def test_a_list_is_one_transaction_after_one_refresh(fleet: Fleet, archive: Archive, asked: list[str]) -> None:
    before = len(commands(fleet.host))
    wanted = REPOSITORY + '  - package: "{{ item }}"\n    for_each: [a, b, c]\n'
    assert apply(fleet, wanted).returncode == 0
    assert [line.split()[-3:] for line in commands(fleet.host)[before:]] == [["a", "b", "c"]]
    assert asked.count("/./InRelease") == 2, "once for the repository alone, to try it"
    fleet.hold(wanted + "  - package: d\n")
    assert fleet.apply().returncode == 0
    assert asked.count("/./InRelease") == 2, "the index knew it"
    archive.add(Deb("late"))
    fleet.host.shell("touch -d '5 minutes ago' /var/lib/apt/periodic/* /var/lib/apt/lists /var/lib/apt/lists/partial")
    assert apply(fleet, wanted + "  - package: late\n").returncode == 0
    assert asked.count("/./InRelease") == 3, "the index had no such package"


def test_a_failed_script_fails_its_package_with_its_last_lines(fleet: Fleet, archive: Archive) -> None:
    applied = apply(fleet, REPOSITORY + "  - package: broken\n  - package: e\n")
    assert applied.returncode == 4
    assert "the words of the script" in applied.stdout
    assert "exit status 3" in applied.stdout
    assert status_of(fleet.host, "e") == "ii  1.0"
    assert status_of(fleet.host, "broken").startswith("iF")
    archive.add(Deb("broken", "1.1", postinst="exit 0"))
    assert apply(fleet, REPOSITORY + "  - package: broken\n    ensure: latest\n").returncode in (0, 4)
    fleet.host.shell("apt-get -qq update; touch /var/lib/apt/periodic/update-success-stamp")
    assert fleet.apply().returncode == 0
    assert status_of(fleet.host, "broken") == "ii  1.1"


def test_a_downgrade_is_refused_unless_it_is_allowed(fleet: Fleet, archive: Archive) -> None:
    wanted = REPOSITORY + '  - package: old\n    version: "{}"\n'
    assert apply(fleet, wanted.format("2.0")).returncode == 0
    refused = apply(fleet, wanted.format("1.0"))
    assert refused.returncode == 4
    assert "`allow_downgrade: true` is needed" in refused.stdout
    assert status_of(fleet.host, "old") == "ii  2.0"
    assert apply(fleet, wanted.format("1.0") + "    allow_downgrade: true\n").returncode == 0
    assert status_of(fleet.host, "old") == "ii  1.0"


def test_what_an_admin_holds_stays_until_git_says_otherwise(fleet: Fleet, archive: Archive) -> None:
    fleet.host.shell("apt-mark -qq hold old")
    wanted = REPOSITORY + '  - package: old\n    version: "2.0"\n'
    assert "old is held" in apply(fleet, wanted).stdout
    assert status_of(fleet.host, "old") == "hi  1.0"
    assert apply(fleet, wanted + "    hold: true\n").returncode == 0
    assert status_of(fleet.host, "old") == "hi  2.0"
    assert apply(fleet, wanted + "    hold: false\n").returncode == 0
    assert status_of(fleet.host, "old") == "ii  2.0"


def test_a_hold_is_put_back_when_the_change_fails(fleet: Fleet, archive: Archive) -> None:
    archive.add(Deb("old", "3.0", depends="nowhere"))
    fleet.host.shell("apt-get -qq update; apt-mark -qq hold old")
    failed = apply(fleet, REPOSITORY + '  - package: old\n    version: "3.0"\n    hold: true\n')
    assert failed.returncode == 4
    assert "nowhere" in failed.stdout
    assert status_of(fleet.host, "old") == "hi  2.0"
    fleet.host.shell("apt-mark -qq unhold old")


def test_the_agent_and_what_it_needs_are_not_removed(fleet: Fleet, archive: Archive) -> None:
    for name in ("python3-pygit2", "python3-minimal", "libpython3-stdlib"):
        refused = apply(fleet, REPOSITORY + f"  - package: {name}\n    ensure: absent\n")
        assert refused.returncode == 4, refused.stdout
        assert f"gitops-agent, the agent itself, needs {name}" in refused.stdout
        assert f"the agent itself, needs {name}" in fleet.plan().stdout
        assert status_of(fleet.host, name).startswith("ii")
    assert status_of(fleet.host, "gitops-agent").startswith("ii")


def test_a_killed_dpkg_is_recovered_once_and_told_as_an_event(fleet: Fleet, archive: Archive) -> None:
    host = fleet.host
    host.shell("touch /run/wait")
    fleet.hold(REPOSITORY + "  - package: slow\n  - package: slower\n")
    host.shell("systemd-run --quiet --collect --unit=passing agentctl apply")
    await_line(host, "pgrep -f '[s]low.postinst'")
    host.shell("systemctl kill --signal=KILL passing; pkill -KILL -x 'apt-get|dpkg'")
    await_line(host, "systemctl is-active passing | grep -v '^active'")
    host.shell("rm /run/wait")
    await_line(host, "pgrep -f '[s]low.postinst' > /dev/null || echo gone")
    assert status_of(host, "slow").startswith("iF")
    applied = fleet.apply("--json")
    assert applied.returncode == 0, applied.stdout
    assert [status_of(host, name) for name in ("slow", "slower")] == ["ii  1.0", "ii  1.0"]
    repairs = [line for line in applied.stdout.splitlines() if "host:repair" in line]
    assert "dpkg was interrupted: dpkg" in applied.stdout
    assert repairs
    logged = host.run("journalctl", "-o", "json", "GITOPS_RESOURCE=host:repair").stdout.splitlines()
    assert ["--configure -a ended" in json.loads(line)["MESSAGE"] for line in logged] == [True]
    assert fleet.plan().returncode == 0


def await_line(host: Machine, script: str) -> None:
    deadline = time.monotonic() + 30
    while not host.shell(f"{script} || true").strip() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert host.shell(f"{script} || true").strip(), host.journal("passing")


def lock(host: Machine, seconds: float, path: str = "/var/lib/dpkg/lock-frontend") -> None:
    host.write("/root/locker.py", LOCKER)
    host.shell(f"systemd-run --quiet --collect --unit=locker python3 /root/locker.py {seconds} {path}")
    await_line(host, f'grep -s POSIX /proc/locks | grep -q "$(stat -c :%i {path}) " && echo held')


def test_a_lock_is_waited_for(fleet: Fleet, archive: Archive) -> None:
    fleet.host.shell("apt-get -qq -y purge a")
    lock(fleet.host, 4)
    started = time.monotonic()
    applied = apply(fleet, REPOSITORY + "  - package: a\n")
    assert applied.returncode == 0, applied.stdout
    assert time.monotonic() - started > 2
    assert re.search(r"waited \d s for python3 \(pid \d+\), which held /var/lib/dpkg/lock-frontend", applied.stderr)
    assert status_of(fleet.host, "a") == "ii  1.0"


def test_who_holds_the_lock_for_too_long_is_named(fleet: Fleet, archive: Archive) -> None:
    host = fleet.host
    host.shell("apt-get -qq -y purge a b")
    host.shell(
        f"cp {SETTINGS} /root/settings.py; sed -i 's/^LOCK_TIMEOUT_SECONDS = 300/LOCK_TIMEOUT_SECONDS = 1/' {SETTINGS}"
    )
    lock(host, 60)
    try:
        applied = apply(fleet, REPOSITORY + "  - package: a\n  - package: b\n")
    finally:
        host.shell(f"systemctl stop locker; cp /root/settings.py {SETTINGS}")
    assert applied.returncode == 4
    assert "another package manager is at work: python3 (pid " in applied.stdout
    assert "holds /var/lib/dpkg/lock-frontend" in applied.stdout
    assert fleet.apply().returncode == 0


def test_a_lock_of_the_package_lists_is_waited_for_as_well(fleet: Fleet, archive: Archive) -> None:
    lock(fleet.host, 4, "/var/lib/apt/lists/lock")
    fleet.host.shell("touch -d '5 minutes ago' /var/lib/apt/periodic/* /var/lib/apt/lists /var/lib/apt/lists/partial")
    applied = apply(fleet, REPOSITORY + "  - package: nowhere-to-be-found\n")
    assert re.search(r"waited \d s for python3 \(pid \d+\), which held /var/lib/apt/lists/lock", applied.stderr)
    assert "no package nowhere-to-be-found" in applied.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("./", "no-such-suite/"), r"404|does not have a Release file"),
        (("archive.asc", "stranger.asc"), r"NO_PUBKEY|Missing key"),  # of gpgv, of sqv
        ((str(PORT), "9"), r"Could not connect|Unable to connect"),
        (("/other/", "/"), r"Conflicting values set for option Signed-By"),
    ],
    ids=["suite", "key", "nobody there", "contradiction"],
)
def test_a_repository_that_apt_cannot_use_fails_by_itself_in_apts_words(
    fleet: Fleet, archive: Archive, change: tuple[str, str], words: str
) -> None:
    shutil.rmtree(archive.directory / "other", ignore_errors=True)
    shutil.copytree(archive.directory, archive.directory / "other")
    wrong = REPOSITORY.replace("apt_repository: tests", "apt_repository: wrong").replace(f"{PORT}/", f"{PORT}/other/")
    wrong = wrong.replace(*change)
    applied = apply(fleet, REPOSITORY + wrong + "  - file: /etc/motd\n    content: hello\n")
    assert applied.returncode == 4
    failed = [line for line in applied.stdout.splitlines() if line.strip().startswith("failed")]
    assert [line.split()[1] for line in failed] == ["apt_repository:wrong", "host:package-index"], applied.stdout
    assert "it is written, and apt cannot use it: " in applied.stdout
    assert re.search(words, applied.stdout), applied.stdout
    again = fleet.apply()
    assert (again.returncode, "failed    host:package-index" in again.stdout) == (4, True), again.stdout
    assert re.search(words, again.stdout), again.stdout
    shutil.rmtree(archive.directory / "other")
    assert apply(fleet, REPOSITORY).returncode == 0


def test_a_repository_that_leaves_git_leaves_the_host_and_the_index(fleet: Fleet, archive: Archive) -> None:
    host = fleet.host
    assert host.stat("/etc/apt/keyrings/tests.asc") == "644 root root regular file"
    assert host.stat("/etc/apt/sources.list.d/tests.sources") == "644 root root regular file"
    assert str(PORT) in host.run("apt-cache", "policy", "a").stdout
    assert apply(fleet, "  - file: /etc/motd\n    content: hello\n").returncode == 0
    assert not host.exists("/etc/apt/keyrings/tests.asc")
    assert not host.exists("/etc/apt/sources.list.d/tests.sources")
    assert str(PORT) not in host.run("apt-cache", "policy", "a").stdout


def test_on_an_image_packages_are_unsupported_and_etc_still_converges(fleet: Fleet, archive: Archive) -> None:
    host = fleet.host
    fleet.hold(REPOSITORY + "  - package: c\n  - package: python3\n  - file: /etc/motd\n    content: image\n")
    host.shell("mount --bind /usr /usr; mount -o remount,ro,bind /usr")
    try:
        applied = fleet.apply()
    finally:
        host.shell("umount --lazy /usr")
    assert applied.returncode == 4
    assert "/usr is mounted read-only: packages come from the image of this host" in applied.stdout
    assert "package:python3" not in applied.stdout
    assert host.read("/etc/motd") == "image"
    assert host.exists("/etc/apt/sources.list.d/tests.sources")
