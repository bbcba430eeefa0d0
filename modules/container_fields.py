"""The field types of containers: short syntaxes as compose users write them, in one canonical form each.

The forms follow the Compose specification (services: ports, volumes, healthcheck) and the engine API. What they allow
and this module does not is refused with the reason, so that nothing is silently ignored.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping

from modules.container_ports import all_bindings
from modules.fields import FieldType, Lookup, describe, expect_text

_TEXT_SCHEMA: Mapping[str, object] = {"type": "string"}
_LIST_SCHEMA: Mapping[str, object] = {"type": "array", "items": _TEXT_SCHEMA}
_MAP_SCHEMA: Mapping[str, object] = {"type": "object", "additionalProperties": _TEXT_SCHEMA}

LABEL_PREFIX = "gitops-agent."
NEW, OLD, FAILED = ".gitops-agent-new", ".gitops-agent-old", ".gitops-agent-failed"  # spare names of a replacement
MAX_STOP_SECONDS = 3600

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,199}")
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REGISTRY = r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*)(?::[0-9]+)?"
_IMAGE = re.compile(
    rf"(?P<name>(?:{_REGISTRY}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?P<tag>:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?"
)
_MODES = ("none", "host", "bridge")


def _parsed_text(parse: Callable[[str], object]) -> Callable[[object, Lookup], object]:
    return lambda value, _lookup: parse(_plain_text(value))


def _plain_text(value: object) -> str:
    text = expect_text(value)
    if any(ord(character) < 32 for character in text):
        raise ValueError("must not contain control characters")
    return text


def _texts(value: object, example: str) -> list[str]:
    if isinstance(value, str):
        raise ValueError(f"must be a list of texts such as {example}, not text")
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a list of texts such as {example}, not {describe(value)}")
    return [expect_text(item) for item in value]


def _container_name(text: str) -> str:
    if not _NAME.fullmatch(text):
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
    words = _texts(value, "[httpd, -f]")
    if any("\0" in word for word in words):
        raise ValueError("must not contain a NUL character")
    return tuple(words)


def _env(value: object, lookup: Lookup) -> object:
    values = _text_map(value)
    wrong = next((name for name, text in values.items() if not name or "=" in name or "\0" in name + text), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} cannot be a variable: a name without '=', and no NUL character")
    return lookup.text(json.dumps(values, sort_keys=True)) if values else None


def _labels(value: object, _lookup: Lookup) -> Mapping[str, str]:
    values = _text_map(value)
    own = next((name for name in values if name.startswith(LABEL_PREFIX)), None)
    if own is not None:
        raise ValueError(f"must not set {own!r}: labels that begin with {LABEL_PREFIX!r} are the agent's own")
    return values


def _text_map(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of names to texts, not {describe(value)}")
    for name, item in value.items():
        if not isinstance(item, str):
            raise ValueError(
                f"{name!r} must be text, not {describe(item)}: put it in quotes, or add `| string` to an expression"
            )
    return {expect_text(name): expect_text(item) for name, item in value.items()}


def _ports(value: object, _lookup: Lookup) -> tuple[str, ...]:
    return all_bindings(_texts(value, '["127.0.0.1:8080:80"]'))


def _volumes(value: object, _lookup: Lookup) -> tuple[str, ...]:
    found = [_volume(text) for text in _texts(value, '["data:/var/lib/app", "/etc/app:/etc/app:ro"]')]
    twice = [target for target, count in Counter(volume.split(":")[1] for volume in found).items() if count > 1]
    if twice:
        raise ValueError(f"mounts more than one thing at {twice[0]}")
    return tuple(sorted(found))


def _volume(text: str) -> str:
    source, *rest = _plain_text(text).split(":")
    if not rest:
        raise ValueError(f"{text!r} must be SOURCE:/PATH: unnamed volumes are not supported, give it a name")
    target, *modes = rest
    if modes not in ([], ["ro"], ["rw"]):
        raise ValueError(f"{text!r} may end in :ro or :rw; {':'.join(modes)!r} is not supported")
    if source.startswith("/"):
        source = _clean_path(source)
    elif not _NAME.fullmatch(source):
        raise ValueError(f"{text!r} must begin with a volume's name or an absolute path, not {source!r}")
    target = _clean_path(target)
    if target == "/":
        raise ValueError(f"{text!r} cannot mount over the container's /")
    return f"{source}:{target}:ro" if modes == ["ro"] else f"{source}:{target}"


def _clean_path(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not path.startswith("/") or ".." in parts:
        raise ValueError(f"{path!r} must be an absolute path without '..'")
    return "/" + "/".join(parts)


def _network_mode(text: str) -> str:
    name = text.removeprefix("container:")
    if text in _MODES or (_NAME.fullmatch(name) and name not in ("default", *_MODES)):
        return text
    raise ValueError(f"must be none, host, bridge, container:NAME or the name of a network, not {text!r}")


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
    test = ("CMD-SHELL", value) if isinstance(value, str) else tuple(_texts(value, "[CMD, wget, -q, URL]"))
    takes = {"CMD": len(test) > 1, "CMD-SHELL": len(test) == 2 and test[1] != "", "NONE": len(test) == 1}
    if not test or not takes.get(test[0], False):
        raise ValueError("test must be a shell command, [CMD, PROGRAM, ...], [CMD-SHELL, COMMAND] or [NONE]")
    return test


def _text_type(name: str, parse: Callable[[str], object]) -> FieldType:
    return FieldType(name, _parsed_text(parse), _TEXT_SCHEMA)


CONTAINER_NAME = _text_type("container name", _container_name)
IMAGE = _text_type("image reference", _image)
ARGV = FieldType("list of texts", _argv, _LIST_SCHEMA)
ENV = FieldType("mapping of texts", _env, _MAP_SCHEMA, keeps_secrets=True)
LABELS = FieldType("mapping of texts", _labels, _MAP_SCHEMA)
PORTS = FieldType('list of ports ("[IP:][HOST:]PORT[/udp]")', _ports, _LIST_SCHEMA)
VOLUMES = FieldType('list of volumes ("SOURCE:/PATH[:ro]")', _volumes, _LIST_SCHEMA)
NETWORK_MODE = _text_type("`none`, `host`, `bridge`, `container:NAME` or a network's name", _network_mode)
RESTART = _text_type("`no`, `always`, `unless-stopped` or `on-failure[:TIMES]`", _restart)
HOSTNAME = _text_type("host name", _hostname)
USER = _text_type('user ("1000:1000")', _user)
WORKDIR = _text_type("absolute path", _clean_path)
STOP_SECONDS = FieldType(
    "whole number of seconds", _stop_seconds, {"type": "integer", "minimum": 0, "maximum": MAX_STOP_SECONDS}
)
HEALTHCHECK = FieldType(
    "mapping: `test`, `interval`, `timeout`, `retries`, `start_period`",
    _healthcheck,
    {
        "type": "object",
        "properties": {
            "test": {"anyOf": [_TEXT_SCHEMA, _LIST_SCHEMA]},
            **dict.fromkeys(_CHECK_DURATIONS, _TEXT_SCHEMA),
            "retries": {"type": "integer", "minimum": 1},
        },
        "required": ["test"],
        "additionalProperties": False,
    },
)
