"""What a consumer of refreshes was last started with, against what Git says now: a restart is owed while they differ.

Events alone are not enough: a file may have been changed by hand to what Git says a moment later, or its consumer may have
been away when it changed. So for each cause of a refresh the digest of its wish is kept when the consumer is refreshed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping

from agent.catalog import Node
from agent.store import Origin, Owed
from modules.api import Content, Resource


def origins(node: Node) -> Iterator[Origin]:
    """Everything that a consumer may be refreshed for: its causes, and its own text."""
    yield from ((node.id, action, cause) for action, causes in (node.refresh or {}).items() for cause in causes)
    yield from ((node.id, node.resource.own_refresh, cause) for cause in node.resource.text_of())


def started_with(node: Node, sound: Mapping[str, Resource]) -> dict[Origin, str]:
    """What a consumer that is started now is started with; of `sound` (by id) it is known that they are as Git says."""
    texts = node.resource.text_of()
    return {
        origin: _digest(cause := sound[origin[2]], cause.refreshed_for if origin[2] in texts else None)
        for origin in origins(node)
        if origin[2] in sound
    }


def overlooked(nodes: Mapping[str, Node], sound: Mapping[str, Resource], known: Mapping[Origin, str]) -> Iterator[Owed]:
    """What is owed though no change told of it. A consumer that was never refreshed is as it should be."""
    for node in nodes.values():
        for origin, digest in started_with(node, sound).items():
            if known.get(origin, digest) != digest:
                yield Owed(*origin)


def _digest(resource: Resource, names: tuple[str, ...] | None = None) -> str:
    """Of the wish alone, whatever the host shows: what does not change the result (a check, a source) is not in it."""
    wish = {name: value for name, value in resource.desired({}).items() if names is None or name in names}
    contents = [found.digest for found in _contents(resource)] if names is None else []
    return hashlib.sha256(json.dumps([wish, contents], sort_keys=True).encode()).hexdigest()


def _contents(resource: Resource) -> Iterator[Content]:
    """A wish may keep the digest of a secret to itself."""
    values = (getattr(resource, field.name) for field in dataclasses.fields(resource))
    return (value for value in values if isinstance(value, Content))
