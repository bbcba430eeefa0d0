"""Jinja2 in values and templates: native expressions, undefined names, and bounds on time, memory and size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents import parse_document
from agent.errors import ManifestInvalid, Place
from agent.manifest.bounds import Bounds
from agent.manifest.render import Renderer

PLACE = Place("hosts/web-01.yaml", 3)
TEMPLATES = {"self": "{% include 'self' %}", "part": "a\n{{ nothing }}", "broken": "\n{% if %}", "ok": "<{{ host }}>"}
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


class Labelled(dict[str, Any]):
    label = "vars"


NAMES: Mapping[str, Any] = {
    "vars": Labelled(mode="0644", port=80, on=True, list=[1, 2], items="mine", db={"host": "db-01"}),
    "host": "web-01",
}


def load(name: str) -> tuple[str, str]:
    if name not in TEMPLATES:
        raise ValueError(f"names {name!r}, which is not there")
    return TEMPLATES[name], f"templates/{name}"


def renderer(**bounds: Any) -> Renderer:
    return Renderer(load, Bounds(**{"value_seconds": 1, **bounds}))


def value(text: Any, **bounds: Any) -> Any:
    return renderer(**bounds).value(text, NAMES, PLACE)


def wrong(text: str, **bounds: Any) -> str:
    with pytest.raises(ManifestInvalid) as caught:
        value(text, **bounds)
    (problem,) = caught.value.problems
    assert problem.place == PLACE
    return problem.message


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{ vars.mode }}", "0644"),
        ("{{ vars.port }}", 80),
        ("{{ vars.port + 1 }}", 81),
        ("{{ vars.on }}", True),
        ("{{ vars.list }}", [1, 2]),
        ("{{ vars.db }}", {"host": "db-01"}),
        ("{{ vars.items }}", "mine"),
        ("{{ none }}", None),
        ("port {{ vars.port }}", "port 80"),
        ("{{ vars.port }}\n", "80\n"),
        ("{{ vars.port }}{{ vars.port }}", "8080"),
        ("{% if vars.on %}yes{% endif %}", "yes"),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ vars.list | map('string') | list }}", ["1", "2"]),
        ("{{ vars.db | to_json }}", '{"host": "db-01"}'),
        ("{{ vars.list | to_yaml }}", "- 1\n- 2\n"),
        ("{{ 'a' | b64encode }}", "YQ=="),
        ("{{ 2.567 | round(1) }}", 2.6),
        ("no markup", "no markup"),
        ("{# nothing #}", ""),
        ("{% include 'ok' %}", "<web-01>"),
        ("{{ vars.get('none', 5) }}", 5),
        ("{{ 'x' * 3 }}", "xxx"),
    ],
)
def test_a_value_is_what_its_expression_gives(text: str, rendered: object) -> None:
    found = value(text)
    assert found == rendered
    assert type(found) is type(rendered)


@given(st.text().filter(lambda text: "{" not in text))
def test_a_text_without_markup_stays_as_it_is(text: str) -> None:
    assert value(text) == text


@given(st.text())
def test_a_text_that_comes_from_a_variable_is_never_rendered_again(text: str) -> None:
    names = {"vars": {"text": text}}
    assert renderer().value("{{ vars.text }}", names, PLACE) == text
    assert renderer().value("<{{ vars.text }}>", names, PLACE) == f"<{text}>"


def test_all_that_is_wrong_in_a_value_is_told_by_line() -> None:
    block = parse_document(b"a:\n  - '{{ one }}'\n  - b: '{{ two }}'\n", "f")
    with pytest.raises(ManifestInvalid) as caught:
        renderer().value(block["a"], NAMES, PLACE)
    assert [problem.place.line for problem in caught.value.problems] == [2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ vars.prot }}", "vars.prot is not defined; did you mean vars.port?"),
        ("{{ vars.db.hots }}", "hots is not defined; did you mean host?"),
        ("{{ vars['prot'] }}", "vars.prot is not defined; did you mean vars.port?"),
        ("{{ port }}", "port is not defined; did you mean vars.port?"),
        ("{{ hots }}", "hots is not defined; did you mean host?"),
        ("{{ zzzzz }}", "zzzzz is not defined; the names are vars, host"),
        ("{{ secret('x') }}", "secret is not defined; the names are vars, host"),
        ("{{ [1] | random }}", "Jinja syntax: No filter named 'random'."),
        ("{{ lipsum() }}", "lipsum is not defined"),
        ("{{ vars.port / 0 }}", "division by zero"),
        ("{{ range }}", "the expression gives a function; add a filter such as `| list`"),
        ("{{ vars.list | map('string') }}", "the expression gives a generator; add a filter such as `| list`"),
        ("{% include 'none' %}", "names 'none', which is not there"),
        ("{{ }}", "Jinja syntax: Expected an expression, got 'end of print statement'"),
        ("{% for %}", "Jinja syntax: expected token 'in', got 'end of statement block'"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    assert wrong(text).startswith(message.partition("expected")[0])


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ '' | attr('__class__') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ vars.__class__ }}",
        "{{ vars._data }}",
        "{{ vars.update({'a': 1}) }}",
        "{{ vars.list.append(3) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ namespace.__init__ }}",
        "{{ range.__subclasshook__ }}",
    ],
)
def test_there_is_no_way_out_of_the_sandbox(text: str) -> None:
    wrong(text)
    assert NAMES["vars"]["list"] == [1, 2]


# Conditions


@pytest.mark.parametrize(
    ("when", "holds"),
    [(True, True), (False, False), ("vars.port == 80", True), ("vars.port > 80", False), ("vars.list", True)],
)
def test_a_condition(when: object, holds: bool) -> None:
    assert renderer().condition(when, NAMES, PLACE) is holds


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("{{ vars.on }}", "`when` is an expression already; write it without {{ }}"),
        ("vars.on }} x", "Jinja syntax"),
        ("", "`when` takes one expression"),
        (1, "`when` takes one expression"),
        ("vars.no", "vars.no is not defined"),
        ("no", "no is not defined"),
        ("vars.port ==", "Jinja syntax"),
    ],
)
def test_a_condition_that_is_wrong(when: object, message: str) -> None:
    with pytest.raises(ManifestInvalid, match=message.replace("{", r"\{").replace("`", "`")):
        renderer().condition(when, NAMES, PLACE)


# Template files


def test_blocks_take_their_line_with_them_and_a_final_newline_is_kept() -> None:
    text = "a\n  {% if true %}\nb\n  {% endif %}\nc\n"
    assert renderer().template(text, NAMES, "t.j2") == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a\n\n{{ nothing }}", "t.j2:3", "nothing is not defined"),
        ("a\n{% if %}", "t.j2:2", "Jinja syntax"),
        ("\n{% include 'part' %}", "templates/part:2", "nothing is not defined"),
        ("\n{% include 'broken' %}", "templates/broken:2", "Jinja syntax"),
        ("\n\n{% include 'none' %}", "t.j2:3", "names 'none', which is not there"),
        ("{% macro f() %}\n{{ 1 // 0 }}\n{% endmacro %}\n{{ f() }}", "t.j2:2", "integer division or modulo by zero"),
        (f"\n{LOOP}", "t.j2:2", "it ran longer than"),
    ],
)
def test_a_problem_of_a_template_is_placed_in_it(text: str, place: str, message: str) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        renderer().template(text, NAMES, "t.j2")
    (problem,) = caught.value.problems
    assert str(problem.place) == place
    assert problem.message.startswith(message)
