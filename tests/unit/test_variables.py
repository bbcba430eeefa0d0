"""Variables: layers merged by their order, and where each came from."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.documents import Block, parse_document
from agent.errors import ManifestInvalid
from agent.manifest.variables import Layer, Variables, merge, origins
from agent.secrets import Vault, unopened
from tests.unit.memory import MemoryTree

# One shape for all layers: a mapping never meets something else, so that every merge is allowed.
LEAVES = st.none() | st.integers() | st.text("xyz", max_size=3) | st.lists(st.integers(), max_size=2)
DEEP = st.fixed_dictionaries({}, optional={"a": LEAVES, "b": LEAVES})
LAYERS = st.fixed_dictionaries({}, optional={"x": LEAVES, "y": LEAVES, "m": st.fixed_dictionaries({}, optional={"n": DEEP, "c": LEAVES})})  # fmt: skip


def layer(label: str, values: dict[str, Any]) -> Layer:
    return Layer(label, parse_document(yaml.safe_dump(values).encode(), f"{label}.yaml"))


def as_layer(merged: Block) -> Layer:
    return Layer("merged", merged)


@given(st.lists(LAYERS, min_size=3, max_size=3))
def test_merging_is_associative(values: list[dict[str, Any]]) -> None:
    one, two, three = (layer(str(index), value) for index, value in enumerate(values))
    assert merge([as_layer(merge([one, two])), three]) == merge([one, two, three])
    assert merge([one, as_layer(merge([two, three]))]) == merge([one, two, three])


@given(LAYERS)
def test_merging_with_itself_or_with_nothing_changes_nothing(values: dict[str, Any]) -> None:
    one = layer("one", values)
    assert merge([one]) == merge([one, one]) == merge([layer("none", {}), one]) == values


@given(LAYERS, LAYERS)
def test_every_value_is_that_of_the_highest_layer_that_gives_it(low: dict[str, Any], high: dict[str, Any]) -> None:
    layers = [layer("low", low), layer("high", high)]
    merged = merge(layers)
    for path in (["x"], ["y"], ["m", "c"], ["m", "n", "a"]):
        found = origins(layers, path)
        value: Any = merged
        for name in path:
            value = value.get(name) if isinstance(value, Block) else None
        assert value == (found[0].value if found else None)


def test_merging_leaves_the_layers_as_they_were() -> None:
    low, high = layer("low", {"m": {"a": 1}}), layer("high", {"m": {"b": 2}})
    assert merge([low, high]) == {"m": {"a": 1, "b": 2}}
    assert low.values == {"m": {"a": 1}}


def test_lists_and_other_values_replace() -> None:
    assert merge([layer("low", {"a": [1, 2], "b": 1}), layer("high", {"a": [3], "b": None})]) == {"a": [3], "b": None}


def test_each_value_has_the_place_of_the_layer_that_won() -> None:
    merged = merge([layer("low", {"a": 1, "m": {"x": 1, "y": 1}}), layer("high", {"m": {"y": 2}})])
    assert str(merged.place("a")) == "low.yaml:1"
    assert str(merged["m"].place("x")) == "low.yaml:3"
    assert str(merged["m"].place("y")) == "high.yaml:2"


@pytest.mark.parametrize(("low", "high"), [({"a": {"b": 1}}, {"a": 1}), ({"a": 1}, {"a": {"b": 1}})])
def test_a_mapping_never_meets_something_else(low: dict[str, Any], high: dict[str, Any]) -> None:
    with pytest.raises(
        ManifestInvalid, match=r"^high\.yaml:1: vars\.a is (no|a) mapping here and (no|a) mapping in low"
    ):
        merge([layer("low", low), layer("high", high)])


def test_nothing_may_stand_where_a_mapping_comes_or_was() -> None:
    assert merge([layer("low", {"a": None}), layer("high", {"a": {"b": 1}})]) == {"a": {"b": 1}}
    assert merge([layer("low", {"a": {"b": 1}}), layer("high", {"a": None})]) == {"a": None}


def test_who_gives_a_variable_is_told_highest_first() -> None:
    layers = [layer("low", {"m": {"a": 1}}), layer("mid", {"m": 5}), layer("high", {"m": {"a": 2}})]
    assert [(found.layer, str(found.place), found.value) for found in origins(layers, ["m", "a"])] == [
        ("high", "high.yaml:2", 2),
        ("low", "low.yaml:2", 1),
    ]


def test_a_variable_is_rendered_once_and_only_when_it_is_used() -> None:
    asked: list[str] = []

    def render(raw: Any, place: Any) -> Any:
        asked.append(f"{place}")
        return f"<{raw}>"

    variables = Variables(
        merge([layer("one", {"a": "x", "b": "y", "m": {"c": "z"}})]), "vars", render, Vault(MemoryTree({}), unopened)
    )
    assert variables["a"] == variables["a"] == "<x>"
    assert variables["m"]["c"] == "<z>"
    assert asked == ["one.yaml:1", "one.yaml:4"]
    assert sorted(variables) == ["a", "b", "m"]
    with pytest.raises(KeyError):
        variables["none"]
