"""The field types of what a container may use and do: memory, processors, limits, capabilities, devices, kernel settings.

The forms follow the Compose specification. Each has one canonical form, since the spec's digest is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from modules.container_values import (
    LIST_OR_MAP_SCHEMA,
    MAP_SCHEMA,
    TEXT_SCHEMA,
    clean_path,
    list_type,
    paired,
    text_map,
    text_type,
    texts,
)
from modules.fields import FieldType, Lookup, describe
from modules.sizes import SIZES

_SIZE = re.compile(r"([0-9]{1,15})([bkmg]?)b?", re.IGNORECASE)
_ULIMITS = frozenset(
    [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)
_SECURITY = re.compile(r"no-new-privileges(=(true|false))?|(apparmor|label)=\S+|seccomp=unconfined")
_UNLIMITED = -1


def _size(value: object, _lookup: Lookup) -> int:
    match = _SIZE.fullmatch(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    size = int(match[1]) * SIZES[match[2].lower()] if match else 0
    if not 1 <= size < 1 << 60:
        raise ValueError(f"must be a size such as 512m or 2g, not {value!r}")
    return size


def _cpus(value: object, _lookup: Lookup) -> str:
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal(0)
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or not Decimal("0.01") <= number <= 10_000 or number != round(number, 3):
        raise ValueError(f"must be a number of processors such as 1 or 0.5, not {value!r}")
    return f"{number.normalize():f}"


def _count(value: object, _lookup: Lookup) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 1 << 31:
        return value
    raise ValueError(f"must be a whole number from 1, not {describe(value)}")


def _ulimits(value: object, _lookup: Lookup) -> tuple[str, ...]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping such as {{nofile: 65536}}, not {describe(value)}")
    unknown = next((name for name in value if name not in _ULIMITS), None)
    if unknown is not None:
        raise ValueError(f"does not know {unknown!r}; it takes {', '.join(sorted(_ULIMITS))}")
    return tuple(sorted(f"{name}={_ulimit(name, limit)}" for name, limit in value.items()))


def _ulimit(name: str, limit: object) -> str:
    both = limit if isinstance(limit, Mapping) else {"soft": limit, "hard": limit}
    numbers = [both.get("soft"), both.get("hard")]
    if set(both) != {"soft", "hard"} or not all(type(number) is int and number >= _UNLIMITED for number in numbers):
        raise ValueError(f"{name} must be a whole number, or {{soft: NUMBER, hard: NUMBER}}; {_UNLIMITED} for no limit")
    return f"{numbers[0]}:{numbers[1]}"


def _capability(text: str) -> str:
    name = text.upper().removeprefix("CAP_")
    if not re.fullmatch(r"[A-Z][A-Z_]{1,30}", name):
        raise ValueError(f"has {text!r}, which is no capability such as NET_ADMIN")
    return name


def _device(text: str) -> str:
    source, *rest = text.split(":")
    target, access = [*rest, *(source, "rwm")[len(rest) :]] if len(rest) < 3 else ("", "")
    if not re.fullmatch(r"r?w?m?", access) or not access:
        raise ValueError(f"has {text!r}, which is no device such as /dev/fuse or /dev/sda:/dev/xvda:r")
    return f"{clean_path(source)}:{clean_path(target)}:{access}"


def _security(text: str) -> str:
    option = text.replace(":", "=", 1)
    if not _SECURITY.fullmatch(option):
        raise ValueError(
            f"has {text!r}; it takes no-new-privileges, apparmor=PROFILE, label=OPTION and seccomp=unconfined"
        )
    return option


def _sysctls(value: object, _lookup: Lookup) -> tuple[str, ...]:
    found = paired(value, "=", "[net.core.somaxconn=1024]")
    wrong = next((name for name in found if not re.fullmatch(r"[a-z0-9_]+(\.[A-Za-z0-9_/-]+)+", name)), None)
    if wrong is not None:
        raise ValueError(f"has {wrong!r}, which is no kernel setting such as net.core.somaxconn")
    return tuple(sorted(f"{name}={text}" for name, text in found.items()))


def _tmpfs(text: str) -> str:
    path, given, options = text.partition(":")
    if given and not re.fullmatch(r"[a-z]+(=[A-Za-z0-9%]+)?(,[a-z]+(=[A-Za-z0-9%]+)?)*", options):
        raise ValueError(f"has {text!r}; after the path come options such as size=64m,mode=1777")
    return clean_path(path) + given + options


def _signal(text: str) -> str:
    name = text.upper().removeprefix("SIG")
    if not re.fullmatch(r"[A-Z][A-Z0-9]{1,8}([+-][0-9]{1,2})?|[1-9][0-9]?", name):
        raise ValueError(f"must be a signal such as SIGTERM, not {text!r}")
    return name if name.isdigit() else f"SIG{name}"


def _logging(value: object, _lookup: Lookup) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or set(value) - {"driver", "options"} or not isinstance(value.get("driver"), str):
        raise ValueError("must be a mapping with driver, and options if need be, such as {driver: journald}")
    options = text_map(value.get("options") or {})
    return {"driver": value["driver"], **({"options": options} if options else {})}


def _groups(value: object, _lookup: Lookup) -> tuple[str, ...]:
    found = texts(value, '["docker", "2000"]')
    wrong = next((name for name in found if not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*", name)), None)
    if wrong is not None:
        raise ValueError(f"has {wrong!r}, which is no group: a name, or a number in quotes")
    return tuple(sorted(set(found)))


SIZE = FieldType("size (`512m`)", _size, {"type": ["string", "integer"]})
CPUS = FieldType("number of processors (`0.5`)", _cpus, {"type": ["string", "number"]})
COUNT = FieldType("whole number", _count, {"type": "integer", "minimum": 1})
ULIMITS = FieldType("mapping of limits (`{nofile: 65536}`)", _ulimits, {"type": "object"})
CAPABILITIES = list_type("list of capabilities", "[NET_ADMIN]", _capability)
DEVICES = list_type('list of devices ("/dev/HOST[:/dev/INSIDE[:rwm]]")', '["/dev/fuse"]', _device)
SECURITY = list_type("list of security options", "[no-new-privileges]", _security)
SYSCTLS = FieldType("mapping, or list of NAME=VALUE", _sysctls, LIST_OR_MAP_SCHEMA)
TMPFS = list_type('list of paths ("/run[:size=64m,mode=1777]")', '["/run"]', _tmpfs)
SIGNAL = text_type("signal (`SIGTERM`)", _signal)
GROUPS = FieldType("list of groups", _groups, {"type": "array", "items": TEXT_SCHEMA})
LOGGING = FieldType(
    "mapping: `driver`, `options`",
    _logging,
    {
        "type": "object",
        "properties": {"driver": TEXT_SCHEMA, "options": MAP_SCHEMA},
        "required": ["driver"],
        "additionalProperties": False,
    },
)
