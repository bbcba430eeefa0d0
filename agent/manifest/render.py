"""Jinja2 in values and template files: sandboxed, deterministic, bounded in time, undefined names an error.

A string that is exactly one `{{ expression }}` becomes what the expression gives, of whatever type; any other text with
Jinja in it becomes text. Unlike Jinja's own native environment this never guesses a type from rendered text, so
`"{{ vars.mode }}"` stays the text "0644".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.environment import TemplateExpression

from agent.documents import Block, Items
from agent.errors import ManifestInvalid, Place, Problem, gather, nearest_of
from agent.manifest.bounds import Bounds, OverTime
from agent.manifest.sandbox import Load, environment, plain

MAX_RENDERED = 16 << 20  # characters
_MARKS = ("{{", "{%", "{#")
_WRONG = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError)

Names = Mapping[str, Any]


def has_markup(text: str) -> bool:
    """Tell whether a text has Jinja in it."""
    return "{" in text and any(mark in text for mark in _MARKS)


class Renderer:
    """Renders values and templates; `load` gives the text and the path of an included template by name."""

    def __init__(self, load: Load, bounds: Bounds) -> None:
        self._load, self._bounds = load, bounds
        self._environment = environment(self._included)
        self._compiled: dict[str, Template | TemplateExpression] = {}
        self._paths: set[str] = set()  # of included templates

    def _included(self, name: str) -> tuple[str, str]:
        text, path = self._load(name)
        self._paths.add(path)
        return text, path

    def value(self, raw: Any, names: Names, place: Place) -> Any:  # noqa: ANN401  (any value of a document)
        """Render every string in a value. Raises ManifestInvalid with all that is wrong in it."""
        if isinstance(raw, str):
            return self._text(raw, names, place) if has_markup(raw) else raw
        if isinstance(raw, Block):
            return dict(gather(lambda key: (key, self.value(raw[key], names, raw.place(key))), raw))
        if isinstance(raw, Items):
            return gather(lambda index: self.value(raw[index], names, raw.place(index)), range(len(raw)))
        return raw

    def condition(self, raw: Any, names: Names, place: Place) -> bool:  # noqa: ANN401
        """Evaluate a `when:`. Raises ManifestInvalid."""
        if isinstance(raw, bool):
            return raw
        if not isinstance(raw, str) or not raw.strip():
            raise ManifestInvalid([Problem(place, "`when` takes one expression, such as: facts.os.id == 'debian'")])
        if has_markup(raw):
            raise ManifestInvalid([Problem(place, "`when` is an expression already; write it without {{ }}")])
        try:
            with self._bounds.one_value():
                return bool(plain(self._environment.compile_expression(raw, undefined_to_none=False)(**names)))
        except (TemplateError, OverTime, *_WRONG) as error:
            raise ManifestInvalid([Problem(place, _explain(error, names))]) from error

    def template(self, text: str, names: Names, file: str) -> str:
        """Render a template file; problems are placed in it by line. Raises ManifestInvalid."""
        try:
            with self._bounds.one_value():
                return _bounded(self._environment.from_string(text).generate(**names))
        except (TemplateError, OverTime, *_WRONG) as error:
            place = _place_in_template(error, file, self._paths)
            raise ManifestInvalid([Problem(place, _explain(error, names))]) from error

    def _text(self, text: str, names: Names, place: Place) -> Any:  # noqa: ANN401
        try:
            with self._bounds.one_value():
                compiled = self._compiled.get(text) or self._compile(text)
                if isinstance(compiled, Template):
                    return _bounded(compiled.generate(**names))
                return _within_size(plain(compiled(**names)))
        except (TemplateError, OverTime, *_WRONG) as error:
            raise ManifestInvalid([Problem(place, _explain(error, names))]) from error

    def _compile(self, text: str) -> Template | TemplateExpression:
        tree = self._environment.parse(text)
        body = tree.body[0] if len(tree.body) == 1 else None
        if (
            isinstance(body, nodes.Output)
            and len(body.nodes) == 1
            and not isinstance(body.nodes[0], nodes.TemplateData)
        ):
            assign = nodes.Assign(nodes.Name("result", "store"), body.nodes[0], lineno=1)
            template = self._environment.from_string(nodes.Template([assign], lineno=1))
            self._compiled[text] = TemplateExpression(template, undefined_to_none=False)
        else:
            self._compiled[text] = self._environment.from_string(text)
        return self._compiled[text]


def _bounded(chunks: Iterator[str]) -> str:
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        _check_size(size)
        parts.append(chunk)
    return "".join(parts)


def _within_size(value: Any) -> Any:  # noqa: ANN401
    """The value itself. Raises OverflowError when its texts, or its number of values, are more than a template's may be."""
    size, waiting = 0, [value]
    while waiting:
        found = waiting.pop()
        size += len(found) if isinstance(found, str) else 1
        _check_size(size)
        if isinstance(found, (list, dict)):
            waiting += [*found.values(), *found] if isinstance(found, dict) else found
    return value


def _check_size(size: int) -> None:
    if size > MAX_RENDERED:
        raise OverflowError(f"it renders to more than {MAX_RENDERED >> 20} MiB")


def _explain(error: BaseException, names: Names) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"Jinja syntax: {error.message}"
    if isinstance(error, RecursionError):
        return "it includes or calls itself without end"
    if isinstance(error, MemoryError):
        return "it takes more memory than rendering may; is there a huge repetition?"
    message = str(error) or type(error).__name__
    undefined = re.fullmatch(r"'(\w+)' is undefined", message)
    return _undefined(undefined[1], names) if undefined else message


def _undefined(name: str, names: Names) -> str:
    known = {**dict.fromkeys(names, ""), **dict.fromkeys(names.get("vars", ()), "vars.")}
    close = name if name in known else nearest_of(name, known)
    if close:
        return f"{name} is not defined; did you mean {known[close]}{close}?"
    return f"{name} is not defined; the names are {', '.join(names)}"


def _place_in_template(error: BaseException, file: str, included: set[str]) -> Place:
    """The innermost line of a template that an error came through."""
    if isinstance(error, TemplateSyntaxError):
        return Place(error.filename if error.filename in included else file, error.lineno)
    place, trace = Place(file), error.__traceback__
    while trace is not None:  # Jinja rewrites the frames of a template to its own lines
        name = trace.tb_frame.f_code.co_filename
        if name == "<template>" or name in included:
            place = Place(name if name in included else file, trace.tb_lineno)
        trace = trace.tb_next
    return place
