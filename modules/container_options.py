"""A container's fields in the words of the engine's API (`POST /containers/create`, API 1.41)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from modules.api import Json
from modules.container_fields import milliseconds
from modules.container_ports import binding

_NANOSECONDS = 1_000_000  # in a millisecond: the engine counts health check durations in nanoseconds
SECRETS_INSIDE = "/run/secrets"


def options_of(fields: Mapping[str, Any], env: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, Any]:
    """All of it but the labels; `secrets` are the host's paths of files, by their names inside."""
    get = fields.get
    networks: Mapping[str, Any] = get("networks", {})
    first = next(iter(networks), None)
    return _given(
        {
            "Image": get("image"),
            "Cmd": get("command"),
            "Entrypoint": get("entrypoint"),
            "Env": [f"{name}={value}" for name, value in env.items()],
            "ExposedPorts": {binding(port).port: {} for port in get("ports", ())},
            "Healthcheck": _health(get("healthcheck")),
            "User": get("user"),
            "WorkingDir": get("workdir"),
            "Hostname": get("hostname"),
            "StopSignal": get("stop_signal"),
            "StopTimeout": get("stop_timeout"),
            "NetworkingConfig": {"EndpointsConfig": {first: endpoint(networks[first])}} if first else None,
            "HostConfig": _host(fields, secrets),
        }
    )


def endpoint(wanted: Mapping[str, Any]) -> Json:
    """A container's place in one network."""
    addresses = {"IPv4Address": wanted.get("ipv4_address"), "IPv6Address": wanted.get("ipv6_address")}
    config = _given(addresses)
    return _given({"Aliases": list(wanted.get("aliases", ())) or None, "IPAMConfig": config or None})


def _host(fields: Mapping[str, Any], secrets: Mapping[str, str]) -> Json:
    get = fields.get
    files = [_file(path, name) for name, path in secrets.items()]
    return _given(
        {
            "PortBindings": _ports(get("ports", ())),
            "Mounts": [*map(_mount, get("volumes", ())), *files],
            "Tmpfs": _pairs(get("tmpfs"), ":"),
            "NetworkMode": get("network_mode") or next(iter(get("networks", ())), None),
            "RestartPolicy": _restart(get("restart")),
            "GroupAdd": _list(get("group_add")),
            "Dns": _list(get("dns")),
            "DnsSearch": _list(get("dns_search")),
            "ExtraHosts": _list(get("extra_hosts")),
            "Memory": get("memory"),
            "MemoryReservation": get("memory_reservation"),
            "NanoCpus": _nanoseconds(get("cpus")),
            "PidsLimit": get("pids_limit"),
            "Ulimits": [_ulimit(text) for text in get("ulimits", ())] or None,
            "ShmSize": get("shm_size"),
            "CapAdd": _list(get("cap_add")),
            "CapDrop": _list(get("cap_drop")),
            "Devices": [_device(text) for text in get("devices", ())] or None,
            "SecurityOpt": _list(get("security_opt")),
            "Sysctls": _pairs(get("sysctls"), "="),
            "Privileged": get("privileged"),
            "ReadonlyRootfs": get("read_only"),
            "Init": get("init"),
            "LogConfig": _logging(get("logging")),
        }
    )


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return list(values) if values else None


def _nanoseconds(cpus: str | None) -> int | None:
    return None if cpus is None else int(Decimal(cpus) * 1_000_000_000)


def _pairs(values: tuple[str, ...] | None, separator: str) -> dict[str, str] | None:
    if not values:
        return None
    parts = [text.partition(separator) for text in values]
    return {name: value for name, _, value in parts}


def _ports(ports: tuple[str, ...]) -> Json:
    options: dict[str, list[Json]] = {}
    for found in map(binding, ports):
        options.setdefault(found.port, []).append({"HostIp": found.address.strip("[]"), "HostPort": found.host_port})
    return options


def _mount(volume: str) -> Json:
    source, target, *mode = volume.split(":")
    kind = "bind" if source.startswith("/") else "volume"
    return {"Type": kind, "Source": source, "Target": target, "ReadOnly": mode == ["ro"]}


def _file(path: str, name: str) -> Json:
    return {"Type": "bind", "Source": path, "Target": f"{SECRETS_INSIDE}/{name}", "ReadOnly": True}


def _restart(restart: str | None) -> Json | None:
    if restart is None:
        return None
    name, _, times = restart.partition(":")
    return {"Name": name, "MaximumRetryCount": int(times or 0)}


def _ulimit(text: str) -> Json:
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    return {"Name": name, "Soft": int(soft), "Hard": int(hard)}


def _device(text: str) -> Json:
    source, target, access = text.split(":")
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": access}


def _logging(logging: Mapping[str, Any] | None) -> Json | None:
    return {"Type": logging["driver"], "Config": dict(logging.get("options", {}))} if logging else None


def _health(check: Mapping[str, Any] | None) -> Json | None:
    if check is None:
        return None
    names = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    durations = {api: milliseconds(check[name]) * _NANOSECONDS for name, api in names.items() if name in check}
    retries = {"Retries": check["retries"]} if "retries" in check else {}
    return {"Test": list(check["test"]), **durations, **retries}
