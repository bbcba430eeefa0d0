"""Causes: why a resource is not as Git says, by what of all that goes into it is another than when it was last applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from agent.catalog.codec import encode
from agent.store import Entry
from modules.api import Content, Resource

REVISION = "revision"  # a commit asks for something else
DRIFT = "drift"  # Git asks for the same; the host changed
SECRET = "secret"  # the text of a secret is another, and nothing else
UPGRADE = "upgrade"  # the same commit, read by another version of the agent
FACTS = "facts"  # the same commit, and this host is another: what a template knows of it changed
CAUSES = (REVISION, DRIFT, SECRET, UPGRADE, FACTS)


def encoded(resource: Resource) -> str:
    """The resource as the inventory keeps it: no content, only digests."""
    return json.dumps(encode(resource, with_data=False), sort_keys=True)


def cause_of(resource: Resource, entry: Entry, news: str) -> str:
    """Why it differs now, when it is owned; `news` is what is new of all resources: revision, upgrade or facts."""
    wanted = encoded(resource)
    if wanted == entry.resource:
        return DRIFT
    if _alike(json.loads(wanted), json.loads(entry.resource)):
        return SECRET
    return news


def origins_of(resource: Resource) -> Iterator[str]:
    """The files of the repository that its contents came from."""
    held = (getattr(resource, field.name) for field in fields(resource))
    return (value.origin for value in held if isinstance(value, Content) and value.origin)


def was_secret(entry: Entry) -> bool:
    """Tell whether what is on the host may hold a secret: one went into it, or it is not known how we left it."""
    marks = ('"secret": true', '"sensitive": true')  # in a text their quotes would be escaped
    return entry.pending or any(mark in entry.resource for mark in marks)


def _alike(one: Any, other: Any) -> bool:  # noqa: ANN401  (JSON)
    """Tell whether two resources are the same but for the texts of secrets."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if not isinstance(one, dict) or not isinstance(other, dict):
        return bool(one == other)
    if one.get("secret") is True and other.get("secret") is True:
        around = one.get("around"), other.get("around")
        return not all(around) or around[0] == around[1]
    return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
