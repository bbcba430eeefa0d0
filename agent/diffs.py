"""The content that a step changes, as a unified diff; bounded, since to compare two large texts can take hours."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from agent.plan import Step
from modules.api import HostView, ResourceError

MAX_BYTES = 1 << 20  # of either side
MAX_COMPARED = 5_000  # lines of either side that are compared
MAX_SHOWN = 200  # lines of the diff
NO_NEWLINE = "\\ No newline at end of file"  # as diff(1) says it


@dataclass(frozen=True)
class Difference:
    """The lines of a diff without its file names, and its size in words; both empty when there is none."""

    lines: tuple[str, ...] = ()
    size: str = ""
    compared: int = 0  # lines that were compared for it


def difference_of(step: Step, host: HostView, limit: int = MAX_COMPARED) -> Difference:
    """How the content that a step changes differs, when neither side has more lines than `limit`."""
    if not set(step.drift).intersection(step.node.resource.diffed):
        return Difference()
    if step.was_secret:
        return Difference(size="content (not shown)")
    if step.node.resource.hides_text:
        change = step.drift["content"]
        return hidden(change.before, change.after)
    try:
        contents = step.node.resource.contents(host, step.drift)
    except ResourceError as error:
        return Difference(size=f"content (not shown: {error})")
    return compared(*contents, limit) if contents is not None else Difference()


def hidden(before: object, after: object) -> Difference:
    """Contents named by their digests, as somebody asked for."""
    was, now = (str(digest)[:12] if digest else "none" for digest in (before, after))
    return Difference(size=f"content {was} -> {now} (text not shown)")


def compared(before: bytes, after: bytes, limit: int = MAX_COMPARED) -> Difference:
    """Compare two contents."""
    if b"\0" in before or b"\0" in after:
        return Difference(size=f"content binary, {len(before)} -> {len(after)} bytes")
    old, new = _lines(before), _lines(after)
    if max(len(before), len(after)) > MAX_BYTES or max(len(old), len(new)) > limit:
        return Difference(size=f"content {len(before)} -> {len(after)} bytes")
    lines: list[str] = []
    for line in list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]:
        lines += [line.removesuffix("\n")] if line.endswith("\n") or line[:1] == "@" else [line, NO_NEWLINE]
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    if len(lines) > MAX_SHOWN:
        lines = [*lines[:MAX_SHOWN], f"... {len(lines) - MAX_SHOWN} more lines"]
    return Difference(tuple(lines), f"content +{added} -{removed}", max(len(old), len(new)))


def _lines(data: bytes) -> list[str]:
    """Cut at newlines only, each kept: what ends a line for Python (a form feed, U+2028) does not for a file."""
    *whole, last = data.decode(errors="replace").split("\n")
    return [*(f"{line}\n" for line in whole), *([last] if last else [])]
