"""The spec of a container: what we asked the engine for, as a digest on the container and as options for the engine.

A container is made anew exactly when the digest of our own normalised fields differs from the one it was made with.
What the engine shows is never compared: its defaults differ between versions, and each such difference would be an
endless loop of replacements.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from modules.api import SECRET, Content, Json, Value
from modules.container_fields import LABEL_PREFIX, milliseconds
from modules.container_ports import binding

SPEC_LABEL = f"{LABEL_PREFIX}spec"
FIELDS_LABEL = f"{LABEL_PREFIX}fields"
SPEC_FIELDS = (
    "image",
    "command",
    "entrypoint",
    "env",
    "ports",
    "volumes",
    "network_mode",
    "restart",
    "labels",
    "healthcheck",
    "user",
    "workdir",
    "hostname",
    "stop_timeout",
)
_HIDDEN = frozenset({"command", "entrypoint", "env", "labels", "healthcheck"})  # these often carry a password
_NANOSECONDS = 1_000_000  # in a millisecond: the engine counts health check durations in nanoseconds


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

    def options(self, env: Mapping[str, str]) -> Json:
        """What the engine's API wants for it (`POST /containers/create`, API 1.41)."""
        get = self.fields.get
        options: dict[str, Any] = {
            "Image": get("image"),
            "Cmd": get("command"),
            "Entrypoint": get("entrypoint"),
            "Env": [f"{name}={value}" for name, value in env.items()],
            "ExposedPorts": {binding(port).port: {} for port in get("ports", ())},
            "Healthcheck": _health_options(get("healthcheck")),
            "User": get("user"),
            "WorkingDir": get("workdir"),
            "Hostname": get("hostname"),
            "StopTimeout": get("stop_timeout"),
            "Labels": {**get("labels", {}), **self._own_labels()},
            "HostConfig": self._host_options(),
        }
        return {name: value for name, value in options.items() if value is not None}

    def _own_labels(self) -> dict[str, str]:
        return {SPEC_LABEL: self.digest, FIELDS_LABEL: json.dumps(self.shown(), sort_keys=True)}

    def _host_options(self) -> Json:
        get = self.fields.get
        options: dict[str, Any] = {
            "PortBindings": _port_options(get("ports", ())),
            "Mounts": [_mount_options(volume) for volume in get("volumes", ())],
            "NetworkMode": get("network_mode"),
            "RestartPolicy": _restart_options(get("restart")),
        }
        return {name: value for name, value in options.items() if value is not None}


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
    shown: Value = _digest(value)[:12] if name in _HIDDEN else value
    return shown


def _value(shown: object) -> Value:
    if isinstance(shown, list):
        return tuple(str(item) for item in shown)
    return shown if isinstance(shown, int) else str(shown)


def _is_given(name: str, value: object) -> bool:
    return value is not None and name in ("entrypoint", "stop_timeout")


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Content):
        return value.digest
    raise TypeError(f"no canonical form for {type(value).__name__}")


def _port_options(ports: tuple[str, ...]) -> Json:
    options: dict[str, list[Json]] = {}
    for found in map(binding, ports):
        options.setdefault(found.port, []).append({"HostIp": found.address.strip("[]"), "HostPort": found.host_port})
    return options


def _mount_options(volume: str) -> Json:
    source, target, *mode = volume.split(":")
    kind = "bind" if source.startswith("/") else "volume"
    return {"Type": kind, "Source": source, "Target": target, "ReadOnly": mode == ["ro"]}


def _restart_options(restart: str | None) -> Json | None:
    if restart is None:
        return None
    name, _, times = restart.partition(":")
    return {"Name": name, "MaximumRetryCount": int(times or 0)}


def _health_options(check: Mapping[str, Any] | None) -> Json | None:
    if check is None:
        return None
    names = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    durations = {api: milliseconds(check[name]) * _NANOSECONDS for name, api in names.items() if name in check}
    retries = {"Retries": check["retries"]} if "retries" in check else {}
    return {"Test": list(check["test"]), **durations, **retries}
