"""Expansion: resources that bring others along (a directory its files), and those that must know all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent.catalog.typed import Typed
from modules.api import Resource
from modules.registry import kind_named

_PATHS = ("path:", "content:")  # keys of what is at a path


def expand(declared: Sequence[Typed]) -> list[Typed]:
    """Each resource followed by those it brings along, but for what a more specific one claims."""
    taken = {key: typed.resource for typed in declared for key in typed.resource.claims()}
    families: dict[int, list[Typed]] = {}
    for index in sorted(range(len(declared)), key=lambda index: -len(declared[index].resource.identity)):
        families[index] = list(_family(declared[index], taken))
    members = [typed for index in range(len(declared)) for typed in families[index]]
    paths = {key.partition(":")[2] for key in taken if key.startswith(_PATHS)}
    return [replace(typed, resource=typed.resource.informed(paths)) for typed in members]


def _family(parent: Typed, taken: dict[str, Resource]) -> Iterator[Typed]:
    itself, children = parent.resource.expanded()
    yield replace(parent, resource=itself)
    closed: tuple[str, ...] = ()
    for kind, fields in children:
        child: Resource = kind_named(kind)(**fields)
        owner = next((taken[key] for key in child.claims() if key in taken), None)
        if child.identity.startswith(closed):
            continue
        if owner is None:
            taken |= dict.fromkeys(child.claims(), child)
            yield replace(parent, resource=child, requires=(), after=())
        elif not _leaves_room(owner, child):
            closed += (f"{child.identity}/",)


def _leaves_room(owner: Resource, child: Resource) -> bool:
    """Whether what wins over a child is its like, so that there is a place for what belongs in that."""
    return type(owner) is type(child) and set(owner.claims()) <= set(owner.provides())
