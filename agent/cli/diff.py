"""agentctl diff: what two revisions say differently of this host."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from agent.cli.parser import add_json, add_place
from agent.cli.session import Session, reading, site_of
from agent.cli.text import by_author, diff_line, differences, join_columns, one_line, paint, printable, short, tell
from agent.compared import ADDED, CHANGED, REMOVED, Said, compare_catalogs
from agent.desired import Desired
from agent.errors import ConfigInvalid, FetchFailed

HELP = """Show what two revisions say differently of this host: resources that are added, removed or changed, field by field, with
the text that changes. The host itself is not looked at (`agentctl plan` does), and what a secret goes into is never shown."""
SIGNS = {ADDED: ("+", "green"), CHANGED: ("~", "yellow"), REMOVED: ("-", "red")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take two revisions."""
    parser.add_argument("revs", metavar="REV..REV", help="two commits, tags or branches; REV alone is REV..newest")
    add_place(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Compile both, compare and print."""
    first, _, second = options.revs.partition("..")
    if not first or second.startswith("."):
        raise ConfigInvalid(f"{options.revs} names no two revisions", "say REV..REV, or REV alone for REV..newest")
    with reading(site_of(options)) as session:
        before = _at(session, first)
        after = _at(session, second) if second else session.newest(options.ref)
        found = list(compare_catalogs(before, after))
        same = len(after.compiled.catalog.nodes) - sum(said.action != REMOVED for said in found)
        if options.json:
            print(json.dumps(_to_json(before, after, found, same), indent=2))
        else:
            tell(_lines(before, after, found, same))
    return 0


def _at(session: Session, name: str) -> Desired:
    """Compile a revision that is here, or that the remote has."""
    try:
        revision = session.source.revision(name)
    except FetchFailed:
        revision = session.source.at(name)
    return Desired(session.compiled(revision), revision, session.compiled)


def _lines(before: Desired, after: Desired, found: Sequence[Said], same: int) -> Iterator[str]:
    later = after.revision
    name = (
        f'{later.commit[:7]} "{printable(later.summary)}"{by_author(later.author)}' if later.commit else later.summary
    )
    yield f"{after.compiled.catalog.host}: {before.revision.commit[:7]} -> {name}"
    for said in found:
        sign, colour = SIGNS[said.action]
        line = f"  {paint(sign, colour)} {one_line(said.node.id):<40} {_what(said)}"
        yield join_columns(line, one_line(str(said.node.place)))
        for name, difference in said.contents.items():
            if len(said.contents) > 1:
                yield f"      {name}"
            yield from (f"      {diff_line(after.redact(before.redact(line)))}" for line in difference.lines)
    counts = Counter(said.action for said in found)
    yield ", ".join([*(f"{counts[action]} {action}" for action in SIGNS if counts[action]), f"{same} the same"])


def _what(said: Said) -> str:
    if said.action == ADDED:
        return ", ".join(f"{name} {short(after)}" for name, (_, after) in said.fields.items())
    sizes = [_sized(name, difference.size) for name, difference in said.contents.items()]
    return ", ".join([*sizes, *([differences(said.fields)] if said.fields else [])])


def _sized(name: str, size: str) -> str:
    return f"{name} {size.removeprefix('content ')}"


def _to_json(before: Desired, after: Desired, found: Sequence[Said], same: int) -> dict[str, Any]:
    return {
        "format": 1,
        "host": after.compiled.catalog.host,
        "before": before.revision.commit,
        "after": after.revision.commit,
        "same": same,
        "resources": [
            {
                "id": said.node.id,
                "action": said.action,
                "place": str(said.node.place),
                "fields": {name: list(values) for name, values in said.fields.items()},
                "contents": {
                    name: {"size": _sized("", one.size).strip(), "diff": [after.redact(line) for line in one.lines]}
                    for name, one in said.contents.items()
                },
            }
            for said in found
        ],
    }
