"""A pass that overruns its deadline on a booted host: what hangs is ended, a package transaction goes on."""

from __future__ import annotations

import shutil

import pytest

from tests.hosts.archive import Archive, Deb
from tests.system.conftest import Fleet
from tests.system.daemon_host import QUIET, await_that, entries, reload, shown, started, sync

MOTD = '  - file: /etc/motd\n    content: "held\\n"\n'
HANG = "#!/bin/sh\ntrap '' TERM\nsetsid sh -c 'trap \"\" TERM; exec -a hung-inner sleep 1000' &\nexec -a hung-outer sleep 1000\n"


@pytest.fixture(scope="module")
def suite() -> str:
    """One release is enough: it is about processes and control groups."""
    return "bookworm"


@pytest.fixture(scope="module")
def running(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A fleet whose host runs the daemon with a short deadline, and knows an archive with a slow package."""
    host = fleet.host
    archive = Archive(tmp_path_factory.mktemp("archive"))
    archive.add(Deb("slow-package", postinst="touch /run/transaction-begun; sleep 22; touch /run/transaction-ended"))
    shutil.copytree(archive.directory, host.path("/srv/archive"))
    host.write("/etc/apt/sources.list.d/slow.list", "deb [trusted=yes] file:/srv/archive ./\n")
    host.run("apt-get", "-qq", "update", "-o", "Dir::Etc::SourceList=/dev/null")
    host.write("/usr/local/bin/hang", HANG.replace("#!/bin/sh", "#!/bin/bash"), 0o755)
    fleet.hold(MOTD)
    return started(fleet, **QUIET, pass_deadline="5s")


def processes(fleet: Fleet, name: str) -> str:
    return fleet.host.run("pgrep", "-af", name, check=False).stdout


def test_a_command_that_hangs_is_ended_with_its_pass_and_the_next_proceeds(running: Fleet) -> None:
    host = running.host
    running.hold(
        MOTD.replace("held", "new")
        + '  - file: /srv/hung\n    content: "x"\n    requires: [file:/etc/motd]\n    validate: [/usr/local/bin/hang, "%s"]\n'
    )
    ended = sync(host)
    assert ended.returncode == 1
    said = "the sync pass overran its deadline and was ended while applying 2 of 2: file:/srv/hung"
    assert ended.stdout.splitlines()[-1] == said
    assert processes(running, "hung-") == ""
    assert not host.exists("/srv/hung")
    (entry,) = entries(host, GITOPS_RESULT="overran")
    assert (entry["MESSAGE"], entry["PRIORITY"]) == (said, "3")
    assert shown(host, "StatusText") == f"CRITICAL: {said}"
    running.hold(MOTD.replace("held", "newer"))
    assert sync(host).returncode == 0
    assert host.read("/etc/motd") == "newer\n"
    assert host.shell("find /srv -maxdepth 1 -name '.*' -o -maxdepth 1 -name '*hung*'") == "", "nothing half-made stays"


def test_a_package_transaction_outlives_its_pass(running: Fleet) -> None:
    host = running.host
    running.hold(MOTD + "  - package: slow-package\n")
    ended = sync(host)
    assert ended.stdout.splitlines()[-1].endswith("while applying 2 of 2: package:slow-package")
    assert host.exists("/run/transaction-begun")
    assert not host.exists("/run/transaction-ended"), "the test is about what happens after the end of the pass"
    await_that(lambda: host.exists("/run/transaction-ended"), 40, "the end of the transaction")
    reload(running, **QUIET, pass_deadline="60s")
    assert sync(host).returncode == 0
    status = host.run("dpkg-query", "-W", "-f", "${db:Status-Status}", "slow-package").stdout
    assert status == "installed"


def test_a_plan_and_the_status_agree_afterwards(running: Fleet) -> None:
    assert running.plan().returncode == 0
    assert running.host.run("agentctl", "status").returncode == 0
