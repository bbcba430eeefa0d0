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


@dataclass(frozen=True)
class Leaf:
    """One thing in a folder of the repository."""

    path: str  # relative to the folder
    type: str  # file, directory, symlink
    content: Content | None = None
    target: str = ""
    executable: bool = False


Folder = tuple[Leaf, ...]
"""All that is in a folder of the repository, a directory before what is in it."""


class Lookup(Protocol):
    """How a field reaches the files of the repository. All raise ValueError with what is wrong."""

    def source(self, name: str) -> Content:
        """The content of a file in a `files/` folder."""

    def folder(self, name: str) -> Folder:
        """All that is in a folder in a `files/` folder."""

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


def internal(default: object) -> Any:  # noqa: ANN401
    """A field that no document can give: the agent works it out when a catalog is compiled."""
    return field(default=default, metadata={"internal": True})


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


def _strings(value: object, lookup: Lookup) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list of texts, not {describe(value)}")
    return tuple(_text(item, lookup) for item in value)


def _text_or_texts(value: object, lookup: Lookup) -> tuple[str, ...]:
    return _strings(value, lookup) if isinstance(value, list) else (_text(value, lookup),)


def string_map(value: object, lookup: Lookup) -> Mapping[str, str]:
    """A mapping of names to texts, or ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping of names to texts, not {describe(value)}")
    for key, item in value.items():
        if not isinstance(item, str):
            raise ValueError(f"{key!r} must be text, not {describe(item)} (put it in quotes)")
    return {expect_text(key): _text(item, lookup) for key, item in value.items()}


def _texts(value: object, lookup: Lookup) -> Mapping[str, Content]:
    return {name: lookup.text(text) for name, text in string_map(value, lookup).items()}


_URL = re.compile(r"(https?|file)://[^\s]+")
_CHECKSUM = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")


def _source(value: object, lookup: Lookup) -> Content:
    if not isinstance(value, list):
        return _one_source(expect_text(value), lookup)
    problems = []
    for item in value:
        try:
            return _one_source(expect_text(item), lookup)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError("; ".join(problems) or "must name at least one file")


def _one_source(text: str, lookup: Lookup) -> Content:
    if "://" not in text:
        return lookup.source(text)
    if not _URL.fullmatch(text):
        raise ValueError(f"must be a file in a files/ folder, or an http, https or file URL, not {text!r}")
    if "@" in text.split("/")[2]:
        raise ValueError("must not have a password in its URL, where everybody could read it")
    return Content("", -1, url=text)


def _checksum(value: object, _lookup: Lookup) -> str:
    found = _CHECKSUM.fullmatch(expect_text(value))
    if found is None:
        raise ValueError("must be a sha256 in hexadecimal, 64 digits, with or without sha256: before it")
    return found[1].lower()


_STRING: Mapping[str, object] = {"type": "string"}
_STRINGS: Mapping[str, object] = {"type": "array", "items": _STRING}

TEXT = FieldType("text", _text, _STRING)
NAME = FieldType("name", _name, {"type": "string", "minLength": 1})
BOOLEAN = FieldType("true or false", _boolean, {"type": "boolean"})
INTEGER = FieldType("whole number", _integer, {"type": "integer"})
ABSOLUTE_PATH = FieldType("absolute path", _absolute_path, {"type": "string", "pattern": "^/|\\{\\{"})
STRINGS = FieldType("list of texts", _strings, _STRINGS)
TEXT_OR_TEXTS = FieldType("text or list of texts", _text_or_texts, {"anyOf": [_STRING, _STRINGS]})
STRING_MAP = FieldType("mapping of texts", string_map, {"type": "object", "additionalProperties": _STRING})
RESOURCE_IDS = FieldType("list of resource ids, globs allowed", _strings, _STRINGS)
TEXT_CONTENTS = FieldType("mapping of names to texts", _texts, {"type": "object", "additionalProperties": _STRING})
TEXT_CONTENT = FieldType("text", lambda value, lookup: lookup.text(expect_text(value)), _STRING, keeps_secrets=True)
FILE_CONTENT = FieldType("file in a files/ folder", lambda value, lookup: lookup.source(expect_text(value)), _STRING)
SOURCE_CONTENT = FieldType(
    "file in a files/ folder, or URL; of a list the first that is there", _source, {"anyOf": [_STRING, _STRINGS]}
)
SOURCE_FOLDER = FieldType("folder in a files/ folder", lambda value, lookup: lookup.folder(expect_text(value)), _STRING)
CHECKSUM = FieldType("sha256 in hexadecimal", _checksum, _STRING)
TEMPLATE_CONTENT = FieldType(
    "Jinja2 file in a templates/ folder",
    lambda value, lookup: lookup.template(expect_text(value)),
    _STRING,
    keeps_secrets=True,
)


def checksum_problems(content: Content | None, checksum: str | None) -> list[str]:
    """What is wrong with a content and the checksum given beside it."""
    if content is None:
        return ["checksum needs a source to check"] if checksum else []
    if content.url is not None and checksum is None:
        return ["checksum is missing: the source is a URL, which can serve anything, so its sha256 must be in Git"]
    if content.url is None and checksum not in (None, content.digest):
        return [f"checksum is {checksum}, but that of the content is {content.digest}"]
    return []


def choice(*allowed: str) -> FieldType:
    """One of a few words."""

    def parse(value: object, _lookup: Lookup) -> str:
        if value in allowed and isinstance(value, str):
            return value
        raise ValueError(f"must be one of {', '.join(allowed)}, not {value!r}")

    return FieldType(" or ".join(f"`{word}`" for word in allowed), parse, {"enum": list(allowed)})
