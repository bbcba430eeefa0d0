"""Containers as the kind `container` holds them, on an engine in memory."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from modules.api import Change, Host, ResourceError, Unsupported
from modules.container import Container
from modules.container_spec import FIELDS_LABEL, SPEC_FIELDS, SPEC_LABEL
from tests.unit.container_samples import FULL, OTHER
from tests.unit.convergence import converge, drift_of
from tests.unit.fake_engine import FAILING, EngineMachine, FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine("app:1", "app:2")
    for network in ("backend", "front"):
        engine.create_network({"Name": network})
    return engine


@pytest.fixture
def host(engine: FakeEngine) -> Host:
    return cast("Host", EngineMachine(engine))


def web(**fields: Any) -> Container:
    return Container(name="web", **{"image": "app:1", **fields})


def test_other_values_cover_every_field_of_the_spec() -> None:
    assert set(OTHER) == set(SPEC_FIELDS)


def test_a_new_container_runs_and_a_second_look_finds_no_drift(host: Host, engine: FakeEngine) -> None:
    drift = converge(web(env=OTHER["env"]), host)
    assert drift["ensure"] == Change("absent", "running")
    assert drift["image"] == Change(None, "app:1")
    assert engine.running() == ["web"]
    assert engine.standing["web"]["Config"]["Env"] == ["TOKEN=louder"]
    assert converge(web(env=OTHER["env"]), host) == {}


@pytest.mark.parametrize("name", SPEC_FIELDS)
def test_every_field_replaces_the_container_when_it_comes_changes_or_goes(
    host: Host, engine: FakeEngine, name: str
) -> None:
    def made(container: Container) -> tuple[set[str], str]:
        return set(converge(container, host)), engine.standing["web"]["Id"]

    _, first = made(web())
    changed, second = made(web(**{name: (OTHER if name == "image" else FULL)[name]}))
    gone, third = made(web())
    assert changed == gone == {name}
    assert len({first, second, third}) == 3


def test_a_plan_shows_what_changes_but_no_secret(host: Host) -> None:
    secret = {"env": OTHER["env"], "labels": {"a": "hush"}, "command": ("--password", "hush")}
    converge(web(ports=("80/tcp",)), host)
    drift = drift_of(web(image="app:2", **secret, healthcheck={"test": ("CMD", "hush")}), host)
    assert drift["image"] == Change("app:1", "app:2")
    assert drift["ports"] == Change(("80/tcp",), "unset")
    assert drift["env"].before is None
    assert "hush" not in repr(drift)
    assert "hush" not in repr(web(**secret).desired({}))


def test_what_the_engine_shows_differently_is_no_reason_to_replace(host: Host, engine: FakeEngine) -> None:
    converge(web(restart="always", network_mode="bridge"), host)
    engine.standing["web"]["HostConfig"] |= {"NetworkMode": "default", "RestartPolicy": {"Name": "no"}}
    engine.standing["web"]["Config"]["Hostname"] = "abc"
    assert drift_of(web(restart="always", network_mode="bridge"), host) == {}


def test_the_digest_decides_not_what_the_labels_say_of_single_fields(host: Host, engine: FakeEngine) -> None:
    converge(web(), host)
    labels = engine.standing["web"]["Config"]["Labels"]
    labels[FIELDS_LABEL] = "{}"
    assert drift_of(web(), host) == {}
    labels[SPEC_LABEL] = "0" * 64
    assert set(drift_of(web(), host)) == {"image"}
    labels[FIELDS_LABEL] = '{"image": "app:1"}'
    assert set(drift_of(web(), host)) == {"spec"}


@pytest.mark.parametrize(
    ("status", "condition"),
    [("running", "running"), ("exited", "stopped"), ("created", "stopped"), ("dead", "stopped")]
    + [(status, status) for status in ("paused", "restarting")],
)
def test_conditions_as_the_engine_lists_them(host: Host, engine: FakeEngine, status: str, condition: str) -> None:
    converge(web(), host)
    engine.standing["web"]["State"]["Status"] = status
    assert web().observe(host)["ensure"] == condition


def test_stopped_started_and_removed(host: Host, engine: FakeEngine) -> None:
    converge(web(), host)
    made = engine.standing["web"]["Id"]
    for ensure, running in (("stopped", []), ("running", ["web"])):
        assert set(converge(web(ensure=ensure), host)) == {"ensure"}
        assert engine.running() == running
        assert engine.standing["web"]["Id"] == made
    converge(Container(name="web", ensure="absent"), host)
    assert engine.standing == {}
    assert converge(Container(name="web", ensure="absent"), host) == {}


def test_a_paused_one_goes_on(host: Host, engine: FakeEngine) -> None:
    converge(web(), host)
    engine.standing["web"]["State"] |= {"Status": "paused"}
    assert converge(web(), host) == {"ensure": Change("paused", "running")}
    assert engine.standing["web"]["State"]["Status"] == "running"


def test_one_that_fails_at_once_says_its_last_words_and_is_kept(host: Host, engine: FakeEngine) -> None:
    with pytest.raises(ResourceError, match=r"status 3 right after its start; its last lines: last words of app:1"):
        converge(web(command=FAILING), host)
    assert list(engine.standing) == ["web"]


def test_a_batch_is_started_before_any_of_it_is_watched(host: Host, engine: FakeEngine) -> None:
    names = ["aa", "bb", "cc"]
    many = [dataclasses.replace(web(command=FAILING if name == "bb" else None), name=name) for name in names]
    errors = Container.apply_all(host, [(container, drift_of(container, host)) for container in many])
    assert [error is None for error in errors] == [True, False, True]
    assert engine.watched == [(name, 3) for name in names]
    engine.watched.clear()
    engine.starts = 0
    engine.stop("aa", 0)
    engine.stop("cc", 0)
    steps = [(container, drift_of(container, host)) for container in (many[0], many[2])]
    assert Container.apply_all(host, steps) == [None, None]
    assert engine.watched == [("aa", 2), ("cc", 2)]


def test_a_strangers_container_is_refused_at_the_first_look(host: Host, engine: FakeEngine) -> None:
    engine.create("web", {"Image": "app:1"})
    for ensure in ("running", "stopped", "absent"):
        with pytest.raises(ResourceError, match="a container web was made by somebody else"):
            web(ensure=ensure).observe(host)


def test_without_an_engine_each_container_says_so() -> None:
    seen = Container.observe_all(cast("Host", EngineMachine()), [web(), Container(name="db", image="db:1")])
    assert [str(error) for error in seen] == ["no container engine"] * 2
    assert all(isinstance(error, Unsupported) for error in seen)


def test_another_root_has_no_containers_although_this_machine_has_an_engine(engine: FakeEngine) -> None:
    (seen,) = Container.observe_all(cast("Host", EngineMachine(engine, root="/srv/root")), [web()])
    assert isinstance(seen, Unsupported)
    assert "another root, /srv/root" in str(seen)
    assert engine.lists == 0


def test_one_list_call_shows_them_all(host: Host, engine: FakeEngine) -> None:
    many = [Container(name=f"c{number}", image="app:1") for number in range(50)]
    for container in many:
        converge(container, host)
    engine.create("theirs", {"Image": "app:1"})
    engine.lists = 0
    wanted = [*many, Container(name="theirs", image="app:1"), Container(name="none", image="app:1")]
    seen = Container.observe_all(host, wanted)
    assert engine.lists == 1
    assert seen[:50] == [container.observe(host) for container in many]
    assert isinstance(seen[50], ResourceError)
    assert seen[51] == {"ensure": "absent"}


def test_one_that_shares_a_network_follows_when_that_container_is_replaced(host: Host, engine: FakeEngine) -> None:
    sidecar = Container(name="sidecar", image="app:1", network_mode="container:web")
    converge(web(), host)
    converge(sidecar, host)
    engine.standing["sidecar"]["HostConfig"]["NetworkMode"] = f"container:{engine.standing['web']['Id']}"
    assert drift_of(sidecar, host) == {}
    converge(web(user="1"), host)
    assert drift_of(sidecar, host) == {"network_mode": Change("container:web, replaced since", "container:web")}
    before = engine.standing["sidecar"]["Id"]
    converge(sidecar, host)
    assert engine.standing["sidecar"]["Id"] != before


def test_a_restart_that_is_owed_reaches_only_what_runs(host: Host, engine: FakeEngine) -> None:
    converge(web(), host)
    web().refresh(host, "restart")
    assert engine.standing["web"].pop("Restarted")
    converge(web(ensure="stopped"), host)
    web().refresh(host, "restart")
    assert "Restarted" not in engine.standing["web"]
    assert engine.running() == []


def test_every_field_that_replaces_it_delivers_an_owed_restart() -> None:
    assert set(Container.restarted_by) == {"ensure", "spec", "digest", *SPEC_FIELDS}
    assert web(restart_on=("file:/etc/x",)).refresh_on() == {"restart": ("file:/etc/x",)}
    assert web().refresh_on() == {}


@pytest.mark.parametrize("prior", [{}, {"ensure": "absent"}, {"ensure": "running", "spec": "abc"}])
def test_what_left_git_is_removed_and_volumes_stay(host: Host, engine: FakeEngine, prior: dict[str, str]) -> None:
    converge(web(volumes=("data:/data",)), host)
    undone = web().undo(prior)
    assert undone is not None
    converge(undone, host)
    assert engine.standing == {}
    assert engine.volumes_removed_of == []


def test_one_that_was_to_be_absent_is_only_forgotten() -> None:
    assert web(ensure="absent").undo({"ensure": "absent"}) is None


def test_an_interrupted_replacement_is_cleared_away(host: Host, engine: FakeEngine) -> None:
    converge(web(), host)
    engine.rename("web", "web.gitops-agent-old")
    engine.stop("web.gitops-agent-old", 1)
    web().recover(host)
    assert list(engine.standing) == engine.running() == ["web"]


def test_a_remembered_resource_is_looked_at_without_its_variables(host: Host) -> None:
    converge(web(env=OTHER["env"]), host)
    remembered = dataclasses.replace(OTHER["env"], data=None)
    assert drift_of(web(env=remembered), host) == {}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"image": None}, "image is missing"),
        ({"command": ()}, "command is an empty list"),
        ({"ports": ("80/tcp",), "network_mode": "host"}, "ports have no effect with network_mode host"),
        ({"ports": ("80/tcp",), "network_mode": "none"}, "ports have no effect with network_mode none"),
        ({"ports": ("80/tcp",), "network_mode": "container:db"}, "ports have no effect"),
        ({"hostname": "a", "network_mode": "container:db"}, "hostname has no effect"),
        ({"network_mode": "container:web"}, "names the container itself"),
    ],
)
def test_fields_that_contradict_each_other(fields: dict[str, Any], problem: str) -> None:
    assert [problem in text_ for text_ in web(**fields).problems()] == [True]
    assert web(**fields, ensure="absent").problems() == ()


def test_fields_that_go_together() -> None:
    assert web().problems() == []
    assert web(ports=("80/tcp",), network_mode="backend", hostname="a").problems() == []
    assert web(hostname="a", network_mode="host").problems() == []


def test_its_place_in_the_order() -> None:
    container = web(volumes=("/srv/app/conf:/conf:ro", "data:/data"), network_mode="backend")
    needs = set(container.needs())
    assert ("path:/srv/app/conf", "path:/srv/app", "path:/srv", "path:/") in needs
    assert {("in:/srv/app/conf",), ("volume:data",), ("network:backend",), ("image:app:1",)} <= needs
    assert ("package:python3-docker",) in needs
    assert any("package:docker.io" in keys for keys in needs)
    assert any("unit:docker.service" in keys for keys in needs)
    assert "container:web" in container.provides()
    assert ("container:web",) in web(network_mode="container:web").needs()


def test_one_that_is_to_be_absent_needs_and_provides_nothing() -> None:
    gone = web(ensure="absent", volumes=("/srv:/srv",))
    assert not gone.needs()
    assert not gone.provides()
