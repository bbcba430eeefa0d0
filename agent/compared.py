"""Two catalogs of the same host compared, resource by resource and field by field; no host is looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.catalog import Catalog, Node, Policy
from agent.desired import Desired
from agent.diffs import Difference, compared, hidden
from modules.api import SECRET, Content, ResourceError

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
ANOTHER = "another secret"
_POLICY = ("drift", "ignore", "prune")


@dataclass(frozen=True)
class Said:
    """What is said differently of one resource."""

    node: Node  # as the later revision has it, or the earlier when it is gone
    action: str  # one of the above
    fields: dict[str, tuple[Any, Any]]  # before and after, of all but contents
    contents: dict[str, Difference]


def compare_catalogs(before: Desired, after: Desired) -> Iterator[Said]:
    """What changes between two revisions, in the order of the later one; what is gone comes last."""
    old, new = _nodes(before.compiled.catalog), _nodes(after.compiled.catalog)
    for name, node in new.items():
        known = old.get(name)
        if known is None:
            yield Said(node, ADDED, _plain(None, node), {})
            continue
        fields, contents = _plain(known, node), dict(_contents(known, node, before, after))
        if fields or contents:
            yield Said(node, CHANGED, fields, contents)
    for name, node in old.items():
        if name not in new:
            yield Said(node, REMOVED, {}, {})


def _nodes(catalog: Catalog) -> dict[str, Node]:
    return {node.id: node for node in catalog.nodes}


def _plain(old: Node | None, new: Node) -> dict[str, tuple[Any, Any]]:
    before, after = _values(old) if old is not None else {}, _values(new)
    names = [*after, *(name for name in before if name not in after)]
    hidden = {*new.resource.secret_fields(), *(old.resource.secret_fields() if old is not None else ())}
    return {
        name: (SECRET, ANOTHER) if name in hidden else (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }


def _values(node: Node) -> dict[str, Any]:
    """Everything that is said of a resource but its contents and what says nothing."""
    found = {
        field.name: value
        for field in dataclasses.fields(node.resource)
        if field.name != node.resource.identity_field
        and not isinstance(value := getattr(node.resource, field.name), Content)
        and value != field.default
    }
    said, rule = node.policy, Policy(prune=node.resource.prune)
    found |= {name: value for name in _POLICY if (value := getattr(said, name)) != getattr(rule, name)}
    found |= {name: ids for name in ("requires", "after") if (ids := getattr(node, name))}
    return found | {f"{action}_on": ids for action, ids in (node.refresh or {}).items()}


def _contents(old: Node, new: Node, before: Desired, after: Desired) -> Iterator[tuple[str, Difference]]:
    for field in dataclasses.fields(new.resource):
        was, now = getattr(old.resource, field.name, None), getattr(new.resource, field.name)
        if not isinstance(was or now, Content) or _same(was, now):
            continue
        if (old.resource.hides_text or new.resource.hides_text) and not any(
            part and part.secret for part in (was, now)
        ):
            yield field.name, hidden(was and was.digest, now and now.digest)
        else:
            yield field.name, _difference(was, now, before, after)


def _same(was: Content | None, now: Content | None) -> bool:
    return was is not None and now is not None and (was.digest, was.secret) == (now.digest, now.secret)


def _difference(was: Content | None, now: Content | None, before: Desired, after: Desired) -> Difference:
    if (was and was.secret) or (now and now.secret):
        return Difference(size=f"{SECRET} -> {ANOTHER}" if was and now and now.secret and was.secret else SECRET)
    if (was and was.url) or (now and now.url):
        return Difference(size=f"{was.url if was else None} -> {now.url if now else None}")
    try:
        return compared(_bytes(was, before), _bytes(now, after))
    except ResourceError as error:
        return Difference(size=f"not shown: {error}")


def _bytes(content: Content | None, desired: Desired) -> bytes:
    if content is None:
        return b""
    return content.data if content.data is not None else desired.read(content.blob or "")
