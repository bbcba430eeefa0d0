"""agentctl show: the resources of this host, or one in full."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from agent.catalog import Catalog, Node
from agent.catalog.codec import encode
from agent.cli.parser import add_json, add_place
from agent.cli.session import reading, site_of
from agent.cli.text import join_columns, one_line, short, tell
from agent.errors import ConfigInvalid
from modules.api import SECRET, Content

HELP = "Show every resource that Git declares for this host, in the order they are applied, or one with all its fields."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take an id."""
    parser.add_argument("id", nargs="?", help="one resource, such as file:/etc/motd")
    add_place(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Compile and print."""
    with reading(site_of(options)) as session:
        catalog = session.newest(options.ref).compiled.catalog
    nodes = [find(catalog, options.id)] if options.id else list(catalog.nodes)
    if options.json:
        print(json.dumps([node_to_json(node) for node in nodes], indent=2))
    elif options.id:
        tell(_lines(nodes[0]))
    else:
        tell(join_columns(f"{one_line(node.id):<48}", one_line(str(node.place))) for node in nodes)
    return 0


def find(catalog: Catalog, name: str) -> Node:
    """The node of an id. Raises ConfigInvalid with the nearest one."""
    import difflib

    nodes = {node.id: node for node in catalog.nodes}
    if name not in nodes:
        close = difflib.get_close_matches(name, nodes, n=1)
        hint = f"did you mean {close[0]}?" if close else "`agentctl show` lists them"
        raise ConfigInvalid(f"{catalog.host} has no resource {name}", hint)
    return nodes[name]


def node_to_json(node: Node) -> dict[str, Any]:
    """One resource: its fields, its place, and what it depends on."""
    kind, fields = encode(node.resource, with_data=False)
    fields |= dict.fromkeys(node.resource.secret_fields(), SECRET)
    return {
        "id": node.id,
        "kind": kind,
        "place": str(node.place),
        "fields": fields,
        "requires": list(node.requires),
        "after": list(node.after),
        "refresh": {action: list(ids) for action, ids in (node.refresh or {}).items()},
    }


def _lines(node: Node) -> list[str]:
    lines, secret = [join_columns(one_line(node.id), one_line(str(node.place)))], node.resource.secret_fields()
    for field in dataclasses.fields(node.resource):
        value = getattr(node.resource, field.name)
        if value is not None and field.name != node.resource.identity_field:
            value = SECRET if field.name in secret else value
            shown = f"{value.size} bytes, sha256 {value.digest[:12]}" if isinstance(value, Content) else short(value)
            lines.append(f"  {field.name:<14} {shown}")
    for name, ids in (("requires", node.requires), ("after", node.after), *(node.refresh or {}).items()):
        if ids:
            lines.append(f"  {name:<14} {one_line(', '.join(ids))}")
    return lines
