"""What containers, networks, volumes and images need of their host."""

from __future__ import annotations

from collections.abc import Mapping

from modules.api import HostView, Unsupported
from modules.container_values import LABEL_PREFIX

OURS_LABEL = f"{LABEL_PREFIX}spec"

ENGINE_NEEDS = (
    ("package:docker.io", "package:docker-ce", "package:moby-engine"),
    ("package:podman",),
    ("package:python3-docker",),
    ("unit:docker.service", "unit:docker.socket"),
    ("unit:podman.socket",),
)


def refuse_another_root(host: HostView) -> None:
    """Raise Unsupported for another root: the engine at hand is this machine's."""
    if host.root != "/":
        raise Unsupported(f"containers cannot be held in another root, {host.root}; leave them out there with `when`")


def pairs(values: Mapping[str, str] | None) -> tuple[str, ...] | None:
    """A mapping as plans show it; None when nothing is asked for."""
    return tuple(sorted(f"{name}={value}" for name, value in values.items())) if values else None


def chosen(found: Mapping[str, str] | None, wanted: Mapping[str, str] | None) -> dict[str, str]:
    """Of what is found, that which is asked for; engines add entries of their own."""
    return {name: value for name, value in (found or {}).items() if name in (wanted or {})}
