"""What leaves Git never takes anybody's data along: directories, homes and packages, judged from outside."""

from __future__ import annotations

import json
import re

import pytest

from tests.hosts.archive import Archive, Deb
from tests.system.conftest import Fleet

KEPT = '  - file: /etc/kept\n    content: "x\\n"\n'
TREE = """\
  - directory: /srv/data
  - file: /srv/data/ours
    content: "ours\\n"
  - directory: /srv/plain
  - file: /srv/plain/ours
    content: "ours\\n"
  - directory: /srv/home
"""
DATABASE = Deb(
    "database",
    postinst="mkdir -p /var/lib/database && test -e /var/lib/database/table || echo rows > /var/lib/database/table",
    conffiles={"/etc/database.conf": "shipped\n"},
    control={"postrm": '#!/bin/sh\nif [ "$1" = purge ]; then rm -rf /var/lib/database; fi\n'},
)
PACKAGE = '  - package: database\n    source: database.deb\n    version: "1.0"\n'


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A package that keeps data of its own, and takes it away only when it is purged."""
    archive = Archive(tmp_path_factory.mktemp("debs"))
    archive.add(DATABASE)
    return archive.path_of("database", "1.0").read_bytes()


def test_a_directory_with_data_and_a_home_stay(fleet: Fleet) -> None:
    host = fleet.host
    fleet.hold(KEPT + TREE, "directories")
    assert fleet.apply().returncode == 0
    host.shell("echo rows > /srv/data/table; useradd --no-create-home --home-dir /srv/home alice")
    fleet.hold(KEPT, "directories leave")
    planned = fleet.plan()
    assert planned.returncode == 2
    assert "left as it is: it holds table" in planned.stdout
    assert "left as it is: it is the home of alice" in planned.stdout
    assert fleet.apply().returncode == 0
    assert host.shell("cat /srv/data/table; ls /srv/data") == "rows\ntable\n"
    assert not host.exists("/srv/plain")
    assert host.stat("/srv/home").endswith(" directory")
    assert fleet.plan().returncode == 0, "and nothing is left to do"


def test_the_status_and_the_log_name_what_was_left(fleet: Fleet) -> None:
    host = fleet.host
    status = host.run("agentctl", "status", check=False).stdout  # UNKNOWN, for no daemon runs here
    assert re.search(r"released +directory:/srv/data +left as it is: it holds table\n", status)
    log = json.loads(host.run("agentctl", "log", "directory:/srv/data", "--json").stdout)["changes"]
    assert (log[0]["result"], log[0]["message"]) == ("released", "left as it is: it holds table")


@pytest.mark.parametrize("setting", ["", 'APT::Get::Purge "true";\n'], ids=["usual", "purging"])
def test_a_package_is_removed_and_its_data_stays(fleet: Fleet, package: bytes, setting: str) -> None:
    """Also where an admin has apt purge whatever it removes: that is said to apt, not of this package."""
    host = fleet.host
    host.write("/etc/apt/apt.conf.d/99purge", setting)
    fleet.repository.commit({"files/database.deb": package})
    fleet.hold(KEPT + PACKAGE, "a database")
    assert fleet.apply().returncode == 0
    host.shell("echo changed > /etc/database.conf")
    fleet.hold(KEPT, "no database")
    assert fleet.apply().returncode == 0
    assert host.run("dpkg-query", "-W", "-f", "${db:Status-Status}", "database").stdout == "config-files"
    assert host.shell("cat /var/lib/database/table /etc/database.conf") == "rows\nchanged\n"


def test_purging_is_said_outright(fleet: Fleet) -> None:
    fleet.hold(KEPT + "  - package: database\n    ensure: purged\n", "purge it")
    assert fleet.apply().returncode == 0
    assert not fleet.host.exists("/var/lib/database")
    assert not fleet.host.exists("/etc/database.conf")
