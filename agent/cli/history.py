"""agentctl history: what the passes on this host came to."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from agent.cli.parser import add_json
from agent.cli.remembered import add_limit, add_state, remembered
from agent.cli.text import RESULT_COLOUR, by_author, one_line, paint, printable, stamp, tell
from agent.report import summary

HELP = """Show what the passes on this host came to, the newest first: those that changed something, failed, or came to
something else than the one before. The same again is one entry that says how often and since when."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where the state is, and how much of it."""
    add_limit(parser)
    add_state(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Read and print."""
    with remembered(options) as store:
        passes = store.history.passes(options.limit)
    if options.json:
        print(json.dumps({"format": 1, "passes": passes}, indent=2))
    else:
        tell(line for one in passes for line in _lines(one))
    return 0


def _lines(one: Mapping[str, Any]) -> Iterator[str]:
    verdict = "ROLLED BACK" if one["class"] == "rolled_back" else one["verdict"]
    colour = RESULT_COLOUR[one["verdict"]]
    name = f'{one["revision"][:7]} "{printable(one["summary"])}"' if one["revision"] else printable(one["summary"])
    yield f"{stamp(one['started'])}  {paint(f'{verdict:<11}', colour)}  {name}{by_author(one['author'])}"
    because = f", because of {one['cause']}" if one["cause"] else ""
    often = f"; {one['times']} times since {stamp(one['first'])}" if one["times"] > 1 else ""
    yield f"    {one['reason']}: {summary(one['counts'])} in {one['seconds']:.1f} s{because}{often}"
    if one["message"]:
        yield f"    {one_line(one['message'])}"
