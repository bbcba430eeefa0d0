"""The example fleet on a booted host with an engine, judged from outside; and the demonstration of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import images
from tests.hosts.machine import Machine
from tests.hosts.registry import push, registry
from tests.system.conftest import HERE, Fleet

EXAMPLE = HERE / "examples/fleet"
HELLO = "hello from a container\n"


@pytest.fixture(scope="module")
def machine(suite: str, deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A host with the agent, an engine, and a registry with the image of the example."""
    folder = tmp_path_factory.mktemp("registry")
    with Machine(images.with_engine(suite)) as host, registry(folder, host.leader) as address:
        push(folder, host.leader, f"{address}/hello:1.0", text=HELLO)
        host.install(deb)
        yield host


def changed(fleet: Fleet, path: str, old: str, new: str) -> subprocess.CompletedProcess[str]:
    """Commit the example with one change, and apply it."""
    text = (EXAMPLE / path).read_text()
    assert old in text
    fleet.repository.commit({path: text.replace(old, new)})
    return fleet.apply()


def pid_of(host: Machine, unit: str) -> str:
    return host.run("systemctl", "show", "-P", "MainPID", unit).stdout.strip()


def test_it_converges_at_once(fleet: Fleet) -> None:
    fleet.repository.copy(EXAMPLE)
    applied = fleet.apply()
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert fleet.plan().returncode == 0
    assert "13 in sync" in fleet.apply().stdout


def test_the_packages_come_from_the_archive_of_debian(fleet: Fleet) -> None:
    installed = fleet.host.run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", "nginx", "tree", "less")
    assert sorted(installed.stdout.splitlines()) == ["less installed", "nginx installed", "tree installed"]
    assert "Debian" in fleet.host.run("apt-cache", "show", "nginx").stdout


def test_templates_know_the_variables_and_facts(fleet: Fleet, suite: str) -> None:
    release = {"bookworm": "12", "trixie": "13"}[suite]
    assert f"web-01: Debian GNU/Linux {release}, {os.cpu_count()} CPUs" in fleet.host.read("/etc/motd")
    assert fleet.host.read("/etc/default/disk-usage") == "INTERVAL=30\n"
    assert fleet.host.stat("/etc/nginx/nginx.conf") == "644 root root regular file"


def test_the_units_run_now_and_at_boot(fleet: Fleet) -> None:
    for unit in ("nginx.service", "disk-usage.service"):
        assert fleet.host.run("systemctl", "is-active", unit).stdout == "active\n"
        assert fleet.host.run("systemctl", "is-enabled", unit).stdout == "enabled\n"
    assert "Filesystem" in fleet.host.read("/srv/www/usage.txt")


def test_the_site_and_its_container_answer(fleet: Fleet) -> None:
    assert "<h1>The first of the example fleet</h1>" in fleet.host.http(80)
    assert fleet.host.http(80, "/hello") == fleet.host.http(8080) == HELLO
    status = fleet.host.run("docker", "ps", "--format", "{{.Names}} {{.Image}} {{.Status}}").stdout
    assert status.startswith("hello 127.0.0.1:5000/hello:1.0 Up")
    assert "(healthy)" in status


def test_a_condition_leaves_the_physical_machines_part_out(fleet: Fleet) -> None:
    found = fleet.host.run("dpkg-query", "-W", "-f", "${db:Status-Status}", "smartmontools", check=False)
    assert found.stdout != "installed"


def test_a_change_reloads_one_unit_and_restarts_the_other(fleet: Fleet) -> None:
    host = fleet.host
    before = {unit: pid_of(host, unit) for unit in ("nginx", "disk-usage")}
    assert changed(fleet, "roles/web/role.yaml", "    port: 80\n", "    port: 81\n").returncode == 0
    assert changed(fleet, "hosts/web-01.yaml", "interval: 30", "interval: 31").returncode == 0
    assert "The first" in host.http(81)
    assert host.http(80) == ""
    assert pid_of(host, "nginx") == before["nginx"]
    assert pid_of(host, "disk-usage") != before["disk-usage"]


def test_a_configuration_that_does_not_validate_never_takes_the_place_of_a_good_one(fleet: Fleet) -> None:
    host = fleet.host
    good = host.read("/etc/nginx/nginx.conf")
    applied = changed(fleet, "roles/web/role.yaml", "    port: 80\n", "    port: eighty\n")
    assert applied.returncode == 4
    assert "eighty" in applied.stdout
    assert host.read("/etc/nginx/nginx.conf") == good
    assert "The first" in host.http(81)


def test_a_condition_that_no_longer_holds_takes_the_container_away(fleet: Fleet) -> None:
    assert (
        changed(fleet, "roles/web/role.yaml", "    enabled: true\n    tag", "    enabled: false\n    tag").returncode
        == 0
    )
    assert fleet.host.run("docker", "ps", "-aq").stdout == ""
    assert "hello" not in fleet.host.read("/etc/nginx/nginx.conf")


def demo(**environment: str) -> subprocess.CompletedProcess[str]:
    """What `make demo` runs once there is a .venv."""
    return subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=HERE, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_the_demonstration_shows_what_it_says() -> None:
    shown = demo()
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("BROKEN") == 3
    assert "OK web-01 in sync with main@" in shown.stdout


def test_a_demonstration_that_fails_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = demo(GITOPS_AGENT_TEST_CACHE=str(tmp_path / "file"))
    assert shown.returncode == 1
    assert "demo: failed: " in shown.stderr
    assert "Traceback" not in shown.stderr
