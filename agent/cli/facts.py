"""agentctl facts: what templates can know about this host."""

from __future__ import annotations

import argparse
import json
from typing import Any

from agent.cli.text import printable, tell
from agent.errors import ConfigInvalid
from agent.facts import Facts

HELP = "Show what templates and conditions can know about this host as `facts.NAME`."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take one fact's name."""
    parser.add_argument("name", nargs="?", help="only this one, such as os.id")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(options: argparse.Namespace) -> int:
    """Gather and print."""
    facts: Any = dict(Facts()) if not options.name else _one(Facts(), options.name)
    if options.json:
        print(json.dumps(facts, indent=2, sort_keys=True))
    elif isinstance(facts, dict):
        tell(f"{name:<24} {_shown(value)}" for name, value in _flat(facts))
    else:
        tell([_shown(facts)])
    return 0


def _shown(value: Any) -> str:  # noqa: ANN401  (any plain value)
    return printable(json.dumps(value) if isinstance(value, list) else str(value))


def _one(facts: Any, path: str) -> Any:  # noqa: ANN401  (any plain value)
    for name in path.removeprefix("facts.").split("."):
        if not hasattr(facts, "keys") or name not in facts:
            raise ConfigInvalid(f"there is no fact {path}", "`agentctl facts` lists them")
        facts = facts[name]
    return facts


def _flat(values: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        path = f"{above}{name}"
        found += _flat(value, f"{path}.") if isinstance(value, dict) else [(path, value)]
    return found
