"""`parents` of what lives at a path: the directories above it, made when they are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from modules.fields import FieldType, Lookup
from modules.modes import MODE, NEW_DIRECTORY


def _parse(value: object, lookup: Lookup) -> object:
    if isinstance(value, bool):
        return f"{NEW_DIRECTORY:04o}" if value else None
    return MODE.parse(value, lookup)


PARENTS = FieldType("true, false, or a mode", _parse, {"anyOf": [{"type": "boolean"}, MODE.schema]})
PARENTS_DOC = (
    "Make the directories above it that are missing, with this mode (`true`: 0755) and the owner and group given here. "
    "Those that are there are left as they are; those that were made go with it when they are empty."
)


def parents(
    path: str, mode: str | None, owner: str | None = None, group: str | None = None
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The resources for all directories above a path, the topmost first; none without a mode."""
    above = [] if mode is None else _above(path)
    for directory in reversed(list(above)):
        yield "directory", {"path": directory, "owner": owner, "group": group, "mode": mode, "as_parent": True}


def _above(path: str) -> Iterator[str]:
    while (path := os.path.dirname(path)) != "/":
        yield path
