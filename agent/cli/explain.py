"""agentctl explain: which file and line gives a variable or a resource."""

from __future__ import annotations

import argparse
import json

from agent.cli.parser import add_place
from agent.cli.session import reading, site_of
from agent.cli.show import find
from agent.cli.text import join_columns, one_line, paint, tell
from agent.errors import ConfigInvalid
from agent.facts import Facts

HELP = "Tell which file and line gives a variable, and what it beat; or where a resource is declared and what it needs."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a name."""
    parser.add_argument("name", help="a variable such as vars.workers, or a resource such as file:/etc/motd")
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Find and print."""
    with reading(site_of(options)) as session:
        desired = session.newest(options.ref)
        if ":" in options.name:
            node = find(desired.compiled.catalog, options.name)
            tell([join_columns(f"{one_line(node.id)} is declared at", one_line(str(node.place)))])
            tell(f"  needs {one_line(name)}" for name in node.requires)
            tell(f"  comes after {one_line(name)}" for name in node.after)
            return 0
        from agent.manifest import read_manifest

        manifest = read_manifest(desired.revision, session.site.host, Facts())
    return _explain_variable(manifest, options.name)


def _explain_variable(manifest: object, name: str) -> int:
    from agent.manifest import Manifest
    from agent.manifest.variables import origins

    assert isinstance(manifest, Manifest)  # noqa: S101
    path = name.removeprefix("vars.").split(".")
    found = origins(manifest.layers, path)
    if not found:
        known = sorted({key for layer in manifest.layers for key in layer.values})
        raise ConfigInvalid(f"no layer gives vars.{'.'.join(path)}", f"the variables are {', '.join(known) or 'none'}")
    for index, origin in enumerate(found):
        value = json.dumps(origin.value, ensure_ascii=False)
        line = one_line(f"{'wins' if index == 0 else 'beaten':<7} {value:<32} {origin.place}  ({origin.layer})")
        tell([paint(line, "green") if index == 0 else line])
    return 0
