"""Where in a file something new goes: after or before a line that matches, at the end, or at the beginning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

START, END = "START", "END"


def pattern_problems(**patterns: str | None) -> Iterator[str]:
    """What is wrong with patterns, by the names of their fields."""
    for name, pattern in patterns.items():
        if pattern == "":
            yield f"{name} is empty, and so matches every line"
        try:
            re.compile(pattern or "")
        except re.error as error:
            yield f"{name} is no regular expression: {error}"


@dataclass(frozen=True)
class Anchor:
    """Where; at the end when neither is given, or when nothing matches."""

    after: str | None
    before: str | None
    first: bool = False

    def problems(self) -> Iterator[str]:
        """What is wrong with it."""
        if self.after is not None and self.before is not None:
            yield "give only one of insert_after and insert_before"
        yield from pattern_problems(
            insert_after=None if self.after == END else self.after,
            insert_before=None if self.before == START else self.before,
        )

    def index(self, lines: Sequence[str]) -> int:
        """The index of the line that new ones go before."""
        if self.before == START:
            return 0
        pattern = self.before if self.after in (None, END) else self.after
        if pattern is None:
            return len(lines)
        matching = [index for index, line in enumerate(lines) if re.search(pattern, line)]
        if not matching:
            return len(lines)
        chosen = matching[0 if self.first else -1]
        return chosen if self.before is not None else chosen + 1
