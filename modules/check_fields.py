"""The field types of checks: what a check is asked about is judged when it is declared, not when it first fails."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from modules.container_values import TEXT_SCHEMA, object_name, text_type
from modules.fields import FieldType, describe, expect_text
from modules.unit_names import instance_of, unit_problem


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"must be a URL, not {text!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"must be an http or https URL such as http://localhost:8080/health, not {text!r}")
    wrong = _unasked(text, parts)
    if wrong:
        raise ValueError(f"{wrong}: {text!r}")
    return text


def _unasked(text: str, parts: SplitResult) -> str:
    """What of a URL would not be asked for as it is written; empty when there is nothing."""
    if not text.isascii() or any(character.isspace() for character in text):
        return "must have what is not ASCII, and spaces, in percent signs (`%20`), or a host name in its ASCII form"
    if parts.username is not None:
        return "must not have a password, which everybody could read"
    return "must not have a `#`, which no server is told" if "#" in text else ""


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or set(bare) & set("[]/@") or not bare.isascii() or any(found.isspace() for found in bare):
        raise ValueError(f"must be HOST:PORT such as localhost:5432, not {text!r}")
    if ":" in host and bare == host:
        raise ValueError(f"must have an IPv6 address in brackets, such as [::1]:5432: {text!r}")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise ValueError(f"must have a port from 1 to 65535 after its last colon: {text!r}")
    return text


def _unit(text: str) -> str:
    problem = unit_problem(text)
    if not problem and "@." in text:
        problem = f"`{text}` is a template, which never runs; name an instance such as {instance_of(text)}"
    if problem:
        raise ValueError(f"must name one unit: {problem}")
    return text


def _argv(value: object, _lookup: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be a list of texts, the program first, not {describe(value) if value != [] else value}")
    words = tuple(expect_text(item) for item in value)
    if any("\0" in word for word in words):
        raise ValueError("must not contain a NUL character")
    if not words[0] or ("/" in words[0] and not words[0].startswith("/")):
        raise ValueError(f"must begin with a program, by its name or its absolute path, not {words[0]!r}")
    return words


def _number(what: str, least: int, most: int) -> FieldType:
    def parse(value: object, _lookup: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise ValueError(f"must be a {what} from {least} to {most}, not {value!r}")

    return FieldType(what, parse, {"type": "integer", "minimum": least, "maximum": most})


URL = text_type("http or https URL", _url)
ADDRESS = text_type("`HOST:PORT`", _address)
UNIT = text_type("unit name", _unit)
CONTAINER = text_type("container name", object_name("container"))
ARGV = FieldType("list of texts", _argv, {"type": "array", "items": TEXT_SCHEMA, "minItems": 1})
SECONDS = _number("whole number of seconds", 1, 300)
AGE = _number("whole number of seconds", 1, 10 * 366 * 86_400)
STATUS = _number("status of HTTP", 100, 599)
