"""Every kind says what it is for, field by field, and what is generated from that is not stale."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path

import jsonschema
import pytest

from agent.catalog.schema import schema
from docs.generate import HERE, page, pages
from modules.api import Resource
from modules.fields import FieldType
from modules.registry import kinds

SCHEMA = Path(__file__).resolve().parents[2] / "agent/schema.json"


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.kind)
def test_every_kind_and_field_is_documented(kind: type[Resource]) -> None:
    text = inspect.cleandoc(kind.__doc__ or "")
    assert text.partition("\n")[0].endswith(".")
    assert dataclasses.fields(kind)[0].name == kind.identity_field
    for field in dataclasses.fields(kind):
        if "internal" in field.metadata:
            continue  # no document can give it
        doc, kind_of = field.metadata["doc"], field.metadata["type"]
        assert doc[0].isupper() or doc[0] == "`", f"{field.name}: {doc}"
        assert doc.endswith("."), f"{field.name}: {doc}"
        assert isinstance(kind_of, FieldType)
        assert kind_of.name
        shown = kind.kind if field.name == kind.identity_field else field.name
        assert f"`{shown}`" in page(kind)
        assert schema()["$defs"][kind.kind]["properties"][shown]["description"] == doc


def test_the_pages_are_those_that_would_be_generated() -> None:
    assert {f"modules/{kind.kind}.md" for kind in kinds()} < set(pages())
    for path, text in pages().items():
        assert (HERE / path).read_text() == text, f"docs/{path} is stale; run `make docs`"


def test_the_schema_is_the_one_that_would_be_generated_and_is_one() -> None:
    assert json.loads(SCHEMA.read_text()) == schema(), "agent/schema.json is stale; run `make docs`"
    jsonschema.Draft202012Validator.check_schema(schema())
