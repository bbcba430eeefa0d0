"""The order of a catalog: it satisfies every edge, and keeps the order of declaration where none says otherwise."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.catalog import Policy
from agent.catalog.graph import connect
from agent.catalog.typed import Typed
from agent.documents import Block
from agent.errors import ManifestInvalid, Place
from modules.api import Resource
from modules.directory import Directory
from modules.file import File
from modules.unit import Unit


def typed(resource: Resource, line: int = 1, requires: Iterable[str] = (), after: Iterable[str] = ()) -> Typed:
    block = Block("hosts/a.yaml", line)
    block.lines = {"requires": line + 1, "after": line + 2, "reload_on": line + 3}
    return Typed(resource, Place("hosts/a.yaml", line), tuple(requires), tuple(after), Policy(), block)


def file(name: str, **edges: Iterable[str]) -> Typed:
    return typed(File(path=f"/{name}"), **edges)  # type: ignore[arg-type]


def problems(*resources: Typed, complete: bool = True) -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        connect(resources, complete=complete)
    return [str(problem) for problem in caught.value.problems]


@st.composite
def acyclic(draw: st.DrawFn) -> list[Typed]:
    """Files, each of which may need any that has a lower number, declared in any order."""
    count = draw(st.integers(1, 12))
    made = []
    for index in range(count):
        needs = st.lists(st.integers(0, index - 1), max_size=3) if index else st.just([])
        requires, after = draw(needs), draw(needs)
        made.append(file(f"f{index}", requires=[f"file:/f{n}" for n in requires], after=[f"file:/f{n}" for n in after]))
    return draw(st.permutations(made))


@given(acyclic())
def test_the_order_satisfies_every_edge_and_has_everything_once(resources: list[Typed]) -> None:
    edges = connect(resources)
    order = list(edges)
    assert sorted(order) == sorted(each.resource.id for each in resources)
    for name, found in edges.items():
        for need in (*found.requires, *found.after):
            assert order.index(need) < order.index(name)


@given(acyclic())
def test_the_order_is_the_same_every_time(resources: list[Typed]) -> None:
    assert connect(resources) == connect(resources)


@given(st.permutations(range(8)))
def test_without_edges_the_order_is_that_of_declaration(numbers: list[int]) -> None:
    assert list(connect([file(f"f{n}") for n in numbers])) == [f"file:/f{n}" for n in numbers]


def test_what_becomes_free_at_once_keeps_the_order_of_declaration() -> None:
    needy = [file(f"c{n}", requires=["file:/z"]) for n in range(3)]
    assert list(connect([*needy, file("d"), file("z")])) == ["file:/d", "file:/z", "file:/c0", "file:/c1", "file:/c2"]


@given(st.integers(2, 9), st.data())
def test_a_cycle_is_told_by_its_members(length: int, data: st.DataObject) -> None:
    ring = [file(f"f{n}", requires=[f"file:/f{(n + 1) % length}"]) for n in range(length)]
    (told,) = problems(*data.draw(st.permutations(ring)), file("apart"), file("behind", after=["file:/f0"]))
    members = told.partition("dependency cycle: ")[2].partition(";")[0].split(" -> ")
    assert members[0] == members[-1]
    assert sorted(members[1:]) == sorted(each.resource.id for each in ring)


def test_globs_take_what_there_is_and_never_the_resource_itself() -> None:
    edges = connect([file("a"), file("b", after=["file:/*"]), file("c", after=["file:/none*"])])
    assert edges["file:/b"].after == ("file:/a", "file:/c")
    assert edges["file:/c"].after == ()


def test_an_id_that_is_not_there_is_told_at_its_line_with_the_nearest() -> None:
    unit = typed(Unit(name="web.service", reload_on=("file:/b", "file:/aa")), 5, requires=["unit:none"])
    assert problems(file("a"), unit) == [
        "hosts/a.yaml:6: `requires` of unit:web.service names unit:none, which this host does not have",
        (
            "hosts/a.yaml:8: `reload_on` of unit:web.service names file:/aa, which this host does not have; "
            "did you mean file:/a?"
        ),
        (
            "hosts/a.yaml:8: `reload_on` of unit:web.service names file:/b, which this host does not have; "
            "did you mean file:/a?"
        ),
    ]


def test_while_some_declarations_are_wrong_an_unknown_id_may_be_one_of_theirs() -> None:
    assert list(connect([file("a", requires=["file:/b"])], complete=False)) == ["file:/a"]


def test_duplicates_and_two_kinds_for_one_thing_are_told_together() -> None:
    assert problems(
        typed(File(path="/a"), 1), typed(File(path="/a"), 2), typed(File(path="/b"), 3), typed(Directory(path="/b"), 4)
    ) == [
        "hosts/a.yaml:2: file:/a is declared twice; the first is at hosts/a.yaml:1",
        "hosts/a.yaml:4: directory:/b and file:/b (at hosts/a.yaml:3) are the same thing; keep one",
    ]


def test_a_path_comes_after_its_nearest_managed_directory() -> None:
    resources = [typed(File(path="/a/b/c/file")), typed(Directory(path="/a")), typed(Directory(path="/a/b"))]
    edges = connect(resources)
    assert edges["file:/a/b/c/file"].requires == ("directory:/a/b",)
    assert list(edges) == ["directory:/a", "directory:/a/b", "file:/a/b/c/file"]


def test_an_implicit_edge_never_closes_a_cycle() -> None:
    resources = [typed(Directory(path="/a"), after=["file:/a/b"]), typed(File(path="/a/b"))]
    edges = connect(resources)
    assert list(edges) == ["file:/a/b", "directory:/a"]
    assert edges["file:/a/b"].requires == ()


def test_a_refresh_orders_and_does_not_block() -> None:
    edges = connect([typed(Unit(name="web.service", reload_on=("file:/a",))), file("a")])
    found = edges["unit:web.service"]
    assert list(edges) == ["file:/a", "unit:web.service"]
    assert (found.requires, found.after, found.refresh) == ((), ("file:/a",), {"reload": ("file:/a",)})
