"""The Jinja2 environment: sandboxed, deterministic, undefined names an error, mappings looked into before their methods."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, Undefined
from jinja2.filters import do_round
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent.errors import nearest_of

MAX_BITS = 1 << 14  # of a whole number; computing with longer ones cannot be interrupted
_OF_MAPPINGS = ("get", "items", "keys", "values")

Load = Callable[[str], tuple[str, str]]


def environment(load: Load) -> ImmutableSandboxedEnvironment:
    """Make one; `load` gives the text and the path of an included template."""
    made = _Sandbox(
        loader=FunctionLoader(lambda name: (*load(name), lambda: True)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.filters.pop("random")  # a desired state that changes by itself never converges
    made.globals.pop("lipsum")
    made.filters |= {"to_json": _to_json, "to_yaml": _to_yaml, "b64encode": _b64encode, "round": _round}
    return made


class _Sandbox(ImmutableSandboxedEnvironment):
    """Mappings are looked into before their methods are, and numbers stay as short as can be computed with at once."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401
        if not isinstance(obj, Mapping):
            return super().getattr(obj, attribute)
        if attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute) if attribute in _OF_MAPPINGS else self._unknown(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401
        if isinstance(obj, Mapping) and isinstance(argument, str):
            return obj[argument] if argument in obj else self._unknown(obj, argument)
        return super().getitem(obj, argument)

    def _unknown(self, obj: Mapping[str, Any], name: str) -> Undefined:
        label = f"{obj.label}." if hasattr(obj, "label") else ""
        close = nearest_of(name, obj)
        hint = f"{label}{name} is not defined" + (f"; did you mean {label}{close}?" if close else "")
        return self.undefined(hint=hint)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        whole = [abs(side).bit_length() for side in (left, right) if isinstance(side, int)]
        power = operator == "**" and len(whole) == 2 and whole[0] * right > MAX_BITS
        if power or any(bits > MAX_BITS for bits in whole):
            raise OverflowError("a number this long is not computed")
        return super().call_binop(context, operator, left, right)


def plain(value: Any) -> Any:  # noqa: ANN401
    """Reduce what an expression gave to plain values. Raises TypeError for what is none, UndefinedError likewise."""
    if isinstance(value, Undefined):
        return str(value)  # a strict undefined raises here, with its message
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise OverflowError("a number this long is not computed")
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


def _round(value: float, precision: int = 0, method: Any = "common") -> float:  # noqa: ANN401  (as Jinja has it)
    if abs(precision) > 300:
        raise OverflowError("a number this long is not computed")
    return do_round(value, precision, method)
