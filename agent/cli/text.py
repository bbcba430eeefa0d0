"""How things look on a terminal and in a pipe: colour, ages, counts, lines for steps."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

COLOURS = {"green": "32", "yellow": "33", "red": "31", "cyan": "36", "dim": "2", "bold": "1"}
RESULT_COLOUR = {
    "converged": "green", "removed": "green", "released": "yellow", "failed": "red", "blocked": "yellow", "pending": "yellow",
    "OK": "green", "WARNING": "yellow", "CRITICAL": "red", "UNKNOWN": "yellow",
}  # fmt: skip
_HEXADECIMAL = frozenset("0123456789abcdef")


def coloured(stream: IO[str]) -> bool:
    """Tell whether a stream gets colour: a terminal, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: IO[str] | None = None) -> str:
    """Colour a text where the stream shows colour."""
    return f"\033[{COLOURS[colour]}m{text}\033[0m" if coloured(stream or sys.stdout) else text


def printable(text: str) -> str:
    """Make a text from Git or a tool safe for a terminal: control characters are shown, not obeyed."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def one_line(text: str) -> str:
    """As `printable`, and kept to one line: an id or a place can never pass for several."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def age(seconds: float) -> str:
    """A duration in the largest unit that says enough: 21 s, 4 min, 3 h, 2 d."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds / unit))} {name}"
    return f"{int(seconds / 86_400)} d"


def ago(moment: float) -> str:
    """How long ago a moment (seconds since the epoch) was."""
    return f"{age(time.time() - moment)} ago"


def clock(moment: float, *, seconds: bool = False) -> str:
    """A moment in local time: the hour when it was today, the date too when not."""
    then, now = time.localtime(moment), time.localtime()
    exact = "%H:%M:%S" if seconds else "%H:%M"
    return time.strftime(exact if then[:3] == now[:3] else f"%Y-%m-%d {exact}", then)


def stamp(moment: float) -> str:
    """A moment in local time, always with its date: columns of a list line up."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def several(count: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def short(value: object) -> str:
    """One property's value, kept to what fits a line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    if len(text) == 64 and set(text) <= _HEXADECIMAL:
        text = text[:12]
    return one_line(text if len(text) <= 60 else f"{text[:57]}...")


def differences(drift: Mapping[str, Sequence[Any]]) -> str:
    """Every property that differs: `owner root -> www-data, mode 0644 -> 0600`."""
    return ", ".join(f"{name} {short(before)} -> {short(after)}" for name, (before, after) in drift.items())


def cause_prefix(cause: str) -> str:
    """Say first what made a change due, unless a commit did, as is the rule."""
    return "" if cause == "revision" else f"{cause}: "


def by_author(author: str) -> str:
    """` by ops@example.com`; nothing when nobody is known."""
    return f" by {one_line(author)}" if author else ""


def diff_line(line: str) -> str:
    """One line of a diff, coloured by its first letter."""
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return paint(printable(line), colour) if colour else printable(line)


def outcome_line(outcome: Mapping[str, Any], stream: IO[str] | None = None) -> str:
    """One outcome: result, id, what and why, and its place in Git."""
    result = paint(f"{outcome['result']:<9}", RESULT_COLOUR.get(outcome["result"], "dim"), stream)
    drift = differences(outcome["drift"]) if outcome["result"] != "removed" else ""
    message = printable(outcome["message"]).strip().replace("\n", "\n            ")
    text = "; ".join(part for part in (drift, message) if part)
    cause = cause_prefix(outcome["cause"]) if drift else ""
    return join_columns(f"  {result} {one_line(outcome['id']):<40} {cause}{text}", one_line(outcome["place"]))


def join_columns(left: str, right: str) -> str:
    """Two columns, the right one last on the line."""
    return f"{left}  {right}".rstrip() if right else left.rstrip()


def tell(lines: Iterable[str]) -> None:
    """Print lines."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
