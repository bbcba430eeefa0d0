"""Containers that systemd holds through Quadlet on Debian 13, judged with systemctl, podman and HTTP."""

from __future__ import annotations

import json

import pytest

from tests.hosts.registry import push
from tests.system.conftest import ContainerHost
from tests.system.containers import NOTHING, PORT, declared, resource, web

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
    before = on.engine.inspect("web")["State"]["StartedAt"]
    assert "this very spec failed" in on.fleet.apply().stdout
    assert on.engine.inspect("web")["State"]["StartedAt"] == before, "the old one was left alone the second time"
    assert on.http() == "one"
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


def test_a_tag_is_asked_for_at_the_mirror_that_the_engine_pulls_from(on: ContainerHost) -> None:
    conf = '[[registry]]\nprefix = "far.test"\nlocation = "127.0.0.1:5999"\n[[registry.mirror]]\nlocation = "127.0.0.1:5000"\ninsecure = true\n'
    on.fleet.host.write("/etc/containers/registries.conf.d/mirror.conf", conf)
    on.fleet.host.run("systemctl", "stop", "podman.service")  # which read the others when it was started
    for text in ("near", "nearer"):
        push(on.registry, on.fleet.host.leader, "127.0.0.1:5000/app:mirrored", text=text)
        on.converge(web("far.test/app:mirrored", pull="always"))
        assert on.http() == text
    on.fleet.host.run("rm", "/etc/containers/registries.conf.d/mirror.conf")


def test_neither_engine_is_taken_when_both_are_there_and_none_is_chosen(on: ContainerHost) -> None:
    on.fleet.configure()
    try:
        said = on.refused(web(on.app.one))
        assert "both Docker and Podman are installed; say in the settings which one" in said
    finally:
        on.configure()


# Networks and volumes


NETWORK, NETWORK_UNIT = "/etc/containers/systemd/inner.network", "inner-network.service"
VOLUME, VOLUME_UNIT = "/etc/containers/systemd/store.volume", "store-volume.service"


def network(**fields: object) -> str:
    return resource("container_network", "inner", **fields)


def volume(**fields: object) -> str:
    return resource("container_volume", "store", **fields)


def member(image: str, **fields: object) -> str:
    """A container in the network, with the volume."""
    return web(image, networks={"inner": {"aliases": ["db"]}}, volumes=["store:/data"], **fields)


def shown(on: ContainerHost, unit: str, name: str) -> str:
    return on.fleet.host.run("systemctl", "show", "-P", name, unit).stdout.strip()


def test_a_network_and_a_volume_are_units_that_containers_are_ordered_after(on: ContainerHost) -> None:
    before = reloads(on)
    on.converge(
        member(on.app.one, restart="always")
        + network(subnet="172.30.5.0/24", internal=False, labels={"team": "a b%"})
        + volume(options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}, labels={"team": "a"})
    )
    assert reloads(on) == before + 2, "one for what containers need, one for the containers"
    for path, unit in ((NETWORK, NETWORK_UNIT), (VOLUME, VOLUME_UNIT)):
        assert on.fleet.host.stat(path) == "600 root root regular file"
        assert on.fleet.host.run("systemctl", "is-enabled", unit, check=False).stdout.strip() == "generated"
        assert state(on, unit) == "active"
        assert unit in shown(on, "web.service", "Requires").split()
        assert unit in shown(on, "web.service", "After").split()
        assert unit in shown(on, "multi-user.target", "Wants").split()
    found = on.engine.inspect("inner", kind="network")
    assert "172.30.5.0/24" in json.dumps(found)
    assert found["labels"]["team"] == "a b%"
    assert on.engine.inspect("store", kind="volume")["Options"]["o"] == "size=1m"
    assert on.http() == "one"
    assert "db" in on.engine.inspect("web")["NetworkSettings"]["Networks"]["inner"]["Aliases"]
    assert " /data tmpfs" in on.engine.run("exec", "web", "cat", "/proc/mounts")


def test_harm_done_to_a_network_or_volume_is_repaired(on: ContainerHost) -> None:
    host, all_of_it = on.fleet.host, member(on.app.one) + network() + volume()
    on.converge(NOTHING)
    on.converge("  - {container_volume: store, ensure: absent}\n")
    on.converge(all_of_it)
    for harm in (
        f"systemctl stop {NETWORK_UNIT}",
        f"systemctl stop {VOLUME_UNIT}",
        "podman network rm -f inner",
        "podman volume rm -f store",
        f"rm {NETWORK} {VOLUME}; systemctl daemon-reload",
        f"rm {NETWORK} {VOLUME}",
        f"sleep 1; echo Internal=true >>{NETWORK}",
        f"sleep 1; touch {NETWORK}",
    ):
        host.shell(harm)
        assert on.fleet.plan().returncode == 2, harm
        applied = on.fleet.apply()
        assert applied.returncode == 0, (harm, applied.stdout)
        assert on.http() == "one", harm
        assert [state(on, unit) for unit in (NETWORK_UNIT, VOLUME_UNIT, "web.service")] == ["active"] * 3, harm
        assert shown(on, NETWORK_UNIT, "NeedDaemonReload") == "no", harm
        assert on.fleet.plan().returncode == 0, harm


def test_a_network_that_changes_is_made_anew_with_its_containers_if_that_is_said(on: ContainerHost) -> None:
    on.converge(member(on.app.one) + network(subnet="172.30.7.0/24", force=True, labels={"a": "b"}) + volume())
    on.converge(member(on.app.one) + network(subnet="172.30.7.0/24", force=True) + volume())
    assert "Label=a=b" not in on.fleet.host.read(NETWORK)
    on.engine.run("run", "-d", "--name", "byhand", "--network", "inner:alias=cache", on.app.one)
    made = on.engine.inspect("web")["Id"]
    said = on.refused(member(on.app.one) + network(subnet="172.30.8.0/24") + volume())
    assert "network inner differs in subnet, and byhand, web would lose it" in said
    assert on.engine.inspect("web")["Id"] == made
    on.converge(member(on.app.one) + network(subnet="172.30.8.0/24", force=True) + volume())
    for name, alias in (("web", "db"), ("byhand", "cache")):
        place = on.engine.inspect(name)["NetworkSettings"]["Networks"]["inner"]
        assert place["IPAddress"].startswith("172.30.8."), name
        assert alias in place["Aliases"], name
    on.engine.run("rm", "-f", "-t0", "byhand")
    assert on.http() == "one"


def test_a_network_and_a_volume_leave_git(on: ContainerHost) -> None:
    host = on.fleet.host
    on.converge(member(on.app.one, command=["sh", "-c", "echo 1 >/data/x; sleep 900"]) + network() + volume())
    assert "inner is still needed" in on.refused(member(on.app.one) + volume())
    assert on.engine.run("exec", "web", "cat", "/data/x") == "1\n"
    on.converge(NOTHING)
    assert not host.exists(NETWORK)
    assert shown(on, NETWORK_UNIT, "LoadState") == "not-found"
    assert "inner" not in on.engine.run("network", "ls")
    assert "store" in on.engine.run("volume", "ls", "-q").split(), "what holds data stays"
    assert state(on, VOLUME_UNIT) == "active"
    on.converge(volume(ensure="absent"))
    assert not host.exists(VOLUME)
    assert shown(on, VOLUME_UNIT, "LoadState") == "not-found"
    assert "store" not in on.engine.run("volume", "ls", "-q").split()


def test_a_network_and_a_volume_that_exist_are_taken_as_they_are(on: ContainerHost) -> None:
    host = on.fleet.host
    on.engine.run("network", "create", "--subnet", "172.30.9.0/24", "inner")
    on.engine.run("volume", "create", "store")
    on.engine.run("run", "--rm", "-v", "store:/data", on.app.one, "touch", "/data/kept")
    on.converge(member(on.app.one))
    assert "inner.network" not in host.read(FILE)
    on.converge(member(on.app.one) + network() + volume())
    assert "172.30.9.0/24" in json.dumps(on.engine.inspect("inner", kind="network"))
    assert on.engine.run("exec", "web", "ls", "/data") == "kept\n"
    assert NETWORK_UNIT in shown(on, "web.service", "Requires").split(), "it was put in order with them"
    assert "somebody else made it" in on.refused(member(on.app.one) + network(internal=True) + volume())
    on.converge(NOTHING)
    assert "inner" in on.engine.run("network", "ls"), "it was there before"
    assert "store" in on.engine.run("volume", "ls", "-q").split()
    on.converge(network() + volume())
    host.run("rm", NETWORK, VOLUME)
    host.run("systemctl", "daemon-reload")
    on.engine.run("network", "rm", "inner")
    host.write(NETWORK, "[Network]\nNetworkName=inner\n")
    assert f"{NETWORK} was written by somebody else" in on.refused(network())
    host.run("rm", NETWORK)
    on.converge("  - {container_volume: store, ensure: absent}\n")


def test_what_quadlet_or_podman_will_not_make_is_said(on: ContainerHost) -> None:
    on.engine.run("network", "create", "--subnet", "172.30.9.0/24", "taken")
    said = on.refused(network(subnet="172.30.9.0/24"))
    assert "inner-network.service cannot be started" in said
    assert "already used" in said
    on.engine.run("network", "rm", "taken")
    assert on.fleet.apply().returncode == 0
    on.converge(NOTHING)
