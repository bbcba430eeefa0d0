"""Write one reference page for each kind from its docstring and fields: `python docs/generate.py` (`make docs`)."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from modules.api import Resource
from modules.registry import kinds

HERE = Path(__file__).resolve().parent
BAR = "\\|"  # a bar inside a cell of a table
NOTE = "<!-- Generated from modules/ by docs/generate.py; change the docstring or the field, then run `make docs`. -->"
EVERY = "`requires`, `after`, `when` and `for_each` work on every kind: see [the format](../format.md#resources)."


def page(kind: type[Resource]) -> str:
    """One page: what the kind is for, its fields, and what it depends on by itself."""
    module = inspect.getmodule(kind)
    text = inspect.cleandoc(kind.__doc__ or "")
    more = inspect.cleandoc((module.__doc__ if module else "") or "").partition("\n\n")[2]
    parts = [NOTE, f"# {kind.kind}", text, more, "## Fields", "\n".join(_table(kind)), EVERY]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(kind: type[Resource]) -> Iterator[str]:
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    for field in dataclasses.fields(kind):
        name = kind.kind if field.name == kind.identity_field else field.name
        shown = f"**`{name}`**" if field.name == kind.identity_field else f"`{name}`"
        cells = (shown, field.metadata["type"].name, _default(field), field.metadata["doc"])
        yield f"| {' | '.join(str(cell).replace('|', BAR) for cell in cells)} |"


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is dataclasses.MISSING:
        return "the identity"
    if field.default is None or field.default == ():
        return ""
    if isinstance(field.default, tuple):
        return f"`[{', '.join(field.default)}]`"
    shown = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f"`{shown}`"


def pages() -> dict[str, str]:
    """Every page by its path below docs/."""
    index = [NOTE, "# Kinds", *(f"- [{kind.kind}]({kind.kind}.md): {_first(kind)}" for kind in kinds())]
    found = {"modules/README.md": "\n\n".join(index[:2]) + "\n\n" + "\n".join(index[2:]) + "\n"}
    return found | {f"modules/{kind.kind}.md": page(kind) for kind in kinds()}


def _first(kind: type[Resource]) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def main() -> int:
    """Write what differs; with --check say what is stale and exit with 1."""
    stale = [path for path, text in pages().items() if not (HERE / path).exists() or (HERE / path).read_text() != text]
    if "--check" in sys.argv:
        print("\n".join(f"docs/{path} is stale; run `make docs`" for path in stale))
        return 1 if stale else 0
    for path in stale:
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_text(pages()[path])
    print(f"{len(stale)} pages written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
