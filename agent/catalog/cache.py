"""The compiled catalog on disk: valid as long as the objects and facts it was built from are the same.

A commit that touches nothing of this host costs a comparison of a few object ids, not a compile; so does a pass in which
nothing happened at all. The file holds rendered contents, so it is as private as the state directory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

from agent import __version__
from agent.catalog import Catalog, Node, Policy, Suspension
from agent.catalog.codec import decode, encode
from agent.errors import Place
from agent.facts import Facts
from agent.secrets import Vault
from agent.source import Tree
from modules.checks import CHECKS


@dataclass(frozen=True)
class Cache:
    """Where a compiled catalog is kept, if anywhere, and whether it may be written there."""

    path: str = ""
    writable: bool = False


@dataclass(frozen=True)
class Compiled:
    """A catalog, and a digest that is the same when it is the same; with the vault when it was compiled just now."""

    catalog: Catalog
    digest: str
    plan: str  # a digest that is the same for what does the same to the host
    vault: Vault | None = field(default=None, compare=False)


def load(path: str, tree: Tree, host: str) -> Compiled | None:
    """Read the cached catalog if it is what compiling `tree` for `host` would give; None when it is not, or unreadable."""
    try:
        with open(path, "rb") as file:
            text = file.read()
        cached = json.loads(text)
        if not _valid(cached, tree, host):
            return None
        catalog = _catalog(host, cached)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a cache that cannot be read is compiled again; nothing is lost
    return Compiled(catalog, hashlib.sha256(text).hexdigest(), cached["plan"])


def save(cache: Cache, catalog: Catalog, inputs: Mapping[str, str], facts: Mapping[str, Any], vault: Vault) -> Compiled:
    """Write the catalog with what it was built from; where that is not allowed, only its digest is computed.

    A catalog that lacks a secret is not kept: the key may be there in the next pass.
    """
    plan = _plan_digest(catalog)
    made = {
        "code": _code(),
        "host": catalog.host,
        "inputs": inputs,
        "facts": facts,
        "nodes": [_row(node) for node in catalog.nodes],
        "checks": [[check.kind, asdict(check)] for check in catalog.checks],
        "suspension": asdict(catalog.suspension) if catalog.suspension else None,
        "plan": plan,
    }
    text = json.dumps(made, separators=(",", ":")).encode()
    if cache.path and cache.writable and not vault.lacks:
        _replace(cache.path, text)
    return Compiled(catalog, hashlib.sha256(text).hexdigest(), plan, vault)


def _row(node: Node) -> list[Any]:
    edges = (node.requires, node.after, node.refresh)
    policy = None if node.policy == Policy(prune=node.resource.prune) else astuple(node.policy)
    return [*encode(node.resource, with_data=True), node.place.file, node.place.line, *edges, policy]


def _plan_digest(catalog: Catalog) -> str:
    """The same for catalogs that would do the same to a host and call the same well, wherever they are written."""
    nodes = [
        [*encode(node.resource, with_data=False), node.requires, node.after, node.refresh, astuple(node.policy)]
        for node in catalog.nodes
    ]
    checks = [[check.kind, asdict(check)] for check in catalog.checks]
    return hashlib.sha256(json.dumps([nodes, checks], sort_keys=True).encode()).hexdigest()


def _valid(cached: Mapping[str, Any], tree: Tree, host: str) -> bool:
    if cached["code"] != _code() or cached["host"] != host:
        return False
    for path, known in cached["inputs"].items():
        entry = tree.entry(path)
        if (entry.id if entry else "") != known:
            return False
    facts = Facts()
    return all(name in facts and _same(facts[name], known) for name, known in cached["facts"].items())


def _same(fact: Any, known: Any) -> bool:  # noqa: ANN401  (any plain value)
    return bool(json.loads(json.dumps(fact)) == known)


def _node(row: Sequence[Any]) -> Node:
    kind, fields, file, line, requires, after, refresh, policy = row
    resource = decode((kind, fields))
    refreshed = {action: tuple(ids) for action, ids in refresh.items()} if refresh else None
    said = Policy(prune=resource.prune) if policy is None else Policy(policy[0], tuple(policy[1]), policy[2])
    return Node(resource, Place(file, line), tuple(requires), tuple(after), refreshed, said)


def _catalog(host: str, cached: Mapping[str, Any]) -> Catalog:
    checks = tuple(CHECKS[kind](**_hashable(fields)) for kind, fields in cached["checks"]) if cached["checks"] else ()
    suspension = Suspension(**cached["suspension"]) if cached["suspension"] else None
    return Catalog(host, tuple(_node(row) for row in cached["nodes"]), checks, suspension)


def _hashable(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _code() -> str:
    """Identify the code that compiles: the version, and in a checkout the newest change of it."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = (
        os.path.join(here, "manifest"),
        os.path.join(here, "catalog"),
        os.path.join(os.path.dirname(here), "modules"),
    )
    newest = max(
        entry.stat().st_mtime_ns for folder in folders for entry in os.scandir(folder) if entry.name.endswith(".py")
    )
    return f"{__version__}-{newest}"


def _replace(path: str, text: bytes) -> None:
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
