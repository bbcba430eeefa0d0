"""From declarations to typed resources: conditions, repetition, and every field checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.catalog import Catalog
from agent.catalog.compile import compile_catalog
from agent.errors import ManifestInvalid
from agent.facts import Facts
from agent.manifest import read_manifest
from agent.source import WorkingTree
from tests.unit.fleets import Files, host, write

VARS = "format: 1\nvars: {names: [a, b], map: {a: 1, b: 2}, mode: '0600', on: true, off: false, n: 3}\n"


def compiled(directory: Path, *resources: str, **more: str) -> Catalog:
    files: Files = {
        **host(*resources),
        "fleet.yaml": VARS,
        **{name.replace("__", "/"): text for name, text in more.items()},
    }
    tree = WorkingTree(str(write(directory, files)))
    return compile_catalog(read_manifest(tree, "web-01", Facts({"arch": lambda: "x86_64"})))


def ids(catalog: Catalog) -> list[str]:
    return [node.id for node in catalog.nodes]


def wrong(directory: Path, *resources: str) -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        compiled(directory, *resources)
    return [str(problem) for problem in caught.value.problems]


def test_a_resource_has_the_types_of_its_kind_and_its_place(tmp_path: Path) -> None:
    (node,) = compiled(
        tmp_path, 'file: /etc//motd\n    mode: "{{ vars.mode }}"\n    content: "n is {{ vars.n }}"'
    ).nodes
    assert (node.id, str(node.place)) == ("file:/etc/motd", "hosts/web-01.yaml:2")
    assert node.resource.desired({})["mode"] == "0600"
    assert node.resource.content.data == b"n is 3"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("each", "found"),
    [
        ("[x, y]", ["file:/x", "file:/y"]),
        ('"{{ vars.names }}"', ["file:/a", "file:/b"]),
        ("[]", []),
        ("\"{{ vars.names | reject('eq', 'a') | list }}\"", ["file:/b"]),
    ],
)
def test_for_each_of_a_list(tmp_path: Path, each: str, found: list[str]) -> None:
    catalog = compiled(tmp_path, f'file: "/{{{{ item }}}}"\n    for_each: {each}', "file: /last")
    assert ids(catalog) == [*found, "file:/last"]


def test_for_each_of_a_mapping(tmp_path: Path) -> None:
    text = 'file: "/{{ item.key }}"\n    content: "<{{ item.value }}>"\n    for_each: "{{ vars.map }}"'
    nodes = compiled(tmp_path, text).nodes
    assert [(node.id, node.resource.content.data) for node in nodes] == [  # type: ignore[attr-defined]
        ("file:/a", b"<1>"),
        ("file:/b", b"<2>"),
    ]


@pytest.mark.parametrize(
    ("when", "held"), [("vars.on", True), ("vars.off", False), ("true", True), ("vars.n > 2", True)]
)
def test_when(tmp_path: Path, when: str, held: bool) -> None:
    assert ("file:/a" in ids(compiled(tmp_path, f"file: /a\n    when: {when}", "file: /b"))) is held


def test_when_may_ask_for_the_item(tmp_path: Path) -> None:
    text = 'file: "/{{ item }}"\n    for_each: [a, b]\n    when: item != "a"'
    assert ids(compiled(tmp_path, text)) == ["file:/b"]


def test_what_is_left_out_by_when_is_not_checked_further(tmp_path: Path) -> None:
    assert ids(compiled(tmp_path, 'file: "{{ vars.nothing }}"\n    when: false', "file: /b")) == ["file:/b"]


def test_edges_may_be_rendered_and_one_may_stand_alone(tmp_path: Path) -> None:
    text = "file: /c\n    requires: file:/a\n    after: \"{{ ['file:/b'] }}\""
    node = compiled(tmp_path, "file: /a", "file: /b", text).nodes[2]
    assert (node.requires, node.after) == (("file:/a",), ("file:/b",))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("text", "a resource is a mapping such as `file: /etc/motd`, not text"),
        ("mode: x\n    file: /a", 'unknown kind "mode"; the first key is one of file'),
        ("file: 5", "file: must be text, not the number 5 (put it in quotes)"),
        ("file: a", "file: must be an absolute path, not 'a'"),
        ("file: /", "file:/: the path / is always a directory"),
        ("file: /a\n    path: /b", 'unknown field "path" in file:/a'),
        ("file: /a\n    mode:", '"mode" of file:/a is empty; leave it out to leave it unmanaged'),
        ("file: /a\n    mode: '999'", '"mode" of file:/a must be three or four octal digits'),
        ("file: /a\n    content: a\n    source: b", '"source" of file:/a names \'b\', which is none of files/b'),
        ("file: /a\n    ensure: gone", "\"ensure\" of file:/a must be one of present, absent, not 'gone'"),
        ("file: /a\n    force: 1", '"force" of file:/a must be true or false, not the number 1'),
        ("file: /a\n    requires: {a: b}", "`requires` takes a list of resource ids such as file:/etc/motd, not a mapping"),
        ("file: /a\n    requires: [1]", "`requires` takes a list of resource ids such as file:/etc/motd, not a list"),
        ("file: /a\n    for_each: text", "`for_each` takes a list or a mapping, not text"),
        ("file: /a\n    for_each: [1, 2]", "file:/a is declared twice; the first is at hosts/web-01.yaml:2"),
        ("file: '/{{ item }}'\n    for_each: '{{ range(100000) | list + [1] }}'", "`for_each` over 100,001 items, more than"),
    ],
)  # fmt: skip
def test_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    (told,) = wrong(tmp_path, text)
    assert problem in told
    assert told.startswith("hosts/web-01.yaml:")


def test_every_wrong_field_of_every_resource_is_told_and_duplicates_with_them(tmp_path: Path) -> None:
    told = wrong(
        tmp_path,
        "file: /a\n    mode: 1\n    owner: 2\n    force: x",
        "file: /b",
        "file: /b\n    requires: [file:/a]",
    )
    assert [problem.partition(": ")[0].partition(":")[2] for problem in told] == ["3", "4", "5", "7"]


def test_an_item_that_is_wrong_does_not_hide_the_others(tmp_path: Path) -> None:
    told = wrong(tmp_path, 'file: "{{ item }}"\n    for_each: [a, /b, c]')
    assert [problem.rpartition(" ")[2] for problem in told] == ["'a'", "'c'"]


def test_too_many_dependencies_end_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.catalog.compile.ORDER_SECONDS", 0.3)
    text = 'file: "/{{ item }}"\n    for_each: "{{ range(20000) | list }}"\n    after: ["file:/*"]'
    (told,) = wrong(tmp_path, text)
    assert told == "hosts/web-01.yaml:2: the dependencies of this host are too many; name fewer by globs"
