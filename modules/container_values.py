"""What the field types of containers, networks, volumes and images share: texts, lists and mappings as compose users write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from modules.fields import FieldType, Lookup, describe, expect_text

TEXT_SCHEMA: Mapping[str, object] = {"type": "string"}
LIST_SCHEMA: Mapping[str, object] = {"type": "array", "items": TEXT_SCHEMA}
MAP_SCHEMA: Mapping[str, object] = {"type": "object", "additionalProperties": TEXT_SCHEMA}
LIST_OR_MAP_SCHEMA: Mapping[str, object] = {"anyOf": [LIST_SCHEMA, {"type": "object"}]}

LABEL_PREFIX = "gitops-agent."
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,199}")


def plain_text(value: object) -> str:
    """Text on one line. Raises ValueError."""
    text = expect_text(value)
    if any(ord(character) < 32 for character in text):
        raise ValueError("must not contain control characters")
    return text


def texts(value: object, example: str) -> list[str]:
    """A list of texts. Raises ValueError, with an example of one."""
    if isinstance(value, str):
        raise ValueError(f"must be a list of texts such as {example}, not text")
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a list of texts such as {example}, not {describe(value)}")
    return [expect_text(item) for item in value]


def text_map(value: object) -> dict[str, str]:
    """A mapping of names to texts. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of names to texts, not {describe(value)}")
    for name, item in value.items():
        if not isinstance(item, str):
            raise ValueError(
                f"{name!r} must be text, not {describe(item)}: put it in quotes, or add `| string` to an expression"
            )
    return {expect_text(name): expect_text(item) for name, item in value.items()}


def clean_path(path: str) -> str:
    """An absolute path in its shortest form. Raises ValueError."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not path.startswith("/") or ".." in parts:
        raise ValueError(f"{path!r} must be an absolute path without '..'")
    return "/" + "/".join(parts)


def each_once(found: list[str], what: str = "has") -> tuple[str, ...]:
    """A list whose order means nothing, sorted. Raises ValueError for an entry that stands twice."""
    twice = next((entry for entry in found if found.count(entry) > 1), None)
    if twice is not None:
        raise ValueError(f"{what} {twice} twice")
    return tuple(sorted(found))


def own_labels(value: object, _lookup: Lookup) -> Mapping[str, str]:
    """Labels that are not the agent's. Raises ValueError."""
    values = text_map(value)
    own = next((name for name in values if name.startswith(LABEL_PREFIX)), None)
    if own is not None:
        raise ValueError(f"must not set {own!r}: labels that begin with {LABEL_PREFIX!r} are the agent's own")
    return values


def object_name(what: str) -> Callable[[str], str]:
    """The name of a container, network or volume."""

    def parse(text: str) -> str:
        if not NAME.fullmatch(text):
            raise ValueError(
                f"must be 2 to 200 letters, digits, '_', '.' or '-', the first a letter or digit: {text!r}"
            )
        if text in ("none", "host", "bridge", "default"):
            raise ValueError(f"{text!r} is no name for a {what}: the engine has a meaning of its own for it")
        return text

    return parse


def text_type(name: str, parse: Callable[[str], object]) -> FieldType:
    """A type whose values are text on one line."""
    return FieldType(name, lambda value, _lookup: parse(plain_text(value)), TEXT_SCHEMA)


def list_type(name: str, example: str, parse: Callable[[str], str]) -> FieldType:
    """A type whose values are lists in which order means nothing, each entry parsed."""

    def read(value: object, _lookup: Lookup) -> tuple[str, ...]:
        return each_once([parse(plain_text(text)) for text in texts(value, example)])

    return FieldType(name, read, LIST_SCHEMA)


def paired(value: object, separator: str, example: str) -> dict[str, str]:
    """Names and values, as a mapping (numbers allowed) or as texts `NAME{separator}VALUE`. Raises ValueError."""
    if isinstance(value, Mapping):
        numbers = {name: str(item) for name, item in value.items() if type(item) is int}
        return text_map({**value, **numbers})
    found: dict[str, str] = {}
    for text in texts(value, example):
        name, given, item = text.partition(separator)
        if not given or name in found:
            raise ValueError(f"has {text!r}, which is no NAME{separator}VALUE or stands twice")
        found[name] = item
    return found


LABELS = FieldType("mapping of texts", own_labels, MAP_SCHEMA)
