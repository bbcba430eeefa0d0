"""Networks, volumes and images on real engines, tags that move, and registries that ask who is there."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.registry import LOGIN, push, registry
from tests.system.conftest import ContainerHost
from tests.system.containers import NOTHING, declared, resource, web

HELD_BY = [("bookworm", "docker"), ("trixie", "podman")]
pytestmark = pytest.mark.parametrize("on", HELD_BY, indirect=True, ids="-".join)
AUTH_FILE = "/etc/gitops-agent/registries.json"
PRIVATE, ADDRESS = "registry.test", "10.99.0.1"


# Networks


def test_a_network_is_made_changed_and_removed(on: ContainerHost) -> None:
    backend = {"subnet": "172.30.5.0/24", "gateway": "172.30.5.1", "internal": True, "labels": {"team": "a"}}
    on.converge(resource("container_network", "net-a", **backend))
    found = on.engine.inspect("net-a", kind="network")
    assert "172.30.5.0/24" in json.dumps(found)
    assert "172.30.5.1" in json.dumps(found)
    assert (found.get("Internal") or found.get("internal")) is True
    on.converge(
        resource("container_network", "net-a", **{**backend, "subnet": "172.30.6.0/24", "gateway": "172.30.6.1"})
    )
    assert "172.30.6.0/24" in json.dumps(on.engine.inspect("net-a", kind="network"))
    on.converge(NOTHING)
    assert "net-a" not in on.engine.run("network", "ls")


def test_containers_are_in_their_networks_by_their_names_and_keep_them_when_a_network_is_made_anew(
    on: ContainerHost,
) -> None:
    def held(subnet: str, *, force: bool) -> str:
        app = declared("app", image=on.app.one, networks={"net-a": {"aliases": ["db"]}, "net-b": None})
        networks = resource("container_network", "net-a", subnet=subnet, force=force) + resource(
            "container_network", "net-b"
        )
        return app + networks

    on.converge(held("172.30.7.0/24", force=False))
    networks = on.engine.inspect("app")["NetworkSettings"]["Networks"]
    assert set(networks) == {"net-a", "net-b"}
    assert "db" in networks["net-a"]["Aliases"]
    assert "net-a differs in subnet, and app would lose it" in on.refused(held("172.30.8.0/24", force=False))
    on.converge(held("172.30.8.0/24", force=True))
    networks = on.engine.inspect("app")["NetworkSettings"]["Networks"]
    assert networks["net-a"]["IPAddress"].startswith("172.30.8.")
    assert "db" in networks["net-a"]["Aliases"]


def test_a_network_of_somebody_else_is_used_as_it_is_and_stays(on: ContainerHost) -> None:
    on.engine.run("network", "create", "theirs")
    on.converge(resource("container_network", "theirs", driver="bridge"))
    assert "somebody else made it" in on.refused(resource("container_network", "theirs", internal=True))
    on.converge(NOTHING)
    on.engine.run("network", "rm", "theirs")


# Volumes


def test_a_volume_keeps_its_data_whatever_leaves_git(on: ContainerHost) -> None:
    volume = resource("container_volume", "kept", labels={"team": "a"})
    writer = declared(
        "writer", image=on.app.one, volumes=["kept:/data"], command=["sh", "-c", "echo 1 >/data/x; sleep 900"]
    )
    on.converge(writer + volume)
    on.converge(NOTHING)
    assert on.engine.run("run", "--rm", "-v", "kept:/data", on.app.one, "cat", "/data/x") == "1\n"
    assert "would lose its data" in on.refused(resource("container_volume", "kept", labels={"team": "b"}))
    on.converge(resource("container_volume", "kept", ensure="absent"))
    on.converge(resource("container_volume", "pruned", prune="delete", options={"type": "tmpfs", "device": "tmpfs"}))
    on.converge(NOTHING)
    assert not {"kept", "pruned"} & set(on.engine.run("volume", "ls", "-q").split())


# Images


def retag(on: ContainerHost, tag: str, text: str) -> str:
    return push(on.registry, on.fleet.host.leader, f"127.0.0.1:5000/app:{tag}", text=text)


def test_an_image_is_there_before_it_is_needed_and_goes_when_nobody_needs_it(on: ContainerHost) -> None:
    on.engine.run("image", "rm", "-f", on.app.two, check=False)
    on.converge(resource("container_image", on.app.two))
    assert on.app.two in on.engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    on.engine.run("run", "-d", "--name", "user", on.app.two)
    assert "is still needed" in on.refused(resource("container_image", on.app.two, ensure="absent"))
    on.engine.run("kill", "user")
    on.engine.run("rm", "-f", "user")
    on.converge(NOTHING)
    assert on.app.two not in on.engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()


def test_a_tag_that_moves_is_seen_without_pulling_and_followed(on: ContainerHost) -> None:
    before = retag(on, "moving", "first")
    moving = web("127.0.0.1:5000/app:moving", pull="always")
    on.converge(moving)
    assert on.http() == "first"
    after = retag(on, "moving", "second")
    images = on.engine.everything()
    planned = on.fleet.plan()
    assert planned.returncode == 2
    assert f"digest {before[:19]} -> {after[:19]}" in planned.stdout
    assert on.engine.everything() == images, "a plan pulls nothing"
    assert on.fleet.apply().returncode == 0
    assert on.http() == "second"
    on.converge(moving)


def test_of_the_images_that_a_tag_moved_through_the_one_before_stays(on: ContainerHost) -> None:
    def ids() -> set[str]:
        return set(on.engine.run("image", "ls", "-a", "-q", "--no-trunc").split())

    on.converge(NOTHING)
    before, made = ids(), []
    held = resource("container_image", "127.0.0.1:5000/app:stepping", pull="always")
    for text in ("a", "b", "c"):
        retag(on, "stepping", f"step {text}")
        on.converge(held)
        made.append(on.engine.inspect("127.0.0.1:5000/app:stepping", kind="image")["Id"])
    assert ids() - before == {f"sha256:{image.removeprefix('sha256:')}" for image in made[1:]}
    on.converge(NOTHING)
    assert ids() == before


def test_a_registry_that_is_down_is_said_and_the_container_is_held_all_the_same(
    on: ContainerHost, tmp_path: Path
) -> None:
    with registry(tmp_path, on.fleet.host.leader, 5001) as address:
        push(tmp_path, on.fleet.host.leader, f"{address}/app:one", text="one")
        on.converge(web(f"{address}/app:one", pull="always"))
    assert f"registry {address} cannot be asked" in on.fleet.plan().stdout
    on.engine.run("rm", "-f", "web")
    assert on.fleet.apply().returncode == 4
    assert on.http() == "one"
    on.converge(web(f"{address}/app:one"))
    on.engine.run("rm", "-f", "web")
    on.converge(web(f"{address}/app:one"))
    on.engine.run("rm", "-f", "web")
    on.engine.run("image", "rm", f"{address}/app:one")
    assert "reaches the registry" in on.refused(web(f"{address}/app:one"))


def test_images_that_were_pulled_go_when_nobody_uses_them_and_the_last_one_stays(on: ContainerHost) -> None:
    def here() -> set[str]:
        return {
            name
            for name in on.engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
            if "/v:" in name
        }

    versions = [f"127.0.0.1:5000/v:{number}" for number in range(4)]
    for version in versions:
        push(on.registry, on.fleet.host.leader, version, text=version)
    on.engine.run("pull", "-q", versions[3])
    for version in (versions[3], *versions[:3]):
        on.converge(web(version))
    assert here() == {versions[1], versions[2], versions[3]}, "the one before stays, and what we did not pull"
    on.converge("  - {container: web, ensure: absent}\n")
    assert here() == {versions[3]}


# Registries that ask who is there


@pytest.fixture
def private(on: ContainerHost, tmp_path: Path) -> Iterator[str]:
    """An image in a registry with TLS and logins."""
    host = on.fleet.host
    host.run("ip", "address", "replace", f"{ADDRESS}/32", "dev", "lo")  # Docker checks no certificate of 127.0.0.0/8
    host.shell(f"grep -q {PRIVATE} /etc/hosts || echo {ADDRESS} {PRIVATE} >>/etc/hosts")
    with registry(tmp_path, host.leader, 5443, private=PRIVATE) as address:
        push(tmp_path, host.leader, "127.0.0.1:5443/app:one", text="private", login=LOGIN)
        shutil.copy(tmp_path / "ca.crt", host.path("/root/ca.crt"))
        yield f"{address}/app:one"


def test_credentials_come_from_the_settings_and_the_authority_from_the_engines_place(
    on: ContainerHost, private: str
) -> None:
    host, server = on.fleet.host, private.partition("/")[0]
    certificates = f"/etc/{'docker' if on.engine.program == 'docker' else 'containers'}/certs.d/{server}"
    assert "certs.d" in on.refused(web(private, pull="always"))
    host.shell(f"mkdir -p {certificates} && cp /root/ca.crt {certificates}/ca.crt")
    assert "registry_auth_file" in on.refused(web(private, pull="always"))
    auth = {"auths": {server: {"auth": base64.b64encode(LOGIN.encode()).decode()}}}
    host.write(AUTH_FILE, json.dumps(auth), mode=0o644)
    on.configure(registry_auth_file=AUTH_FILE)
    assert f"open to other users; chmod 0600 {AUTH_FILE}" in on.refused(web(private, pull="always"))
    host.run("chmod", "0600", AUTH_FILE)
    on.converge(web(private, pull="always"))
    assert on.http() == "private"
    on.configure()
    assert "correct-horse" not in host.run("journalctl", "-o", "export").stdout
