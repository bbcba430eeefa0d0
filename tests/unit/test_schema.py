"""The JSON Schema: it is what the kinds say, it takes what the documentation shows, and it refuses what it does not know."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from agent.catalog.schema import schema
from modules.api import Resource
from modules.registry import kinds

HERE = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(schema())


def errors(document: Mapping[str, Any]) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(document)]


def resource(**fields: object) -> list[str]:
    return errors({"resources": [fields]})


def test_the_file_is_what_the_kinds_say() -> None:
    assert json.loads((HERE / "agent/schema.json").read_text()) == schema(), "run `make docs`"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", (HERE / "docs/format.md").read_text(), re.DOTALL))
def test_it_takes_every_example_of_the_documentation(text: str) -> None:
    assert errors(yaml.safe_load(text)) == []


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.kind)
def test_every_field_of_a_kind_is_in_it_and_explained(kind: type[Resource]) -> None:
    found = schema()["$defs"][kind.kind]
    names = {
        kind.kind if name == kind.identity_field else name
        for name in (field.name for field in dataclasses.fields(kind) if "type" in field.metadata)
    }
    assert set(found["properties"]) == names | {"requires", "after", "when", "for_each", "drift", "ignore", "prune"}
    assert all(each.get("description") for each in found["properties"].values())
    assert found["description"]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.kind)
def test_a_field_that_a_kind_does_not_have_is_refused(kind: type[Resource]) -> None:
    identity = "/a" if kind.identity_field == "path" else "a.service"
    assert resource(**{kind.kind: identity}) == []
    assert resource(**{kind.kind: identity, "no_such_field": 1}) != []


@pytest.mark.parametrize(
    "document",
    [
        {"resource": []},
        {"format": 2},
        {"groups": {"web": {"host": []}}},
        {"roles": [{"vars": {}}]},
        {"roles": [{"role": "a", "with": {}}]},
        {"resources": [{"fiel": "/etc/motd"}]},
        {"resources": [{"file": "etc/motd"}]},
        {"resources": [{"file": "/etc/motd", "mode": 644}]},
        {"resources": [{"file": "/etc/motd", "mode": "rw"}]},
        {"resources": [{"file": "/etc/motd", "content": ["a"]}]},
        {"resources": [{"file": "/etc/motd", "requires": 1}]},
        {"resources": [{"unit": "a.service", "enabled": "yes"}]},
        {"resources": ["file"]},
    ],
)
def test_it_refuses_what_is_wrong(document: Mapping[str, Any]) -> None:
    assert errors(document) != []


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "{{ item }}", "for_each": ["/a"], "mode": "{{ vars.mode }}", "when": "facts.arch == 'x86_64'"},
        {"file": "/a", "for_each": "{{ vars.files }}", "when": True},
        {"file": "/a", "requires": ["file:/b"], "after": ["unit:*"]},
        {"unit": "a.service", "enabled": "{{ vars.enabled }}", "restart_on": "{{ vars.files }}"},
    ],
)
def test_whatever_may_be_an_expression_may_be_one(fields: Mapping[str, Any]) -> None:
    assert resource(**fields) == []
