"""The laws of every kind, on a small machine; what each kind does on a real one is held in tests/system."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from agent.apply import Author, Conduct, apply_plan
from agent.apply.batches import apply_kind
from agent.catalog import Catalog, Node
from agent.catalog.codec import decode, encode
from agent.causes import encoded
from agent.errors import Place
from agent.plan import Known, Plan, drift_between, make_plan
from modules.api import Drift, HostView, Observation, Resource, State
from modules.registry import KIND_NAMES, kind_named, kinds
from tests.contract.samples import SAMPLES, Sample, nothing
from tests.contract.unmanaged import PREPARED, UNMANAGED, Unmanaged
from tests.unit.world import World

AUTHOR = Author("4f2c1a9", "ops@example.com", "change")
LOOKING = {  # what modules.api.HostView and its parts have, and nothing more
    "host": ("root", "files", "accounts", "engine", "probe", "journal", "content"),
    "files": ("lstat", "read", "digest", "readlink", "listdir", "xattr", "flags", "default_label", "below"),
    "engine": ("program", "quadlet", "containers", "inspect", "image", "newest", "network", "volume", "users"),
    "accounts": ("user_name", "group_name", "user_id", "group_id", "home_at"),
}


class View:
    """A host that has only what looks: anything else is an AttributeError."""

    def __init__(self, target: Any, part: str = "host") -> None:
        self._target, self._part = target, part

    def __getattr__(self, name: str) -> Any:
        if name not in LOOKING[self._part]:
            raise AttributeError(f"a view has no {self._part}.{name}")
        found = getattr(self._target, name)
        return View(found, name) if name in LOOKING else found


def look(world: World) -> HostView:
    return cast("HostView", View(world.host))


@pytest.mark.parametrize("kind", KIND_NAMES)
@pytest.mark.parametrize("one", ["observe", "apply"])
def test_a_kind_says_how_it_is_done_for_one_or_for_many(kind: str, one: str) -> None:
    """The base has each by the other: with neither they would call each other for ever."""
    said = [getattr(kind_named(kind), name) for name in (one, f"{one}_all")]
    assert [getattr(way, "__func__", way) for way in said] != [
        getattr(Resource, one),
        getattr(Resource, f"{one}_all").__func__,
    ]


def every(table: Mapping[str, tuple[Any, ...]]) -> list[Any]:
    return [pytest.param(case, id=f"{kind}-{number}") for kind in KIND_NAMES for number, case in enumerate(table[kind])]


def started(world: World, sample: Sample) -> World:
    world.host.files.put("/srv", kind="directory")
    world.host.containers = world.engine
    sample.before(world)
    return world


def snapshot(world: World) -> Any:
    systemd = world.systemd
    parts = (
        world.host.files.entries,
        world.apt.has,
        systemd.active,
        systemd.starts,
        systemd.reloads,
        world.engine.standing,
        world.engine.images,
        world.engine.networks,
        world.engine.volumes,
    )
    return copy.deepcopy(parts)


def drift_of(resource: Resource, world: World) -> Drift:
    seen = resource.observe(look(world))
    return drift_between(resource.desired(seen), seen)


def planned(resource: Resource, world: World) -> Plan:
    catalog = Catalog("web-01", (Node(resource, Place("hosts/web-01.yaml", 3)),))
    return make_plan(catalog, look(world), Known(dict, (), settled=False))


def converged(resource: Resource, world: World) -> list[str]:
    """Results and messages of one pass with only this resource."""
    with world.store() as store:
        outcomes = apply_plan(planned(resource, world), world.host, store, AUTHOR, Conduct())
    return [f"{outcome.result} {outcome.message}".strip() for outcome in outcomes]


def test_every_kind_has_samples() -> None:
    assert set(SAMPLES) == set(UNMANAGED) == set(KIND_NAMES) == {kind.kind for kind in kinds()}
    assert all(type(case.resource) is kind_named(name) for name, cases in SAMPLES.items() for case in cases)
    assert all(case.resource.problems() in ((), []) for cases in SAMPLES.values() for case in cases)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_looking_at_many_is_looking_at_each(world: World, kind: str) -> None:
    wanted = []
    for sample in SAMPLES[kind]:
        started(world, sample)
        wanted.append(sample.resource)

    def each() -> list[Observation]:
        return [resource.observe(look(world)) for resource in wanted]

    assert kind_named(kind).observe_all(look(world), wanted) == each()
    assert kind_named(kind).observe_all(look(world), []) == []
    converged(wanted[0], world)
    assert kind_named(kind).observe_all(look(world), wanted) == each()


@pytest.mark.parametrize("sample", every(SAMPLES))
def test_looking_changes_nothing(world: World, sample: Sample) -> None:
    started(world, sample)
    before = snapshot(world)
    drift = drift_of(sample.resource, world)
    sample.resource.contents(look(world), drift)
    assert drift, "the sample differs at first"
    assert snapshot(world) == before


@pytest.mark.parametrize("sample", every(SAMPLES))
def test_one_pass_converges_and_the_next_does_nothing(world: World, sample: Sample) -> None:
    started(world, sample)
    (outcome,) = converged(sample.resource, world)
    assert outcome.startswith("converged")
    assert drift_of(sample.resource, world) == {}
    before, ran = snapshot(world), len(world.host.history)
    assert converged(sample.resource, world) == ["in_sync"]
    assert snapshot(world) == before
    assert all(line.startswith(("systemctl", "apt-cache", "dpkg-query")) for line in world.host.history[ran:])


@pytest.mark.parametrize("sample", every(SAMPLES))
def test_a_module_that_lies_is_caught(world: World, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    started(world, sample)
    kind = type(sample.resource)
    monkeypatch.setattr(kind, "apply_all", classmethod(lambda _kind, _host, steps: [None for _ in steps]))
    (outcome,) = converged(sample.resource, world)
    assert outcome.startswith("failed not converged: it was applied without an error, yet ")


@pytest.mark.parametrize("sample", every(SAMPLES))
def test_states_are_plain_values_and_hold_no_content(world: World, sample: Sample) -> None:
    started(world, sample)
    for _ in range(2):
        seen = sample.resource.observe(look(world))
        for state in (seen, sample.resource.desired(seen)):
            check_plain(state)
        converged(sample.resource, world)


def check_plain(state: State) -> None:
    for name, value in state.items():
        assert isinstance(name, str)
        assert type(value) in (str, int, bool, type(None), tuple), f"{name} is {value!r}"
        assert not isinstance(value, tuple) or all(type(item) is str for item in value), f"{name} is {value!r}"
        assert len(str(value)) < 500, f"{name} is large: its digest would do"


@pytest.mark.parametrize("case", every(UNMANAGED))
def test_what_is_not_wished_is_not_managed(world: World, case: Unmanaged) -> None:
    started(world, Sample(case.resource, PREPARED.get(case.resource.kind, nothing)))
    converged(case.resource, world)
    assert drift_of(case.resource, world) == {}
    before = snapshot(world)
    case.change(world)
    assert snapshot(world) != before or case.resource.kind == "container"
    assert drift_of(case.resource, world) == {}


@pytest.mark.parametrize("sample", every(SAMPLES))
def test_undoing_leads_back(world: World, sample: Sample) -> None:
    started(world, sample)
    prior = sample.resource.observe(look(world))
    converged(sample.resource, world)
    undo = sample.resource.undo(prior)
    if undo is None:
        assert prior.get("ensure") not in ("absent", "purged"), "what was not there before can be taken away"
        return
    assert undo.problems() in ((), [])
    assert type(undo) is type(sample.resource)
    assert undo.id == sample.resource.id
    seen = undo.observe(look(world))
    drift = drift_between(undo.desired(seen), seen)
    if drift:
        assert apply_kind(world.host, [(undo, drift)]) == [None]
    assert drift_of(undo, world) == {}
    after = sample.resource.observe(look(world))
    managed = {name for name, value in undo.desired(prior).items() if value is not None}
    kept = {name: value for name, value in prior.items() if name in managed}
    expected = {"ensure": "absent"} if sample.ours else kept
    assert {name: after.get(name) for name in kept} == expected


@pytest.mark.parametrize("sample", every(SAMPLES))
def test_what_is_written_down_is_read_back(world: World, sample: Sample) -> None:
    started(world, sample)
    resource = sample.resource
    assert decode(json.loads(json.dumps(encode(resource, with_data=True)))) == resource
    remembered = decode(json.loads(encoded(resource)))
    seen = resource.observe(look(world))
    assert remembered.desired(seen) == resource.desired(seen), "an inventory entry is enough to compare with"
    assert (remembered.id, remembered.provides(), remembered.needs()) == (
        resource.id,
        resource.provides(),
        resource.needs(),
    )


@pytest.mark.parametrize("sample", every(SAMPLES))
def test_clearing_away_where_nothing_was_interrupted_does_nothing(world: World, sample: Sample) -> None:
    started(world, sample)
    before = snapshot(world)
    sample.resource.recover(world.host)
    assert snapshot(world) == before
    converged(sample.resource, world)
    before = snapshot(world)
    sample.resource.recover(world.host)
    assert snapshot(world) == before


def test_the_view_of_these_tests_is_the_one_of_modules(tmp_path: Path) -> None:
    from modules import api

    classes = {"host": api.HostView, "files": api.FileView, "engine": api.EngineView, "accounts": api.Accounts}
    for part, names in LOOKING.items():
        assert {name for name in vars(classes[part]) if not name.startswith("_")} == set(names)
