"""Catalog: the typed, validated resources of one host, ids unique, edges known, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.errors import Place
from modules.api import Resource


@dataclass(frozen=True)
class Node:
    """One resource, where it is declared, and what it depends on (by id)."""

    resource: Resource
    place: Place
    requires: tuple[str, ...] = ()  # blocked when one of these failed
    after: tuple[str, ...] = ()  # order only
    refresh: Mapping[str, tuple[str, ...]] | None = None  # action -> the resources whose change asks for it

    @property
    def id(self) -> str:
        """The resource's id."""
        return self.resource.id


@dataclass(frozen=True)
class Catalog:
    """Every resource of a host, in an order that satisfies all edges."""

    host: str
    nodes: tuple[Node, ...]

    def resource(self, name: str) -> Resource | None:
        """The resource of an id, if it has it."""
        return next((node.resource for node in self.nodes if node.id == name), None)
