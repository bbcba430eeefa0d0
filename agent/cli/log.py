"""agentctl log: which commit, author and cause changed a resource on this host."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from agent.cli.parser import add_json
from agent.cli.remembered import add_limit, add_state, remembered
from agent.cli.text import by_author, diff_line, differences, one_line, paint, printable, stamp, tell
from agent.errors import ConfigInvalid
from agent.store import Store

HELP = """Show what was changed on this host, the newest first: when, by which commit or why else, and how.
A change that no commit asked for says its cause: drift (the host was changed, and put back), secret (the text of a secret
is another), upgrade (a new version of the agent reads the same commit) or facts (this host is another)."""
WHY = {
    "drift": "changed on the host, put back",
    "secret": "a secret is another",
    "upgrade": "read by another version of the agent",
    "facts": "this host is another",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a resource."""
    parser.add_argument("id", nargs="?", metavar="RESOURCE", help="one resource, such as file:/etc/motd (default: all)")
    parser.add_argument("--diff", action="store_true", help="show the text that was changed, too")
    add_limit(parser)
    add_state(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Read and print."""
    with remembered(options) as store:
        changes = store.history.changes(options.id or "", options.limit)
        if options.id and not changes:
            raise _unknown(store, options.id)
    if options.json:
        print(json.dumps({"format": 1, "changes": [_to_json(change) for change in changes]}, indent=2))
    else:
        tell(line for change in changes for line in _lines(change, options))
    return 0


def _unknown(store: Store, name: str) -> ConfigInvalid:
    names = store.history.names()
    close = difflib.get_close_matches(name, names, n=1)
    known = name in store.inventory()
    if known:
        return ConfigInvalid(f"{name} was never changed here", "it was as Git says when it was first looked at")
    hint = f"did you mean {close[0]}?" if close else "`agentctl log` shows all that was changed"
    return ConfigInvalid(f"nothing is known of {name} on this host", hint)


def _to_json(change: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **change,
        "drift": json.loads(change["drift"]),
        "diff": change["diff"].split("\n") if change["diff"] else [],
    }


def _lines(change: Mapping[str, Any], options: argparse.Namespace) -> Iterator[str]:
    cause = change["cause"]
    if cause == "revision":
        mark = change["revision"][:7] or "-"
        why = f'"{one_line(change["summary"])}"{by_author(change["author"])}'
    else:
        mark, why = cause, WHY.get(cause, "")
    name = "" if options.id else f"{one_line(change['id']):<40}  "
    yield f"{stamp(change['at'])}  {mark:<7}  {name}{why:<40}  {_what(change)}".rstrip()
    if options.diff and change["diff"]:
        yield from (f"    {diff_line(line)}" for line in change["diff"].split("\n"))


def _what(change: Mapping[str, Any]) -> str:
    """What changed in words: `content +2 -1, mode 0644 -> 0600`."""
    drift = json.loads(change["drift"])
    shown = {name: both for name, both in drift.items() if name != "content" or not change["content"]}
    parts = [part for part in (change["content"], differences(shown)) if part]
    message = printable(change["message"]).strip().partition("\n")[0]
    text = "; ".join(part for part in (", ".join(parts), message) if part)
    if change["result"] == "converged":
        return text
    result = paint(change["result"], "red" if change["result"] == "failed" else "yellow")
    return f"{result}: {text}" if text else result
