"""Containers, networks and volumes as the texts of Quadlet files (podman-systemd.unit(5)), for Podman 5.

`%` and `$` mean something to systemd in every command line that Quadlet makes of it, so both are doubled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from modules.container_ports import binding
from modules.container_secrets import DIRECTORY as SECRETS

_PLAIN = re.compile(r"[A-Za-z0-9_@/:.,+=%$\[\]-]+")
_RESTART = {"no": "no", "always": "always", "unless-stopped": "always", "on-failure": "on-failure"}
_SIMPLE = {  # one key, one value
    "image": "Image",
    "workdir": "WorkingDir",
    "hostname": "HostName",
    "stop_signal": "StopSignal",
    "stop_timeout": "StopTimeout",
    "pids_limit": "PidsLimit",
    "shm_size": "ShmSize",
}
_REPEATED = {  # one key for each value
    "tmpfs": "Tmpfs",
    "dns": "DNS",
    "dns_search": "DNSSearch",
    "extra_hosts": "AddHost",
    "group_add": "GroupAdd",
    "ulimits": "Ulimit",
    "cap_add": "AddCapability",
    "cap_drop": "DropCapability",
    "devices": "AddDevice",
    "sysctls": "Sysctl",
}
_OF_A_PART = {"driver": "Driver", "subnet": "Subnet", "gateway": "Gateway"}
_FLAGS_OF_A_PART = {"internal": "Internal", "ipv6": "IPv6"}
_ARGUMENTS = {"memory": "--memory", "memory_reservation": "--memory-reservation", "cpus": "--cpus"}  # without a key


def parts_of(fields: Mapping[str, Any], files: Collection[str]) -> list[str]:
    """Of these Quadlet files those of a container's networks and volumes: it names them, so that systemd orders it after them."""
    networks = {*fields.get("networks", ()), fields.get("network_mode", "")}
    volumes = {volume.partition(":")[0] for volume in fields.get("volumes", ())}
    named = {f"{name}.network" for name in networks} | {f"{name}.volume" for name in volumes}
    return sorted(named.intersection(files))


def unit_text(
    name: str,
    fields: Mapping[str, Any],
    env: Mapping[str, str],
    labels: Mapping[str, str],
    files: Mapping[str, str],
    parts: Collection[str] = (),
) -> str:
    """The whole file of a container.

    `files` are lines of the [Container] section for what lies in files: secrets, and variables; `parts` the Quadlet files
    of its networks and volumes.
    """
    mode = str(fields.get("network_mode", ""))
    shared = mode.removeprefix("container:") if mode.startswith("container:") else ""
    sections = {
        "Unit": [f"Description=Container {name}", *_bound_to(shared), *_conditions(fields, files)],
        "Container": [f"ContainerName={name}", "Pull=never", *_container(fields, parts), *_words("Environment", env),
                      *_words("Label", labels), *(f"{key}={_doubled(value)}" for key, value in files.items())],
        "Service": [f"Restart={_RESTART[str(fields.get('restart', 'no')).partition(':')[0]]}"],
        "Install": ["WantedBy=multi-user.target"] if fields.get("restart", "no") != "no" else [],
    }  # fmt: skip
    return _sections(sections)


def part_text(what: str, name: str, asked: Mapping[str, Any]) -> str:
    """The whole file of a network or volume, without its first line; `asked` are its fields that were given."""
    section = what.capitalize()
    lines = [f"{section}Name={name}"]
    lines += [f"{key}={_doubled(asked[field])}" for field, key in _OF_A_PART.items() if field in asked]
    lines += [f"{key}=true" for field, key in _FLAGS_OF_A_PART.items() if asked.get(field)]
    lines += [f"PodmanArgs={_word(f'--opt={key}={text}')}" for key, text in sorted(asked.get("options", {}).items())]
    lines += _words("Label", asked["labels"])
    install = ["WantedBy=multi-user.target"]  # not only with a container: what is started at boot is in sync after it
    return _sections({"Unit": [f"Description={section} {name}"], section: lines, "Install": install})


def _sections(sections: Mapping[str, Sequence[str]]) -> str:
    return "\n".join(
        f"[{section}]\n" + "".join(f"{line}\n" for line in lines) for section, lines in sections.items() if lines
    )


def _bound_to(shared: str) -> Sequence[str]:
    """Containers whose network is another's go and come with it."""
    return [f"BindsTo={shared}.service", f"After={shared}.service"] if shared else []


def _conditions(fields: Mapping[str, Any], files: Mapping[str, str]) -> Iterator[str]:
    """After a boot what lies in memory is gone: the unit is passed over, and not failed, until a pass has written it again."""
    mounted = [volume.partition(":")[0] for volume in fields.get("volumes", ())]
    needed = {*files.values(), *(path for path in mounted if path.startswith(SECRETS))}
    yield from (f"ConditionPathExists={_doubled(path)}" for path in sorted(needed))


def _container(fields: Mapping[str, Any], parts: Collection[str]) -> Iterator[str]:
    yield from (f"{key}={_doubled(fields[name])}" for name, key in _SIMPLE.items() if name in fields)
    for name, key in _REPEATED.items():
        yield from (f"{key}={_doubled(value)}" for value in fields.get(name, ()))
    yield from (f"PublishPort={_port(text)}" for text in fields.get("ports", ()))
    for volume in fields.get("volumes", ()):
        name, colon, rest = volume.partition(":")
        yield f"Volume={_doubled(_named(name, 'volume', parts) + colon + rest)}"
    yield from _networks(fields, parts)
    yield from _process(fields)
    yield from _health(fields.get("healthcheck"))
    yield from _logging(fields.get("logging"))
    yield from _arguments(fields)


def _port(text: str) -> str:
    found = binding(text)
    if found.address:
        return f"{found.address}:{found.host_port}:{found.port}"
    return f"{found.host_port}:{found.port}" if found.host_port else found.port


def _named(name: str, kind: str, parts: Collection[str]) -> str:
    """A network or volume by its Quadlet file where there is one."""
    return f"{name}.{kind}" if f"{name}.{kind}" in parts else name


def _networks(fields: Mapping[str, Any], parts: Collection[str]) -> Iterator[str]:
    if "network_mode" in fields:
        yield f"Network={_named(fields['network_mode'], 'network', parts)}"
    for name, wanted in fields.get("networks", {}).items():
        options = [f"alias={alias}" for alias in wanted.get("aliases", ())]
        options += [
            f"{key}={wanted[field]}"
            for field, key in (("ipv4_address", "ip"), ("ipv6_address", "ip6"))
            if field in wanted
        ]
        yield f"Network={_named(name, 'network', parts)}" + (f":{','.join(options)}" if options else "")


def _process(fields: Mapping[str, Any]) -> Iterator[str]:
    user, _, group = str(fields.get("user", "")).partition(":")
    yield from (f"{key}={value}" for key, value in (("User", user), ("Group", group)) if value)
    if "entrypoint" in fields:
        yield f"Entrypoint={_doubled(json.dumps(list(fields['entrypoint'])))}"
    if "command" in fields:
        yield f"Exec={' '.join(map(_word, fields['command']))}"
    yield from (f"{key}=true" for name, key in (("init", "RunInit"), ("read_only", "ReadOnly")) if fields.get(name))
    if "no-new-privileges" in fields.get("security_opt", ()):
        yield "NoNewPrivileges=true"


def _health(check: Mapping[str, Any] | None) -> Iterator[str]:
    if check is None:
        return
    kind, *words = check["test"]
    told = {"NONE": "none", "CMD": json.dumps(words)}.get(kind) or json.dumps([kind, *words])
    yield f"HealthCmd={_doubled(told)}"
    keys = {
        "interval": "HealthInterval",
        "timeout": "HealthTimeout",
        "start_period": "HealthStartPeriod",
        "retries": "HealthRetries",
    }
    yield from (f"{key}={check[name]}" for name, key in keys.items() if name in check)


def _logging(logging: Mapping[str, Any] | None) -> Iterator[str]:
    if logging is not None:
        yield f"LogDriver={_doubled(logging['driver'])}"
        yield from (f"LogOpt={_doubled(f'{name}={text}')}" for name, text in logging.get("options", {}).items())


def _arguments(fields: Mapping[str, Any]) -> Iterator[str]:
    given = [f"{option}={fields[name]}" for name, option in _ARGUMENTS.items() if name in fields]
    given += ["--privileged"] if fields.get("privileged") else []
    given += [f"--security-opt={text}" for text in fields.get("security_opt", ()) if text != "no-new-privileges"]
    yield from (f"PodmanArgs={_word(text)}" for text in given)


def _words(key: str, pairs: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{key}={_word(f'{name}={value}')}" for name, value in sorted(pairs.items()))


def _doubled(value: object) -> str:
    return str(value).replace("%", "%%").replace("$", "$$")


def _word(text: str) -> str:
    """One word of a line that systemd splits (systemd.syntax(7))."""
    doubled = _doubled(text)
    if _PLAIN.fullmatch(doubled):
        return doubled
    escaped = doubled.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
