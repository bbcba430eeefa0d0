"""Causes: why a resource is not as Git says, by what of all that goes into it is another than when it was last applied."""

from __future__ import annotations

import json
from typing import Any

from agent.catalog.codec import encode
from agent.store import Entry
from modules.api import Resource

REVISION = "revision"  # a commit asks for something else
DRIFT = "drift"  # Git asks for the same; the host changed
SECRET = "secret"  # the text of a secret, or what surrounds it in the same content, is another
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
    if _without_secrets(json.loads(wanted)) == _without_secrets(json.loads(entry.resource)):
        return SECRET
    return news


def was_secret(entry: Entry) -> bool:
    """Tell whether what is on the host may hold a secret: one went into it, or it is not known how we left it."""
    marks = ('"secret": true', '"sensitive": true')  # in a text their quotes would be escaped
    return entry.pending or any(mark in entry.resource for mark in marks)


def _without_secrets(value: Any) -> Any:  # noqa: ANN401  (JSON)
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("secret") is True:
        return "secret"
    return {name: _without_secrets(item) for name, item in value.items()}
