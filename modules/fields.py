"""The types of fields: how a value written in Git is read, described in the schema, and explained when it is wrong.

A type's `parse` takes the plain value (after rendering) and a `Lookup` into the repository, and raises ValueError with
a phrase that completes "FIELD ..." ("must be true or false").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from modules.api import Content


class Lookup(Protocol):
    """How a field reaches the files of the repository. Both raise ValueError with what is wrong."""

    def source(self, name: str) -> Content:
        """The content of a file in a `files/` folder."""

    def template(self, name: str) -> Content:
        """The rendered content of a file in a `templates/` folder."""

    def text(self, text: str) -> Content:
        """A content of its own."""


Parse = Callable[[object, Lookup], object]


@dataclass(frozen=True)
class FieldType:
    """One type: its name in the documentation, its parser, and its JSON Schema; whether a secret may go into it."""

    name: str
    parse: Parse
    schema: Mapping[str, object]
    keeps_secrets: bool = False  # it parses to a Content, which is never shown when it is secret


def identity(kind: FieldType, doc: str) -> Any:  # noqa: ANN401  (stands where a dataclass default stands)
    """The field that names the resource: the value of the kind's own key."""
    return field(metadata={"type": kind, "doc": doc})


def option(kind: FieldType, doc: str, default: object = None) -> Any:  # noqa: ANN401
    """An optional field."""
    return field(default=default, metadata={"type": kind, "doc": doc})


def expect_text(value: object) -> str:
    """A string, or ValueError with a hint for what YAML made of an unquoted one."""
    if isinstance(value, str):
        return value
    hint = " (put it in quotes)" if isinstance(value, (bool, int, float)) else ""
    raise ValueError(f"must be text, not {describe(value)}{hint}")


def describe(value: object) -> str:
    """A value in the words of the person who wrote it."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    names: dict[type, str] = {str: "text", list: "a list", dict: "a mapping"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), type(value).__name__)


def _text(value: object, _lookup: Lookup) -> str:
    text = expect_text(value)
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


def _name(value: object, lookup: Lookup) -> str:
    text = _text(value, lookup)
    if not text or text != text.strip() or "\n" in text:
        raise ValueError("must be a name: not empty, one line, no space around it")
    return text


def _boolean(value: object, _lookup: Lookup) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(
        f"must be true or false, not {value!r}"
        if isinstance(value, str)
        else f"must be true or false, not {describe(value)}"
    )


def _integer(value: object, _lookup: Lookup) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"must be a whole number, not {describe(value)}")


def _absolute_path(value: object, lookup: Lookup) -> str:
    text = _text(value, lookup)
    if not text.startswith("/"):
        raise ValueError(f"must be an absolute path, not {text!r}")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"must not contain '..': {text!r}")
    return "/" + "/".join(parts)


_OCTAL = re.compile(r"[0-7]{3,4}")


def _octal_mode(value: object, _lookup: Lookup) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError('must be quoted text such as "0644": a bare number loses its leading zero')
    text = expect_text(value)
    if not _OCTAL.fullmatch(text):
        raise ValueError(f'must be three or four octal digits such as "0644", not {text!r}')
    return text.rjust(4, "0")


def _strings(value: object, lookup: Lookup) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list of texts, not {describe(value)}")
    return tuple(_text(item, lookup) for item in value)


def _text_or_texts(value: object, lookup: Lookup) -> tuple[str, ...]:
    return _strings(value, lookup) if isinstance(value, list) else (_text(value, lookup),)


def _string_map(value: object, lookup: Lookup) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping of names to texts, not {describe(value)}")
    for key, item in value.items():
        if not isinstance(item, str):
            raise ValueError(f"{key!r} must be text, not {describe(item)} (put it in quotes)")
    return {expect_text(key): _text(item, lookup) for key, item in value.items()}


def _texts(value: object, lookup: Lookup) -> Mapping[str, Content]:
    return {name: lookup.text(text) for name, text in _string_map(value, lookup).items()}


_STRING: Mapping[str, object] = {"type": "string"}
_STRINGS: Mapping[str, object] = {"type": "array", "items": _STRING}

TEXT = FieldType("text", _text, _STRING)
NAME = FieldType("name", _name, {"type": "string", "minLength": 1})
BOOLEAN = FieldType("true or false", _boolean, {"type": "boolean"})
INTEGER = FieldType("whole number", _integer, {"type": "integer"})
ABSOLUTE_PATH = FieldType("absolute path", _absolute_path, {"type": "string", "pattern": "^/|\\{\\{"})
OCTAL_MODE = FieldType(
    'octal mode in quotes ("0644")', _octal_mode, {"type": "string", "pattern": "^[0-7]{3,4}$|\\{\\{"}
)
STRINGS = FieldType("list of texts", _strings, _STRINGS)
TEXT_OR_TEXTS = FieldType("text or list of texts", _text_or_texts, {"anyOf": [_STRING, _STRINGS]})
STRING_MAP = FieldType("mapping of texts", _string_map, {"type": "object", "additionalProperties": _STRING})
RESOURCE_IDS = FieldType("list of resource ids, globs allowed", _strings, _STRINGS)
TEXT_CONTENTS = FieldType("mapping of names to texts", _texts, {"type": "object", "additionalProperties": _STRING})
TEXT_CONTENT = FieldType("text", lambda value, lookup: lookup.text(expect_text(value)), _STRING, keeps_secrets=True)
SOURCE_CONTENT = FieldType("file in a files/ folder", lambda value, lookup: lookup.source(expect_text(value)), _STRING)
TEMPLATE_CONTENT = FieldType(
    "Jinja2 file in a templates/ folder",
    lambda value, lookup: lookup.template(expect_text(value)),
    _STRING,
    keeps_secrets=True,
)


def choice(*allowed: str) -> FieldType:
    """One of a few words."""

    def parse(value: object, _lookup: Lookup) -> str:
        if value in allowed and isinstance(value, str):
            return value
        raise ValueError(f"must be one of {', '.join(allowed)}, not {value!r}")

    return FieldType(" or ".join(f"`{word}`" for word in allowed), parse, {"enum": list(allowed)})
