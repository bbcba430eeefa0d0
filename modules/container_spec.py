"""The spec of a container: what we asked the engine for, as a digest on the container and as plans show it.

A container is made anew exactly when the digest of our own normalised fields differs from the one it was made with.
What the engine shows is never compared: its defaults differ between versions, and each such difference would be an
endless loop of replacements.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from modules.api import SECRET, Content, Value
from modules.container_values import LABEL_PREFIX

SPEC_LABEL = f"{LABEL_PREFIX}spec"
FIELDS_LABEL = f"{LABEL_PREFIX}fields"
SPEC_FIELDS = (
    "image",
    "command",
    "entrypoint",
    "env",
    "env_file",
    "secrets",
    "ports",
    "volumes",
    "tmpfs",
    "networks",
    "network_mode",
    "hostname",
    "dns",
    "dns_search",
    "extra_hosts",
    "user",
    "group_add",
    "workdir",
    "restart",
    "init",
    "stop_signal",
    "stop_timeout",
    "healthcheck",
    "memory",
    "memory_reservation",
    "cpus",
    "pids_limit",
    "ulimits",
    "shm_size",
    "cap_add",
    "cap_drop",
    "devices",
    "security_opt",
    "sysctls",
    "privileged",
    "read_only",
    "logging",
    "labels",
)
_HIDDEN = frozenset({"command", "entrypoint", "env", "env_file", "secrets", "labels", "healthcheck", "logging"})
"""These often carry a password."""
_GIVEN_WHEN_EMPTY = ("entrypoint", "stop_timeout", "init")


class Spec:
    """The fields of one container that were given; what is empty is as good as not given, save an empty entrypoint."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = {name: fields[name] for name in SPEC_FIELDS if fields[name] or _is_given(name, fields[name])}

    @property
    def digest(self) -> str:
        """The sha256 of the canonical JSON of all of it; a field that is added later changes none that lack it."""
        return _digest(self.fields)

    def shown(self) -> dict[str, Value]:
        """Each field as plans show it: readable, or only its digest where it may hold a secret."""
        return {name: _shown(name, value) for name, value in self.fields.items()}

    def labels(self) -> dict[str, str]:
        """The container's labels: those that are wished, and what it was made with."""
        own = {SPEC_LABEL: self.digest, FIELDS_LABEL: json.dumps(self.shown(), sort_keys=True)}
        return {**self.fields.get("labels", {}), **own}


def made_with(labels: Mapping[str, str]) -> dict[str, Value]:
    """What a container's own labels say it was made with, as `shown` does, and the digest as `spec`."""
    try:
        fields = json.loads(labels.get(FIELDS_LABEL, "{}"))
    except ValueError:
        fields = {}  # somebody else wrote that label: the digest alone decides
    known = fields if isinstance(fields, dict) else {}
    return {**{name: _value(known[name]) for name in SPEC_FIELDS if name in known}, "spec": labels[SPEC_LABEL]}


def _shown(name: str, value: Any) -> Value:  # noqa: ANN401  (any field)
    if isinstance(value, Content) and value.secret:
        return SECRET
    if isinstance(value, Mapping) and name not in _HIDDEN:
        return tuple(f"{key}: {_canonical(item)}" if item else key for key, item in value.items())
    shown: Value = _digest(value)[:12] if name in _HIDDEN else value
    return shown


def _value(shown: object) -> Value:
    if isinstance(shown, list):
        return tuple(str(item) for item in shown)
    return shown if isinstance(shown, int) else str(shown)


def _is_given(name: str, value: object) -> bool:
    return value is not None and name in _GIVEN_WHEN_EMPTY


def _digest(value: object) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Content):
        return value.digest
    raise TypeError(f"no canonical form for {type(value).__name__}")
