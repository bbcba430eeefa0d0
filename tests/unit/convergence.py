"""The agent's part in tests of one kind: find the drift, have it closed, and look again."""

from __future__ import annotations

import hashlib

from modules.api import Change, Content, Drift, Host, HostView, Observation, Resource, ResourceError


def text(data: bytes | str) -> Content:
    """A content, as the fields of a resource hold it."""
    data = data.encode() if isinstance(data, str) else data
    return Content(hashlib.sha256(data).hexdigest(), len(data), data=data)


def difference(resource: Resource, observed: Observation) -> Drift:
    if isinstance(observed, ResourceError):
        raise observed
    wanted = resource.desired(observed).items()
    return {key: Change(observed.get(key), want) for key, want in wanted if want not in (None, observed.get(key))}


def drift_of(resource: Resource, host: HostView) -> Drift:
    return difference(resource, resource.observe(host))


def converge(resource: Resource, host: Host) -> Drift:
    """Nothing is applied without drift, and none is left; what there was is returned."""
    drift = drift_of(resource, host)
    if drift:
        resource.apply(host, drift)
    assert drift_of(resource, host) == {}
    return drift
