"""The content that a step changes, as a unified diff; bounded, since to compare two large texts can take hours."""

from __future__ import annotations

import difflib

from agent.plan import Step
from modules.api import HostView, ResourceError

MAX_BYTES = 1 << 20  # of either side
MAX_COMPARED = 5_000  # lines of either side that are compared
MAX_SHOWN = 200  # lines of the diff
NO_NEWLINE = "\\ No newline at end of file"  # as diff(1) says it


def diff_of(step: Step, host: HostView) -> tuple[list[str], str]:
    """The unified diff of the content that a step changes, and its size in words; empty when there is none to show."""
    if not set(step.drift).intersection(step.node.resource.diffed):
        return [], ""
    try:
        contents = step.node.resource.contents(host, step.drift)
    except ResourceError as error:
        return [], f"content (not shown: {error})"
    return compared(*contents) if contents is not None else ([], "")


def compared(before: bytes, after: bytes) -> tuple[list[str], str]:
    """Compare two contents: the lines of the diff without its file names, and its size in words."""
    if b"\0" in before or b"\0" in after:
        return [], f"content binary, {len(before)} -> {len(after)} bytes"
    old, new = _lines(before), _lines(after)
    if max(len(before), len(after)) > MAX_BYTES or max(len(old), len(new)) > MAX_COMPARED:
        return [], f"content {len(before)} -> {len(after)} bytes"
    lines: list[str] = []
    for line in list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]:
        lines += [line.removesuffix("\n")] if line.endswith("\n") or line[:1] == "@" else [line, NO_NEWLINE]
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    if len(lines) > MAX_SHOWN:
        lines = [*lines[:MAX_SHOWN], f"... {len(lines) - MAX_SHOWN} more lines"]
    return lines, f"content +{added} -{removed}"


def _lines(data: bytes) -> list[str]:
    """Cut at newlines only, each kept: what ends a line for Python (a form feed, U+2028) does not for a file."""
    *whole, last = data.decode(errors="replace").split("\n")
    return [*(f"{line}\n" for line in whole), *([last] if last else [])]
