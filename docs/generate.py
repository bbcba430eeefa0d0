"""Write what the code says of itself: a page for each kind, and the tables of operations.md (`make docs`)."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "packaging")]

from man import FILES, exits, options_of  # noqa: E402

from agent import journal  # noqa: E402
from agent.cli import VERBS  # noqa: E402
from agent.cli.parser import parser_of  # noqa: E402
from agent.report.conditions import REASONS  # noqa: E402
from agent.settings import Settings, type_name  # noqa: E402
from modules.api import Resource  # noqa: E402
from modules.checks import CHECKS, Check  # noqa: E402
from modules.registry import kinds  # noqa: E402

BAR = "\\|"  # a bar inside a cell of a table
NOTE = "<!-- Generated from modules/ by docs/generate.py; change the docstring or the field, then run `make docs`. -->"
EVERY = (
    "`requires`, `after`, `when`, `for_each`, `drift`, `ignore` and `prune` work on every kind: "
    "see [the format](../format.md#resources)."
)
ONE_WAY = "What is done here cannot be undone by going back to an earlier revision; a plan marks it `(one-way)`."
LEAVING = """\
## When it leaves Git

What was there before the agent, or was changed since by somebody else, is left in any case; so is what other people's data lies in.
`prune` of a resource says otherwise than the default of its kind: see [the format](../format.md#resources)."""
CHECKS_INTRO = """\
A check tells whether what runs on a host does its work. It is asked before and after every change and in every full pass, so every
`drift_interval` at the latest, and every `health_interval` while a revision soaks; `health.observed_at` of the status says when. It
never changes anything. What a check that fails can bring about is in [safety](safety.md). Checks are listed under `checks` of a host, a
group or a role, each a mapping whose first key is its kind; values may be expressions, and `when` works as with resources:

```yaml
checks:
  - http: http://localhost:8080/health
    contains: ready
  - command: replication
    argv: [/usr/local/bin/check-replication, --max-lag, "30"]
    timeout: 20
    required: false
  - file_age: /var/backups/db.dump
    max_seconds: 90000
```

A unit that is held `active: true` and a container that is held `running` bring a check of their own kind with them; declare it
to change what it says. A check that cannot be asked (no such program, no engine) is `unknown`, which is not well."""


def page(kind: type[Resource]) -> str:
    """One page: what the kind is for, its fields, and what it depends on by itself."""
    module = inspect.getmodule(kind)
    text = inspect.cleandoc(kind.__doc__ or "")
    more = inspect.cleandoc((module.__doc__ if module else "") or "").partition("\n\n")[2]
    one_way = ONE_WAY if kind.one_way else ""
    parts = [NOTE, f"# {kind.kind}", text, more, one_way, "## Fields", "\n".join(_table(kind)), EVERY]
    return "\n\n".join(part for part in parts if part) + "\n"


def checks_page() -> str:
    """The page of all kinds of checks."""
    parts = [NOTE, "# Checks", CHECKS_INTRO]
    for name, kind in CHECKS.items():
        parts += [f"## {name}", inspect.cleandoc(kind.__doc__ or ""), "\n".join(_table(kind))]
    return "\n\n".join(parts) + "\n"


def _table(kind: type[Resource | Check]) -> Iterator[str]:
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    shown_fields = [field for field in dataclasses.fields(kind) if "type" in field.metadata]
    for field in sorted(shown_fields, key=lambda field: field.name != kind.identity_field):
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


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', BAR) for cell in line)} |" for line in lines)


def _settings() -> str:
    rows = []
    for field in dataclasses.fields(Settings):
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        shown = f"`{default}`" if default not in ("", None, ()) else ""
        rows.append((f"`{field.name}`", type_name(field), shown, field.metadata["doc"]))
    return table(("setting", "type", "default", "meaning"), rows)


def _verbs() -> str:
    parts = []
    for verb, (module, what) in VERBS.items():
        parser = parser_of(verb, import_module(module))
        rows = [(f"`{name}`", text) for name, text in options_of(parser) if "--help" not in name]
        parts.append(f"**`agentctl {verb}`**: {what}." + (f"\n\n{table(('option', 'meaning'), rows)}" if rows else ""))
    return "\n\n".join(parts)


def _journal() -> str:
    fields = table(("field", "meaning"), [(f"`{name}`", meaning) for name, meaning in journal.FIELDS.items()])
    levels = {journal.ERR: "err", journal.WARNING: "warning", journal.NOTICE: "notice", journal.INFO: "info"}
    rows = [
        (f"`{result}`", f"`{name}`", levels[journal.PRIORITY.get(result, journal.INFO)], meaning)
        for result, (name, meaning) in journal.MESSAGE_IDS.items()
    ]
    return f"{fields}\n\n{table(('`GITOPS_RESULT`', '`MESSAGE_ID`', 'priority', 'what happened'), rows)}"


BLOCKS: Mapping[str, Callable[[], str]] = {  # of operations.md
    "verbs": _verbs,
    "exits": lambda: table(("verb", "exit status"), [(f"`{verb}`", text) for verb, text in exits()]),
    "settings": _settings,
    "files": lambda: table(("file", "what"), [(f"`{path}`", what) for path, what in FILES.items()]),
    "conditions": lambda: table(("reason", "when"), [(f"`{reason}`", text) for reason, text in REASONS.items()]),
    "journal": _journal,
}


def operations() -> str:
    """operations.md with its generated blocks as they should be."""
    text = (HERE / "operations.md").read_text()
    for name, make in BLOCKS.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}{make()}\n{end}{rest.partition(end)[2]}"
    return text


def pages() -> dict[str, str]:
    """Every page by its path below docs/."""
    index = "\n".join(f"- [{kind.kind}]({kind.kind}.md): {_first(kind)}" for kind in kinds())
    found = {"modules/README.md": "\n\n".join((NOTE, "# Kinds", index, LEAVING, _leaving())) + "\n"}
    found |= {f"modules/{kind.kind}.md": page(kind) for kind in kinds()}
    return found | {"checks.md": checks_page(), "operations.md": operations()}


def _leaving() -> str:
    rows = [(f"`{kind.kind}`", f"`{kind.prune}`", _fate(kind)) for kind in kinds()]
    return table(("kind", "`prune`", "what becomes of it"), rows)


def _fate(kind: type[Resource]) -> str:
    forgotten = kind.undo is Resource.undo
    return "It is left as it is." if forgotten else inspect.getdoc(kind.undo) or ""


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
