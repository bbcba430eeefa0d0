"""The field types of containers: short syntaxes as compose users write them, in one canonical form each.

The forms follow the Compose specification (services: ports, volumes, healthcheck) and the engine API. What they allow
and this module does not is refused with the reason, so that nothing is silently ignored.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping

from modules.container_ports import all_bindings
from modules.container_values import (
    LIST_SCHEMA,
    MAP_SCHEMA,
    NAME,
    TEXT_SCHEMA,
    clean_path,
    plain_text,
    text_map,
    text_type,
    texts,
)
from modules.fields import FieldType, Lookup, describe, expect_text

NEW, OLD, FAILED = ".gitops-agent-new", ".gitops-agent-old", ".gitops-agent-failed"  # spare names of a replacement
MAX_STOP_SECONDS = 3600

_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REGISTRY = r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*)(?::[0-9]+)?"
_IMAGE = re.compile(
    rf"(?P<name>(?:{_REGISTRY}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?P<tag>:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?"
)


def _container_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"must be 2 to 200 letters, digits, '_', '.' or '-', the first a letter or digit: {text!r}")
    if text.endswith((NEW, OLD, FAILED)):
        raise ValueError(f"must not end in {NEW}, {OLD} or {FAILED}: those are used while a container is replaced")
    return text


def _image(text: str) -> str:
    match = _IMAGE.fullmatch(text) if len(text) <= 512 else None
    if match is None:
        raise ValueError(f"must be an image such as registry.example.com/app:1.2 or app@sha256:..., not {text!r}")
    return text if match["tag"] or match["digest"] else f"{text}:latest"


def _argv(value: object, _lookup: Lookup) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError("must be a list of texts such as [httpd, -f]: text is never split into words")
    words = texts(value, "[httpd, -f]")
    if any("\0" in word for word in words):
        raise ValueError("must not contain a NUL character")
    return tuple(words)


def _env(value: object, lookup: Lookup) -> object:
    values = text_map(value)
    wrong = next((name for name, text in values.items() if not name or "=" in name or "\0" in name + text), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} cannot be a variable: a name without '=', and no NUL character")
    return lookup.text(json.dumps(values, sort_keys=True)) if values else None


def _env_file(value: object, lookup: Lookup) -> object:
    """The variables of all files, later ones over earlier, as `env` keeps them."""
    values: dict[str, str] = {}
    for name in [value] if isinstance(value, str) else texts(value, "[app.env]"):
        values |= _variables(name, lookup.template(name).data or b"")
    return lookup.text(json.dumps(values, sort_keys=True))


def _variables(file: str, data: bytes) -> dict[str, str]:
    """NAME=VALUE lines, taken as they stand; empty lines and those that begin with # are none."""
    found = {}
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, given, text = line.partition("=")
            if not given or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) or "\0" in text:
                raise ValueError(f"names {file}, whose line {number} is no NAME=VALUE")
            found[name] = text
    return found


def _secrets(value: object, lookup: Lookup) -> object:
    values = text_map(value)
    wrong = next((name for name in values if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} cannot be a file in /run/secrets: letters, digits, '.', '_' and '-'")
    return lookup.text(json.dumps(values, sort_keys=True)) if values else None


def _ports(value: object, _lookup: Lookup) -> tuple[str, ...]:
    return all_bindings(texts(value, '["127.0.0.1:8080:80"]'))


def _volumes(value: object, _lookup: Lookup) -> tuple[str, ...]:
    found = [_volume(text) for text in texts(value, '["data:/var/lib/app", "/etc/app:/etc/app:ro"]')]
    twice = [target for target, count in Counter(volume.split(":")[1] for volume in found).items() if count > 1]
    if twice:
        raise ValueError(f"mounts more than one thing at {twice[0]}")
    return tuple(sorted(found))


def _volume(text: str) -> str:
    source, *rest = plain_text(text).split(":")
    if not rest:
        raise ValueError(f"{text!r} must be SOURCE:/PATH: unnamed volumes are not supported, give it a name")
    target, *modes = rest
    if modes not in ([], ["ro"], ["rw"]):
        raise ValueError(f"{text!r} may end in :ro or :rw; {':'.join(modes)!r} is not supported")
    if source.startswith("/"):
        source = clean_path(source)
    elif not NAME.fullmatch(source):
        raise ValueError(f"{text!r} must begin with a volume's name or an absolute path, not {source!r}")
    target = clean_path(target)
    if target == "/":
        raise ValueError(f"{text!r} cannot mount over the container's /")
    return f"{source}:{target}:ro" if modes == ["ro"] else f"{source}:{target}"


def _restart(text: str) -> str:
    name, _, count = text.partition(":")
    if text in ("no", "always", "unless-stopped", "on-failure"):
        return text
    if name == "on-failure" and re.fullmatch(r"[1-9][0-9]{0,5}", count):
        return text
    raise ValueError(f"must be no, always, unless-stopped, on-failure or on-failure:TIMES, not {text!r}")


def _hostname(text: str) -> str:
    if not _HOSTNAME.fullmatch(text):
        raise ValueError(f"must be a host name of at most 63 letters, digits, '-' and '.', not {text!r}")
    return text


def _user(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*(:[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?", text):
        raise ValueError(f'must be USER or USER:GROUP, names or numbers in quotes such as "1000:1000", not {text!r}')
    return text


def _stop_seconds(value: object, _lookup: Lookup) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_STOP_SECONDS:
        shown = describe(value) if not isinstance(value, str) else repr(value)
        raise ValueError(f"must be a whole number of seconds from 0 to {MAX_STOP_SECONDS}, not {shown}")
    return value


# Health checks

_CHECK_DURATIONS = ("interval", "timeout", "start_period")
_CHECK_KEYS = ("test", *_CHECK_DURATIONS, "retries")
_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile(
    r"(?:(?P<h>[0-9]{1,3})h)?(?:(?P<m>[0-9]{1,4})m)?(?:(?P<s>[0-9]{1,6})s)?(?:(?P<ms>[0-9]{1,9})ms)?"
)


def milliseconds(text: str) -> int:
    """How long a duration such as `1m30s` or `500ms` is. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    total = sum(int(match[unit] or 0) * size for unit, size in _UNITS.items()) if match else 0
    if not 1 <= total <= 24 * _UNITS["h"]:
        raise ValueError(f"must be a duration from 1ms to 24h such as 10s or 1m30s, not {text!r}")
    return total


def _healthcheck(value: object, _lookup: Lookup) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping with {', '.join(_CHECK_KEYS)}, not {describe(value)}")
    unknown = [str(key) for key in value if key not in _CHECK_KEYS]
    if unknown or "test" not in value:
        wrong = f"does not know {unknown[0]!r}" if unknown else "needs `test`"
        raise ValueError(f"{wrong}; it takes {', '.join(_CHECK_KEYS)}")
    return {key: _check_value(key, item) for key, item in value.items()}


def _check_value(key: str, value: object) -> object:
    if key == "test":
        return _check_test(value)
    try:
        return f"{milliseconds(expect_text(value))}ms" if key in _CHECK_DURATIONS else _tries(value)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from error


def _tries(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000:
        return value
    raise ValueError(f"must be a whole number from 1 to 1000, not {describe(value)}")


def _check_test(value: object) -> tuple[str, ...]:
    test = ("CMD-SHELL", value) if isinstance(value, str) else tuple(texts(value, "[CMD, wget, -q, URL]"))
    takes = {"CMD": len(test) > 1, "CMD-SHELL": len(test) == 2 and test[1] != "", "NONE": len(test) == 1}
    if not test or not takes.get(test[0], False):
        raise ValueError("test must be a shell command, [CMD, PROGRAM, ...], [CMD-SHELL, COMMAND] or [NONE]")
    return test


CONTAINER_NAME = text_type("container name", _container_name)
IMAGE = text_type("image reference", _image)
ARGV = FieldType("list of texts", _argv, LIST_SCHEMA)
ENV_FILE = FieldType(
    "template of NAME=VALUE lines, or a list of them",
    _env_file,
    {"anyOf": [TEXT_SCHEMA, LIST_SCHEMA]},
    keeps_secrets=True,
)
SECRETS = FieldType("mapping of texts", _secrets, MAP_SCHEMA, keeps_secrets=True)
ENV = FieldType("mapping of texts", _env, MAP_SCHEMA, keeps_secrets=True)
PORTS = FieldType('list of ports ("[IP:][HOST:]PORT[/udp]")', _ports, LIST_SCHEMA)
VOLUMES = FieldType('list of volumes ("SOURCE:/PATH[:ro]")', _volumes, LIST_SCHEMA)
RESTART = text_type("`no`, `always`, `unless-stopped` or `on-failure[:TIMES]`", _restart)
HOSTNAME = text_type("host name", _hostname)
USER = text_type('user ("1000:1000")', _user)
WORKDIR = text_type("absolute path", clean_path)
STOP_SECONDS = FieldType(
    "whole number of seconds", _stop_seconds, {"type": "integer", "minimum": 0, "maximum": MAX_STOP_SECONDS}
)
HEALTHCHECK = FieldType(
    "mapping: `test`, `interval`, `timeout`, `retries`, `start_period`",
    _healthcheck,
    {
        "type": "object",
        "properties": {
            "test": {"anyOf": [TEXT_SCHEMA, LIST_SCHEMA]},
            **dict.fromkeys(_CHECK_DURATIONS, TEXT_SCHEMA),
            "retries": {"type": "integer", "minimum": 1},
        },
        "required": ["test"],
        "additionalProperties": False,
    },
)
