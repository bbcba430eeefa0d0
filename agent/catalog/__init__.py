"""Catalog: the typed, validated resources of one host, ids unique, edges known, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.errors import Place
from modules.api import Resource
from modules.checks import Check

ENFORCE, REPORT, CREATE_ONLY = "enforce", "report", "create-only"
DELETE, RELEASE, CONFIRM = "delete", "release", "confirm"


@dataclass(frozen=True)
class Policy:
    """What is done about a resource when it drifts, and when it leaves Git."""

    drift: str = ENFORCE
    ignore: tuple[str, ...] = ()  # properties that are neither compared nor applied
    prune: str = DELETE


@dataclass(frozen=True)
class Suspension:
    """What the repository says of a host that is to be left alone."""

    reason: str
    until: int = 0  # seconds since the epoch; 0 for as long as it is written there


@dataclass(frozen=True)
class Node:
    """One resource, where it is declared, and what it depends on (by id)."""

    resource: Resource
    place: Place
    requires: tuple[str, ...] = ()  # blocked when one of these failed
    after: tuple[str, ...] = ()  # order only
    refresh: Mapping[str, tuple[str, ...]] | None = None  # action -> the resources whose change asks for it
    policy: Policy = Policy()

    @property
    def id(self) -> str:
        """The resource's id."""
        return self.resource.id


@dataclass(frozen=True)
class Catalog:
    """Every resource of a host, in an order that satisfies all edges."""

    host: str
    nodes: tuple[Node, ...]
    checks: tuple[Check, ...] = ()  # those that the repository declares
    suspension: Suspension | None = None

    def resource(self, name: str) -> Resource | None:
        """The resource of an id, if it has it."""
        return next((node.resource for node in self.nodes if node.id == name), None)
