"""YAML and JSON documents: values with their lines, YAML 1.2 scalars, bounds, and every problem at its place."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.documents import MAX_DEPTH, Block, Items, parse_document, plain_scalar
from agent.errors import ManifestInvalid, Problem


def documents(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    values = st.recursive(
        scalars, lambda below: st.lists(below, max_size=4) | st.dictionaries(texts, below, max_size=4), max_leaves=12
    )
    return st.dictionaries(texts, values, max_size=5)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=100)
WORDS = TEXTS.map("t{}".format)  # PyYAML writes for YAML 1.1, in which other texts are numbers


def parsed(text: str | bytes) -> Block:
    return parse_document(text if isinstance(text, bytes) else text.encode(), "hosts/web-01.yaml")


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        _ = parsed(text)
    return [str(problem).removeprefix("hosts/web-01.yaml") for problem in caught.value.problems]


@given(documents(WORDS))
def test_what_pyyaml_writes_is_read_as_it_was(document: dict[str, Any]) -> None:
    assert parsed(written := yaml.safe_dump(document)) == document == yaml.safe_load(written)


@given(documents(TEXTS))
def test_json_is_read_as_it_was(document: dict[str, Any]) -> None:
    assert parse_document(json.dumps(document).encode(), "hosts/web-01.json") == document


def test_json_may_escape_what_is_beyond_the_basic_plane() -> None:
    data = rb'{"a": "\ud83d\ude00", "b": "\\\ud83d\ude00 \" \\", "c": "\u00e9"}'
    assert parse_document(data, "fleet.json") == json.loads(data)
    assert json.loads(data)["b"].startswith("\\\U0001f600")


@given(st.text(alphabet="[]{}:,-&*!#|>'\"%@` \n\tab0<?", max_size=60))
def test_whatever_is_written_is_a_value_or_a_problem_with_a_place(text: str) -> None:
    found: Block | tuple[Problem, ...]
    try:
        found = parsed(text)
    except ManifestInvalid as error:
        found = error.problems
    assert isinstance(found, Block) or (found and all(each.place.file and each.message for each in found))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("", None),
        ("0644", 644),
        ("0o644", 0o644),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("=", "="),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert plain_scalar(text) == value
    assert type(plain_scalar(text)) is type(value)


@pytest.mark.parametrize("text", ["9" * 5000, "0x" + "f" * 5000, "9" * 5000 + ".5"])
def test_a_number_too_long_to_be_one_is_a_problem_and_not_a_crash(text: str) -> None:
    size = len(text)
    assert problems(f"a: {text}") == [f":1: not a number this can hold: it has {size:,} characters"]


def test_quotes_and_tags_make_text() -> None:
    assert parsed("a: '0644'\nb: \"yes\"\nc: !!str 1\nd: |\n  1\n") == {"a": "0644", "b": "yes", "c": "1", "d": "1\n"}


def test_every_value_knows_its_line() -> None:
    block = parsed("# comment\n\nformat: 1\nlist:\n  - a\n\n  - b: 1\n    c: 2\n")
    assert str(block.place()) == "hosts/web-01.yaml:3"
    assert block.place("list").line == 4
    items = block["list"]
    assert isinstance(items, Items)
    assert [items.place(index).line for index in range(2)] == [5, 7]
    assert items[1].place("c").line == 8


def test_a_merged_value_keeps_the_line_it_was_written_on() -> None:
    block = parsed("base: &base\n  mode: 1\n  owner: root\nmotd:\n  <<: *base\n  mode: 2\n")
    assert block["motd"] == {"mode": 2, "owner": "root"}
    assert block["motd"].place("owner").line == 3
    assert block["motd"].place("mode").line == 6


def test_the_first_of_several_merged_mappings_wins() -> None:
    assert parsed("x: {<<: [{a: 1}, {a: 2, b: 2}]}")["x"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1, 2\nb: 3\n", ":2: not valid YAML: while parsing a flow sequence did not find expected ',' or ']'"),
        ("a: 1\n\tb: 2\n", ":2: not valid YAML: while scanning a plain scalar found a tab character that violates"),
        ("a: 1\nb: 2\na: 3\n", ":3: the key 'a' stands twice; the first is on line 1"),
        ("- a\n", ":1: the document must be a mapping of names to values"),
        ("text", ":1: the document must be a mapping of names to values"),
        ("", ":1: the file is empty"),
        ("a: 1\n---\nb: 2\n", ":2: a second document starts; one file holds one"),
        ("a: 1\n1: b\n", ":2: the key '1' must be text; put it in quotes"),
        ("? [a, b]\n: c\n", ":1: the key must be text; put it in quotes"),
        ("a: *nothing\n", ":1: the alias *nothing has no anchor before it, or stands inside its own"),
        ("a: &a [*a]\n", ":1: the alias *a has no anchor before it, or stands inside its own"),
        ("a: !!python/object:os.system ls\n", ":1: unknown tag tag:yaml.org,2002:python/object:os.system"),
        ("a: !secret x\n", ":1: unknown tag !secret"),
        ("a: {<<: text}\n", ":1: `<<` takes a mapping or a list of mappings"),
        ("k: &k '<<'\nx: {? *k : {a: 1}, ? *k : 2}\n", ":2: the key '<<' stands twice; the first is on line 2"),
    ],
)
def test_a_problem_is_told_with_its_line(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert found.startswith(problem)


def test_all_problems_of_a_document_come_at_once() -> None:
    assert [found.partition(": ")[0] for found in problems("a: 1\na: 2\nb: !x y\n3: c\n")] == [":2", ":3", ":4"]


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x01\0\0\0", b"a: \xff\xfe\xfd\n", b"\x00\x01\x02", b"a: \x07\n"])
def test_a_binary_is_said_to_be_no_text(data: bytes) -> None:
    (found,) = problems(data)
    assert found.startswith((": not a text document: ", ":1: not valid YAML", ": not valid YAML"))


def test_a_document_over_the_limit_is_not_even_parsed() -> None:
    started = time.process_time()
    assert problems(b"a: " + b"x" * (5 << 20)) == [
        ": the document has 5.0 MiB, more than the 4 MiB allowed; split it, or use a `files/` folder"
    ]
    assert time.process_time() - started < 1


@pytest.mark.parametrize("text", ["a: " + "[" * 70, "a: " + "{b: " * 70, "- " * 70 + "x"])
def test_nesting_is_bounded(text: str) -> None:
    assert problems(text) == [f":1: nested more than {MAX_DEPTH} deep"]


@pytest.mark.parametrize("text", ["a: " + "[" * 100_000, "a: " + "{b: " * 100_000, "- " * 100_000])
def test_a_document_of_nothing_but_brackets_ends_nothing_but_itself(text: str) -> None:
    (found,) = problems(text)
    assert "deep" in found or "maximum nesting depth" in found


def test_nesting_is_bounded_through_aliases_too() -> None:
    deep = [f"a{index}: &a{index} {'[' * 30}{f'*a{index - 1}' if index else ''}{']' * 30}" for index in range(9)]
    assert problems("\n".join(deep)) == [f":3: nested more than {MAX_DEPTH} deep"]


def test_as_deep_as_allowed_is_read() -> None:
    assert parsed(f"a: {'[' * (MAX_DEPTH - 1)}{']' * (MAX_DEPTH - 1)}")


def test_an_alias_bomb_is_told_where_it_grows() -> None:
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    started = time.process_time()
    assert problems("\n".join(bomb)) == [":6: more than 1,000,000 values once aliases are expanded"]
    assert time.process_time() - started < 1
