"""The JSON Schema of every document of format 1, from the kinds themselves: `python -m agent.catalog.schema`."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from typing import Any

from modules.api import Resource
from modules.fields import FieldType
from modules.registry import kinds

_TEXTS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}
_EXPRESSION: Mapping[str, Any] = {"type": "string", "pattern": "\\{\\{"}
_META: Mapping[str, Any] = {
    "requires": {"description": "After these, and blocked if one of them failed (ids, globs allowed).", **_TEXTS},
    "after": {"description": "After these, whatever came of them (ids, globs allowed).", **_TEXTS},
    "when": {"description": "Only if this expression holds.", "type": ["string", "boolean"]},
    "for_each": {"description": "Once for each `item`.", "anyOf": [{"type": ["array", "object"]}, _EXPRESSION]},
}


def schema() -> dict[str, Any]:
    """One schema for all documents: the union of their keys, and each kind's own fields."""
    names = [kind.kind for kind in kinds()]
    choose = [{"if": {"required": [name]}, "then": {"$ref": f"#/$defs/{name}"}} for name in names]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gitops-agent, repository format 1",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "format": {"const": 1, "description": "The version of the format (fleet.yaml)."},
            "groups": {
                "description": "Groups of hosts (fleet.yaml).",
                "type": "object",
                "additionalProperties": _group(),
            },
            "vars": {"description": "Variables.", "type": ["object", "null"]},
            "defaults": {"description": "The lowest variables (role.yaml).", "type": ["object", "null"]},
            "roles": {"description": "Roles of a group or host.", "type": ["array", "null"], "items": _role()},
            "resources": {"type": ["array", "null"], "items": {"$ref": "#/$defs/resource"}},
        },
        "$defs": {
            "resource": {"type": "object", "anyOf": [{"required": [name]} for name in names], "allOf": choose},
            **{kind.kind: _kind(kind) for kind in kinds()},
        },
    }


def _group() -> dict[str, Any]:
    hosts = {"description": "Host names or patterns such as web-*.", **_TEXTS}
    return {"type": "object", "additionalProperties": False, "properties": {"hosts": hosts, "when": _META["when"]}}


def _role() -> dict[str, Any]:
    given = {"role": {"type": "string"}, "vars": {"type": "object"}, "when": _META["when"]}
    used = {"type": "object", "required": ["role"], "additionalProperties": False, "properties": given}
    return {"anyOf": [{"type": "string"}, used]}


def _kind(kind: type[Resource]) -> dict[str, Any]:
    shown = {}
    for field in (field for field in dataclasses.fields(kind) if "type" in field.metadata):
        name = kind.kind if field.name == kind.identity_field else field.name
        shown[name] = {"description": field.metadata["doc"], **_typed(field.metadata["type"])}
    first = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    return {"description": first, "type": "object", "additionalProperties": False, "properties": {**shown, **_META}}


def _typed(found: FieldType) -> dict[str, Any]:
    """The type's own schema; what is not text may also be given by an expression."""
    own = dict(found.schema)
    return own if own.get("type") == "string" else {"anyOf": [own, dict(_EXPRESSION)]}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))  # noqa: T201  (a program of the build)
