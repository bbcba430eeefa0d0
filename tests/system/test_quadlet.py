"""Containers that systemd holds through Quadlet on Debian 13, judged with systemctl, podman and HTTP."""

from __future__ import annotations

import json

import pytest

from tests.system.conftest import ContainerHost
from tests.system.containers import NOTHING, PORT, Client, declared, web

pytestmark = pytest.mark.parametrize("on", [("trixie", "quadlet")], indirect=True, ids="-".join)
FILE = "/etc/containers/systemd/web.container"


def state(on: ContainerHost, unit: str = "web.service") -> str:
    return on.fleet.host.run("systemctl", "is-active", unit, check=False).stdout.strip()


def reloads(on: ContainerHost) -> int:
    said = on.fleet.host.run("journalctl", "-o", "cat", "_PID=1").stdout
    return sum(line.startswith(("Reloading requested", "Reload requested")) for line in said.splitlines())


def test_a_container_is_a_unit_and_goes_with_its_file(on: ContainerHost) -> None:
    host = on.fleet.host
    on.converge(web(on.app.one, restart="always"))
    assert on.http() == "one"
    assert state(on) == "active"
    assert host.stat(FILE) == "600 root root regular file"
    assert host.run("systemctl", "show", "-P", "Restart", "web.service").stdout.strip() == "always"
    assert host.run("systemctl", "is-enabled", "web.service", check=False).stdout.strip() == "generated"
    on.converge(web(on.app.one, ensure="stopped", restart="always"))
    assert state(on) == "inactive"
    on.converge(NOTHING)
    assert not host.exists(FILE)
    assert host.run("systemctl", "show", "-P", "LoadState", "web.service").stdout.strip() == "not-found"
    assert on.engine.standing() == {}


def test_many_containers_cost_one_daemon_reload(on: ContainerHost) -> None:
    before = reloads(on)
    on.converge("".join(declared(f"many-{number}", image=on.app.one) for number in range(3)))
    assert reloads(on) == before + 1
    assert on.engine.standing() == {f"many-{number}": "running" for number in range(3)}


def test_harm_done_by_hand_is_repaired(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    for harm in ("systemctl stop web", "podman rm -f -t0 web", f"rm {FILE}; systemctl daemon-reload", f"echo >>{FILE}"):
        on.fleet.host.shell(harm)
        assert on.fleet.plan().returncode == 2, harm
        applied = on.fleet.apply()
        assert applied.returncode == 0, (harm, applied.stdout)
        assert on.http() == "one", harm
        assert state(on) == "active", harm


def test_what_somebody_else_made_is_left_unless_it_is_to_be_adopted(on: ContainerHost) -> None:
    host = on.fleet.host
    host.write("/etc/containers/systemd/theirs.container", f"[Container]\nImage={on.app.one}\nStopTimeout=0\n")
    host.run("systemctl", "daemon-reload")
    assert "was written by somebody else" in on.refused(declared("theirs", image=on.app.two))
    on.converge(declared("theirs", image=on.app.two, adopt=True))
    assert on.app.two in host.read("/etc/containers/systemd/theirs.container")
    on.engine.run("create", "--name", "byhand", on.app.one)
    assert "made by somebody else; remove it (`podman rm -f byhand`)" in on.refused(
        declared("byhand", image=on.app.two)
    )
    on.engine.run("rm", "-f", "-t0", "byhand")


def test_a_new_version_that_fails_gives_way_to_the_old_one_once(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    failures: tuple[tuple[str, dict[str, object], str], ...] = (
        (on.app.ill, {}, "is unhealthy"),
        (on.app.two, {"command": ["sh", "-c", "echo cannot find my database; exit 3"]}, "cannot find my database"),
        (on.app.two, {"command": ["sh", "-c", "sleep 0.3; exit 3"], "restart": "always"}, "web"),
    )
    for image, fields, reason in failures:
        said = on.refused(web(image, **fields))
        assert "the one before it was put back" in said
        assert reason in said
        assert on.http() == "one", reason
    with Client(on.fleet.host) as client:
        assert "this very spec failed" in on.fleet.apply().stdout
    assert client.answers == {"one"}
    assert client.longest_gap < 1
    on.converge(web(on.app.two))
    assert on.http() == "two"
    assert not on.fleet.host.exists(f"{FILE}.gitops-agent-failed")


def test_secrets_are_in_no_file_of_the_disk_and_in_no_command_line(on: ContainerHost) -> None:
    host = on.fleet.host
    env = {"PLAIN": 'a "b" %c $d'}
    on.converge(declared("web", image=on.app.one, ports=[f"127.0.0.1:{PORT}:8080"], env=env, secrets={"key": "hush"}))
    assert on.engine.run("exec", "web", "sh", "-c", "echo $PLAIN; cat /run/secrets/key") == 'a "b" %c $d\nhush'
    shown = host.run("systemctl", "cat", "web.service").stdout + json.dumps(on.engine.inspect("web"))
    assert "hush" not in shown
    host.run("systemctl", "stop", "web")
    host.run("rm", "-r", "/run/gitops-agent/secrets")
    assert on.fleet.apply().returncode == 0
    assert on.engine.run("exec", "web", "cat", "/run/secrets/key") == "hush"


def test_neither_engine_is_taken_when_both_are_there_and_none_is_chosen(on: ContainerHost) -> None:
    on.fleet.configure()
    try:
        said = on.refused(web(on.app.one))
        assert "both Docker and Podman are installed; say in the settings which one" in said
    finally:
        on.configure()
