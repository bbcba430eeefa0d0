"""YAML and JSON documents in which every value remembers its line.

The scalar rules are those of the YAML 1.2 core schema (yaml.org/spec/1.2.2, 10.3): `yes` and `on` are texts, `0644` is a
number, dates are texts. What could hurt is bounded: size, depth, and the number of values after alias expansion.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from agent.errors import ManifestInvalid, Place, Problem

MAX_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_VALUES = 1_000_000
MAX_DIGITS = 400  # of a number; a float has at most 309 before its point


class Block(dict[str, Any]):
    """A mapping as written: where it stands, and on which line each of its values does."""

    __slots__ = ("file", "line", "lines")

    def __init__(self, file: str, line: int) -> None:
        super().__init__()
        self.file, self.line = file, line
        self.lines: dict[str, int] = {}

    def place(self, key: str | None = None) -> Place:
        """Where the value of `key` is written, or the mapping itself."""
        return Place(self.file, self.line if key is None else self.lines.get(key, self.line))


class Items(list[Any]):
    """A list as written: where it stands, and on which line each of its values does."""

    __slots__ = ("file", "line", "lines")

    def __init__(self, file: str, line: int) -> None:
        super().__init__()
        self.file, self.line = file, line
        self.lines: list[int] = []

    def place(self, index: int | None = None) -> Place:
        """Where the item at `index` is written, or the list itself."""
        return Place(self.file, self.line if index is None else self.lines[index])


def parse_document(data: bytes, file: str) -> Block:
    """Parse one document; `file` is its path in the repository. Raises ManifestInvalid with every problem found."""
    if len(data) > MAX_BYTES:
        size = f"{len(data) / (1 << 20):.1f} MiB"
        raise _invalid(
            file, 0, f"the document has {size}, more than the 4 MiB allowed; split it, or use a `files/` folder"
        )
    root, problems = _build(_without_pairs(data) if file.endswith(".json") else data, file)
    if problems:
        raise ManifestInvalid(problems)
    if not isinstance(root, Block):
        raise _invalid(
            file, 1, "the document must be a mapping of names to values" if data.strip() else "the file is empty"
        )
    return root


_ESCAPE = re.compile(rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)


def _without_pairs(data: bytes) -> bytes:
    """Write what JSON escapes as two surrogates in the one way that YAML knows too."""

    def joined(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            return found[0]
        return b"\\U%08X" % (0x10000 + ((int(found[1], 16) & 0x3FF) << 10) + (int(found[2], 16) & 0x3FF))

    return _ESCAPE.sub(joined, data)


def _invalid(file: str, line: int, message: str) -> ManifestInvalid:
    return ManifestInvalid([Problem(Place(file, line), message)])


def _build(data: bytes, file: str) -> tuple[Any, list[Problem]]:
    # The C parser is driven by events: composing nodes recurses in C and a deep document would crash the process.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        builder = _Builder(file, loader(data))
        return builder.document(), builder.problems
    except yaml.reader.ReaderError as error:
        raise _invalid(file, 0, f"not a text document: {error.reason} at position {error.position}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise _invalid(file, mark.line + 1 if mark else 0, f"not valid YAML: {what}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _invalid(file, 0, f"not valid YAML: {error}") from error


_PLAIN = re.compile(
    r"(?P<null>~|null|Null|NULL|)\Z"
    r"|(?P<true>true|True|TRUE)\Z"
    r"|(?P<false>false|False|FALSE)\Z"
    r"|(?P<int>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_CORE_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!"}


def plain_scalar(text: str) -> Any:  # noqa: ANN401  (any scalar)
    """The value of an unquoted scalar by the core schema. Raises ValueError for a number too long to be one."""
    match = _PLAIN.match(text)
    if match is None:
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it has {len(text):,} characters")
    if match.lastgroup == "int":
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if match.lastgroup == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return {"null": None, "true": True, "false": False}[match.lastgroup or ""]


class _Builder:
    """Turns the parser's events into values with lines, counting what aliases expand to."""

    def __init__(self, file: str, parser: Any) -> None:  # noqa: ANN401  (PyYAML has no type for it)
        self.file, self.parser = file, parser
        self.problems: list[Problem] = []
        self.values = 0
        self.deepest = 0
        self.anchors: dict[str, tuple[Any, int, int]] = {}  # a value, how many it holds, and how deep

    def document(self) -> Any:  # noqa: ANN401  (any value)
        root = None
        for _ in range(2):  # the start of the stream, and of the document or the end of the stream
            event = self.parser.get_event()
        if isinstance(event, yaml.DocumentStartEvent):
            root = self.value(self.parser.get_event(), 0)
            self.parser.get_event()
            if not isinstance(following := self.parser.get_event(), yaml.StreamEndEvent):
                raise _invalid(self.file, following.start_mark.line + 1, "a second document starts; one file holds one")
        return root

    def value(self, event: Any, depth: int) -> Any:  # noqa: ANN401
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, line, depth)
        before, above, self.deepest = self.values, self.deepest, depth
        self._bound(1, depth, line)
        if event.tag is not None and event.tag not in _CORE_TAGS:
            self._problem(line, f"unknown tag {event.tag}")
        if isinstance(event, yaml.ScalarEvent):
            built = self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            built = self._sequence(line, depth)
        else:
            built = self._mapping(line, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (built, self.values - before, self.deepest - depth)
        self.deepest = max(above, self.deepest)
        return built

    def _problem(self, line: int, message: str) -> None:
        self.problems.append(Problem(Place(self.file, line), message))

    def _bound(self, values: int, depth: int, line: int) -> None:
        self.deepest = max(self.deepest, depth)
        if depth > MAX_DEPTH:
            raise _invalid(self.file, line, f"nested more than {MAX_DEPTH} deep")
        self.values += values
        if self.values > MAX_VALUES:
            raise _invalid(self.file, line, f"more than {MAX_VALUES:,} values once aliases are expanded")

    def _alias(self, anchor: str | None, line: int, depth: int) -> Any:  # noqa: ANN401
        if anchor is None or anchor not in self.anchors:
            self._problem(line, f"the alias *{anchor} has no anchor before it, or stands inside its own")
            return None
        built, size, height = self.anchors[anchor]
        self._bound(size, depth + height, line)
        return built

    def _scalar(self, event: Any, line: int) -> Any:  # noqa: ANN401
        if not event.implicit[0]:
            return event.value
        try:
            return plain_scalar(event.value)
        except ValueError as error:
            self._problem(line, f"not a number this can hold: {error}")
            return None

    def _sequence(self, line: int, depth: int) -> Items:
        items = Items(self.file, line)
        while not isinstance(event := self.parser.get_event(), yaml.SequenceEndEvent):
            items.append(self.value(event, depth + 1))
            items.lines.append(event.start_mark.line + 1)
        return items

    def _mapping(self, line: int, depth: int) -> Block:
        block = Block(self.file, line)
        merged: list[Any] = []
        while not isinstance(event := self.parser.get_event(), yaml.MappingEndEvent):
            at = event.start_mark.line + 1
            key = self.value(event, depth + 1)
            value = self.value(self.parser.get_event(), depth + 1)
            if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                merged.append(value)
            elif not isinstance(key, str):
                written = f" {event.value!r}" if isinstance(event, yaml.ScalarEvent) else ""
                self._problem(at, f"the key{written} must be text; put it in quotes")
            elif key in block:
                self._problem(at, f"the key {key!r} stands twice; the first is on line {block.lines[key]}")
            else:
                block[key] = value
                block.lines[key] = at
        for value in merged:
            self._merge(block, value, line)
        return block

    def _merge(self, block: Block, value: Any, line: int) -> None:  # noqa: ANN401
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, Block):
                self._problem(line, "`<<` takes a mapping or a list of mappings")
                continue
            for key in source:
                if key not in block:
                    block[key], block.lines[key] = source[key], source.lines[key]
