"""What a host cannot be made to: told by resource with a next step, the rest is converged, and the host is left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import images
from tests.hosts.machine import Machine
from tests.system.conftest import Fleet

OTHER = "  - file: /etc/other\n    content: {}\n"


@pytest.fixture(scope="module")
def machine(deb: Path) -> Iterator[Machine]:
    """A host with the agent and an engine."""
    with Machine(images.with_engine("bookworm")) as host:
        host.install(deb)
        yield host


def failed(fleet: Fleet, resource: str) -> str:
    """Apply a resource that fails beside one that does not; what was said."""
    text = str(abs(hash(resource)))
    fleet.hold(resource + OTHER.format(f'"{text}"'))
    applied = fleet.apply()
    assert applied.returncode == 4, applied.stdout + applied.stderr
    assert "Traceback" not in applied.stdout + applied.stderr
    assert fleet.host.read("/etc/other") == text, "what does not depend on it is converged"
    assert fleet.plan().returncode == 2, "it is still to be done"
    return applied.stdout + applied.stderr


def test_a_package_that_does_not_exist(fleet: Fleet) -> None:
    before = fleet.host.run("dpkg-query", "-W").stdout
    said = failed(fleet, "  - package: no-such-package\n  - package: tree\n")
    assert "package:no-such-package" in said
    assert "no-such-package" in said.partition("failed")[2]
    assert "install ok installed" in fleet.host.run("dpkg-query", "-W", "-f", "${Status}", "tree").stdout
    after = fleet.host.run("dpkg-query", "-W").stdout
    assert {line.split()[0] for line in after.splitlines()} - {line.split()[0] for line in before.splitlines()} == {
        "tree"
    }


def test_a_unit_that_does_not_exist(fleet: Fleet) -> None:
    before = fleet.host.run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "*.service").stdout
    said = failed(fleet, "  - unit: no-such.service\n    active: true\n    enabled: true\n")
    assert "unit:no-such.service" in said
    assert "no-such.service" in said.partition("failed")[2]
    after = fleet.host.run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "*.service").stdout
    assert after == before


def test_a_validate_command_that_fails(fleet: Fleet) -> None:
    host = fleet.host
    host.write("/etc/checked", "good\n")
    wish = "  - file: /etc/checked\n    content: bad\n    validate: [grep, -q, good, '%s']\n"
    said = failed(fleet, wish)
    assert "file:/etc/checked" in said
    assert "grep" in said
    assert host.read("/etc/checked") == "good\n"
    assert host.shell("ls -A /etc | grep checked") == "checked\n", "nothing of the refused content stays"


def test_a_target_that_is_a_directory(fleet: Fleet) -> None:
    host = fleet.host
    host.shell("mkdir -p /etc/taken && echo mine > /etc/taken/file")
    said = failed(fleet, "  - file: /etc/taken\n    content: a\n")
    assert "/etc/taken is a directory that is not empty, and a file is wanted there; set force: true" in said
    assert host.read("/etc/taken/file") == "mine\n"


def test_a_full_disk(fleet: Fleet) -> None:
    host = fleet.host
    host.shell("mkdir -p /srv/full && mount -t tmpfs -o size=64k none /srv/full && echo old > /srv/full/kept")
    host.shell("head -c 40000 /dev/zero > /srv/full/ballast")
    fleet.repository.commit({"files/large": b"x" * 100_000})
    said = failed(fleet, "  - file: /srv/full/kept\n    source: large\n")
    assert "the file system at /srv/full is full; 100000 bytes are needed" in said
    assert host.read("/srv/full/kept") == "old\n"
    assert host.shell("ls -A /srv/full") == "ballast\nkept\n"
    host.shell("umount /srv/full && mkdir -p /srv/full && mount -t tmpfs -o size=1m none /srv/full")
    assert fleet.apply().returncode == 0, "it is done as soon as there is room"
    assert host.run("stat", "-c", "%s", "/srv/full/kept").stdout == "100000\n"


def test_an_image_that_cannot_be_pulled(fleet: Fleet) -> None:
    said = failed(fleet, "  - container: web\n    image: 127.0.0.1:9/app:none\n")
    assert "container:web" in said
    assert "127.0.0.1:9/app:none" in said.partition("failed")[2]
    assert fleet.host.run("docker", "ps", "-aq").stdout == ""


def test_a_full_disk_of_its_own_state(fleet: Fleet) -> None:
    host = fleet.host
    state = "/var/lib/small"
    host.shell(f"mkdir -p {state} && mount -t tmpfs -o size=256k none {state}")
    host.shell(f"head -c 250000 /dev/zero > {state}/ballast")
    fleet.hold(OTHER.format("never"))
    before = host.read("/etc/other")
    applied = fleet.apply("--state-dir", state)
    assert applied.returncode == 1
    assert "Traceback" not in applied.stderr
    assert "internal error" not in applied.stderr
    assert host.read("/etc/other") == before
