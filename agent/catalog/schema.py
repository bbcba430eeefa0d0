"""The JSON Schema of every document of format 1, from the kinds themselves: `python -m agent.catalog.schema`."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.catalog import CONFIRM, CREATE_ONLY, DELETE, ENFORCE, RELEASE, REPORT
from modules.api import Resource
from modules.checks import CHECKS, Check
from modules.fields import FieldType
from modules.registry import kinds

_TEXTS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}
_EXPRESSION: Mapping[str, Any] = {"type": "string", "pattern": "\\{\\{"}
_WHEN: Mapping[str, Any] = {"description": "Only if this expression holds.", "type": ["string", "boolean"]}
_META: Mapping[str, Any] = {
    "requires": {"description": "After these, and blocked if one of them failed (ids, globs allowed).", **_TEXTS},
    "after": {"description": "After these, whatever came of them (ids, globs allowed).", **_TEXTS},
    "when": _WHEN,
    "for_each": {"description": "Once for each `item`.", "anyOf": [{"type": ["array", "object"]}, _EXPRESSION]},
    "drift": {
        "description": "Where the host drifts: put it back, only report it, or leave what was once created.",
        "enum": [ENFORCE, REPORT, CREATE_ONLY],
    },
    "ignore": {"description": "Properties that are neither compared nor put back (names of fields).", **_TEXTS},
    "prune": {
        "description": "When it leaves Git: remove what we made, leave it, or wait for a person.",
        "enum": [DELETE, RELEASE, CONFIRM],
    },
}
_SUSPEND: Mapping[str, Any] = {
    "description": "Change nothing on these hosts; drift and new revisions are reported.",
    "type": "object",
    "additionalProperties": False,
    "required": ["reason"],
    "properties": {
        "reason": {"description": "Why; status shows it.", "type": "string"},
        "until": {"description": "A moment such as 2026-12-01T06:00:00Z.", "type": "string"},
    },
}


def schema() -> dict[str, Any]:
    """One schema for all documents: the union of their keys, and each kind's own fields."""
    names = [kind.kind for kind in kinds()]
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
            "checks": {"type": ["array", "null"], "items": {"$ref": "#/$defs/check"}},
            "suspend": _SUSPEND,
        },
        "$defs": {
            "resource": _one_of(names, ""),
            "check": _one_of(list(CHECKS), "check_"),
            **{kind.kind: _kind(kind, _META) for kind in kinds()},
            **{f"check_{name}": _kind(kind, {"when": _WHEN}) for name, kind in CHECKS.items()},
        },
    }


def _one_of(names: Sequence[str], prefix: str) -> dict[str, Any]:
    """A mapping that has one of these keys, and then those that go with it."""
    choose = [{"if": {"required": [name]}, "then": {"$ref": f"#/$defs/{prefix}{name}"}} for name in names]
    return {"type": "object", "anyOf": [{"required": [name]} for name in names], "allOf": choose}


def _group() -> dict[str, Any]:
    hosts = {"description": "Host names or patterns such as web-*.", **_TEXTS}
    return {"type": "object", "additionalProperties": False, "properties": {"hosts": hosts, "when": _META["when"]}}


def _role() -> dict[str, Any]:
    given = {"role": {"type": "string"}, "vars": {"type": "object"}, "when": _META["when"]}
    used = {"type": "object", "required": ["role"], "additionalProperties": False, "properties": given}
    return {"anyOf": [{"type": "string"}, used]}


def _kind(kind: type[Resource | Check], meta: Mapping[str, Any]) -> dict[str, Any]:
    shown = {}
    for field in (field for field in dataclasses.fields(kind) if "type" in field.metadata):
        name = kind.kind if field.name == kind.identity_field else field.name
        shown[name] = {"description": field.metadata["doc"], **_typed(field.metadata["type"])}
    first = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    return {"description": first, "type": "object", "additionalProperties": False, "properties": {**shown, **meta}}


def _typed(found: FieldType) -> dict[str, Any]:
    """The type's own schema; what is not text may also be given by an expression."""
    own = dict(found.schema)
    return own if own.get("type") == "string" else {"anyOf": [own, dict(_EXPRESSION)]}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))  # noqa: T201  (a program of the build)
