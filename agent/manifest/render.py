"""Jinja2 in values and template files: sandboxed, deterministic, bounded in time, undefined names an error.

A string that is exactly one `{{ expression }}` becomes what the expression gives, of whatever type; any other text with
Jinja in it becomes text. Unlike Jinja's own native environment this never guesses a type from rendered text, so
`"{{ vars.mode }}"` stays the text "0644".
"""

from __future__ import annotations

import base64
import difflib
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent.documents import Block, Items
from agent.errors import ManifestInvalid, Place, Problem, gather

TIME_LIMIT_SECONDS = 2.0
MAX_RENDERED = 16 << 20  # characters
_MARKS = ("{{", "{%", "{#")

Names = Mapping[str, Any]


class OverTime(Exception):
    """An expression or template ran longer than it may."""


def has_markup(text: str) -> bool:
    """Tell whether a text has Jinja in it."""
    return "{" in text and any(mark in text for mark in _MARKS)


class Renderer:
    """Renders values and templates; `load` gives the text of an included template by name."""

    def __init__(self, load: Callable[[str], str]) -> None:
        self._environment = _Sandbox(
            loader=FunctionLoader(load),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._environment.filters.pop("random")  # a desired state that changes by itself never converges
        self._environment.globals.pop("lipsum")
        self._environment.filters |= {"to_json": _to_json, "to_yaml": _to_yaml, "b64encode": _b64encode}
        self._compiled: dict[str, Template | TemplateExpression] = {}

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
        return bool(self._text("{{" + raw + "}}", names, place))

    def template(self, text: str, names: Names, file: str) -> str:
        """Render a template file; problems are placed in it by line. Raises ManifestInvalid."""
        try:
            with time_limit():
                return _bounded(self._environment.from_string(text).generate(**names))
        except (TemplateError, OverTime, *_WRONG) as error:
            raise ManifestInvalid([Problem(Place(file, _line_in_template(error)), _explain(error, names))]) from error

    def _text(self, text: str, names: Names, place: Place) -> Any:  # noqa: ANN401
        try:
            with time_limit():
                compiled = self._compiled.get(text) or self._compile(text)
                if isinstance(compiled, Template):
                    return _bounded(compiled.generate(**names))
                return plain(compiled(**names))
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


class _Sandbox(ImmutableSandboxedEnvironment):
    """Mappings are looked into before their methods are, and nothing builds a huge value in one operation."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401
        if isinstance(obj, Mapping):
            if attribute in obj:
                return obj[attribute]
            found = super().getattr(obj, attribute)
            return self._unknown(obj, attribute) if isinstance(found, Undefined) else found
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401
        if isinstance(obj, Mapping) and isinstance(argument, str):
            return obj[argument] if argument in obj else self._unknown(obj, argument)
        return super().getitem(obj, argument)

    def _unknown(self, obj: Mapping[str, Any], name: str) -> Undefined:
        label = getattr(obj, "label", "")
        return self.undefined(hint=f"{label + '.' if label else ''}{name} is not defined{nearest(name, obj)}")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        if operator == "**" and (abs(left) > 1 << 16 or abs(right) > 64):
            raise OverflowError("a power this large is not computed")
        if operator == "*" and not all(isinstance(side, (int, float)) for side in (left, right)):
            sized, times = (right, left) if isinstance(left, int) else (left, right)
            if isinstance(times, int) and times * len(sized) > MAX_RENDERED:
                raise OverflowError("a repetition this long is not made")
        if operator == "%" and isinstance(left, str) and re.search(r"\d{5}|\*", left):
            raise OverflowError("a format this wide is not made")
        return super().call_binop(context, operator, left, right)


_WRONG = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError)


def nearest(name: str, known: Any) -> str:  # noqa: ANN401  (any iterable of names)
    """`; did you mean X?` for the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, [str(item) for item in known], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def plain(value: Any) -> Any:  # noqa: ANN401
    """Reduce what an expression gave to plain values. Raises TypeError for what is none, UndefinedError likewise."""
    if isinstance(value, Undefined):
        return str(value)  # a strict undefined raises here, with its message
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    raise TypeError(f"the expression gives a {type(value).__name__}; add a filter such as `| list`")


def _to_json(value: Any, indent: int | None = None) -> str:  # noqa: ANN401
    return json.dumps(plain(value), indent=indent, sort_keys=True, ensure_ascii=False)


def _to_yaml(value: Any) -> str:  # noqa: ANN401
    import yaml

    return yaml.safe_dump(plain(value), default_flow_style=False, allow_unicode=True)


def _b64encode(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _bounded(chunks: Iterator[str]) -> str:
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_RENDERED:
            raise OverflowError(f"it renders to more than {MAX_RENDERED >> 20} MiB")
        parts.append(chunk)
    return "".join(parts)


@contextmanager
def time_limit(seconds: float = TIME_LIMIT_SECONDS) -> Iterator[None]:
    """Raise OverTime in the main thread when the body runs longer; other threads have the deadline of the pass."""
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield  # already inside a limit: a variable rendered for another
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise OverTime(f"it ran longer than {seconds:g} s; is there a loop that never ends?")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _explain(error: BaseException, names: Names) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"Jinja syntax: {error.message}"
    message = str(error) or type(error).__name__
    if undefined := re.fullmatch(r"'(\w+)' is undefined", message):
        name = undefined[1]
        if name in names.get("vars", {}):
            return f"{name} is not defined; did you mean vars.{name}?"
        return f"{name} is not defined{nearest(name, names)}; the names are {', '.join(names)}"
    return message


def _line_in_template(error: BaseException) -> int:
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    line, trace = 0, error.__traceback__
    while trace is not None:  # Jinja rewrites the frames of a template to its own lines
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
