"""The label that SELinux keeps of what stands at a path: what Git says of it, over what the policy of the host says."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modules.api import FileView, Unsupported
from modules.fields import FieldType, Lookup, string_map

LABEL = "security.selinux"
PARTS = ("user", "role", "type", "range")
_FORMS = {"range": re.compile(r"\w[\w.,:-]*")}  # s0-s0:c0.c1023
_WORD = re.compile(r"\w+")
_UNKNOWN = {"user": "system_u", "role": "object_r", "range": "s0"}  # of what has no label, and no policy names


def _parse(value: object, lookup: Lookup) -> Mapping[str, str]:
    given = _split(value) if isinstance(value, str) else string_map(value, lookup)
    for part, text in given.items():
        if part not in PARTS:
            raise ValueError(f"must be a mapping of {', '.join(PARTS)}, not of {part!r}")
        if not _FORMS.get(part, _WORD).fullmatch(text):
            raise ValueError(f"must have a {part} such as etc_t, not {text!r}")
    return given


def _split(text: str) -> Mapping[str, str]:
    """A type alone, or all of a context."""
    if ":" not in text:
        return {"type": text}
    parts = text.split(":", 3)
    if len(parts) < 3:
        raise ValueError(f"must be a type such as etc_t, or user:role:type:range, not {text!r}")
    return dict(zip(PARTS, parts, strict=False))


_TEXT = {"type": "string"}
CONTEXT = FieldType(
    "SELinux type, context, or mapping of `user`, `role`, `type` and `range`",
    _parse,
    {"anyOf": [_TEXT, {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(PARTS, _TEXT)}]},
)


def label(files: FileView, path: str) -> str:
    """The context of what stands at a path; empty when it has none, or its file system keeps none."""
    try:
        return (files.xattr(path, LABEL) or b"").rstrip(b"\0").decode(errors="replace")
    except Unsupported:
        return ""


def context(given: Mapping[str, str], found: str, default: str | None) -> str | None:
    """The whole context that is wanted: the given parts, over those of the policy, or else of what was found.

    None where SELinux is not in use (`default` is None), and where nobody says of what type it shall be.
    """
    if default is None:
        return None
    base = _split(default or found) if default or found else _UNKNOWN
    parts = {**base, **given}
    return ":".join(parts[part] for part in PARTS if part in parts) if "type" in parts else None


def packed(context: str) -> bytes:
    """A context as the attribute holds it."""
    return f"{context}\0".encode()
