"""Networks, volumes and images as their kinds hold them, on an engine in memory."""

from __future__ import annotations

from typing import Any, cast

import pytest

from modules.api import Host, ResourceError
from modules.container_image import ContainerImage
from modules.container_images import bring, discard, record, recorded
from modules.container_network import ContainerNetwork
from modules.container_volume import ContainerVolume
from tests.unit.convergence import converge, drift_of
from tests.unit.fake_engine import EngineMachine, FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine("app:1", registry=["app:1", "app:2"])


@pytest.fixture
def host(engine: FakeEngine) -> Host:
    return cast("Host", EngineMachine(engine))


def network(**fields: Any) -> ContainerNetwork:
    return ContainerNetwork(name="backend", **fields)


def test_a_network_that_nobody_is_in_is_made_anew(host: Host, engine: FakeEngine) -> None:
    converge(network(subnet="172.30.0.0/24"), host)
    assert set(converge(network(subnet="172.31.0.0/24", options={"mtu": "1400"}), host)) == {"subnet", "options"}
    assert engine.networks["backend"]["IPAM"]["Config"] == [{"Subnet": "172.31.0.0/24"}]


def test_containers_lose_no_network_unless_it_is_forced(host: Host, engine: FakeEngine) -> None:
    converge(network(), host)
    engine.create("web", {"Image": "app:1", "HostConfig": {"NetworkMode": "backend"}})
    with pytest.raises(
        ResourceError, match="network backend differs in internal, and web would lose it; set force: true"
    ):
        converge(network(internal=True), host)
    converge(network(internal=True, force=True), host)
    assert engine.users(network="backend") == ["web"]


def test_a_strangers_network_is_used_as_it_is_and_never_made_anew(host: Host, engine: FakeEngine) -> None:
    engine.create_network({"Name": "backend", "Driver": "bridge", "Internal": False, "EnableIPv6": False})
    assert drift_of(network(driver="bridge"), host) == {}
    with pytest.raises(ResourceError, match="somebody else made it"):
        converge(network(internal=True), host)
    assert network().undo({"ensure": "present"}) is None


def test_a_gateway_needs_its_range() -> None:
    assert network(gateway="172.30.0.1").problems() == ["gateway needs subnet, the range that it is in"]
    assert network(gateway="172.30.0.1", subnet="172.30.0.0/24").problems() == []


def test_a_volume_is_never_made_anew_and_never_pruned_by_default(host: Host, engine: FakeEngine) -> None:
    volume = ContainerVolume(name="data", labels={"a": "b"})
    converge(volume, host)
    assert ContainerVolume.prune == "release"
    with pytest.raises(ResourceError, match="making it anew would lose its data"):
        converge(ContainerVolume(name="data", labels={"a": "c"}), host)
    assert "data" in engine.volumes
    assert volume.undo({"ensure": "present"}) is None, "it was there before"
    assert volume.undo({"ensure": "absent"}) == ContainerVolume(name="data", ensure="absent")


def test_an_image_that_left_git_goes_unless_it_is_used(host: Host, engine: FakeEngine) -> None:
    image = ContainerImage(reference="app:2")
    converge(image, host)
    engine.create("web", {"Image": "app:2"})
    undone = image.undo({"ensure": "absent"})
    assert undone == ContainerImage(reference="app:2", ensure="unused")
    assert drift_of(undone, host) == {}
    with pytest.raises(ResourceError, match="image app:2 is still needed: container web is using it"):
        converge(ContainerImage(reference="app:2", ensure="absent"), host)
    engine.remove("web", anonymous_volumes=False)
    converge(undone, host)
    assert "app:2" not in engine.images


def test_a_tag_that_moved_is_pulled_and_one_that_cannot_be_asked_for_is_said(host: Host, engine: FakeEngine) -> None:
    image = ContainerImage(reference="app:1", pull="always")
    assert drift_of(image, host) == {}
    engine.remote["app:1"] = "sha256:moved"
    assert set(converge(image, host)) == {"digest"}
    engine.registry.clear()
    (change,) = drift_of(image, host).values()
    assert "cannot be asked" in str(change.before)
    with pytest.raises(ResourceError, match="cannot be pulled"):
        converge(image, host)


def test_of_the_images_that_a_tag_moved_through_the_one_before_stays(host: Host, engine: FakeEngine) -> None:
    def ids() -> set[str]:
        return {*engine.images.values(), *engine.dangling}

    image = ContainerImage(reference="app:1", pull="always")
    for version in ("second", "third", "fourth"):
        engine.remote["app:1"] = f"sha256:{version}"
        converge(image, host)
    assert ids() == {"sha256:app:1", "sha256:third", "sha256:fourth"}, "and what we did not pull"
    engine.create("web", {"Image": "app:1"})
    for version in ("fifth", "sixth"):
        engine.remote["app:1"] = f"sha256:{version}"
        converge(image, host)
    assert ids() == {"sha256:app:1", "sha256:fourth", "sha256:fifth", "sha256:sixth"}, "and what a container has"
    converge(ContainerImage(reference="app:1", ensure="unused"), host)
    assert ids() == {"sha256:app:1", "sha256:fourth"}
    assert engine.images == {}


def test_an_image_that_is_used_is_not_let_go_by_its_other_name(host: Host, engine: FakeEngine) -> None:
    converge(ContainerImage(reference="app:2", pull="always"), host)
    engine.remote["app:2"] = "sha256:moved"
    converge(ContainerImage(reference="app:2", pull="always"), host)
    engine.create("web", {"Image": "app:2"})
    with pytest.raises(ResourceError, match="still needed"):
        converge(ContainerImage(reference="app:2", ensure="absent"), host)
    assert engine.images["app:2"] == "sha256:moved"


def test_pull_policies(engine: FakeEngine) -> None:
    with pytest.raises(ResourceError, match="`pull: never` keeps it"):
        bring(engine, "app:2", "never")
    assert bring(engine, "app:2", "missing").ours
    assert not bring(engine, "app:1", "missing").ours
    engine.registry.clear()
    brought = bring(engine, "app:1", "always")
    assert brought.trouble is not None
    assert brought.id == "sha256:app:1"


def test_the_images_written_on_a_container_are_ours_bounded_and_the_newest_first(engine: FakeEngine) -> None:
    brought = bring(engine, "app:2", "missing")
    many = [f"sha256:{number}" for number in range(20)]
    written = recorded({"gitops-agent.images": record(brought, many)})
    assert written == [brought.id, *many[:7]]
    assert recorded({"gitops-agent.images": record(bring(engine, "app:1", "missing"), [])}) == []
    assert recorded({"gitops-agent.images": "theirs"}) == recorded({"gitops-agent.images": "5"}) == recorded(None) == []


def test_an_image_that_something_else_has_is_never_removed(engine: FakeEngine) -> None:
    engine.images |= {"app:3": "sha256:3", "other:3": "sha256:3", "app:4": "sha256:4", "app:5": "sha256:5"}
    engine.create("theirs", {"Image": "app:4"})
    discard(engine, ["sha256:3", "sha256:4", "sha256:5", "sha256:none"], [])
    assert set(engine.images) == {"app:1", "app:3", "other:3", "app:4"}
