"""line: hold one line of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from modules.anchors import Anchor, pattern_problems
from modules.api import ResourceError, State
from modules.edits import Edit, Lines
from modules.fields import ABSOLUTE_PATH, BOOLEAN, TEXT, identity, option


@dataclass(frozen=True, kw_only=True)
class Line(Edit, kind="line", identity="path"):
    r"""One line of a file, whatever else it says.

    The last line that `match` finds becomes `text`; when there is none, and no line that is exactly so, it is added.
    The rest of the file, its line ends among it, stays as it is. Where a service reads a directory of drop-ins, a
    `file` in that is the better choice.
    """

    path: str = identity(ABSOLUTE_PATH, "The file.")
    text: str | None = option(TEXT, "The line, without its end.")
    match: str | None = option(TEXT, "A regular expression for the line that it replaces (with `absent`: all of them).")
    contains: str | None = option(TEXT, "The same as a plain text that the line has in it.")
    first: bool = option(BOOLEAN, "Take the first line that matches, not the last.", default=False)
    backrefs: bool = option(
        BOOLEAN, r"Fill in what `match` found (`\1`, `\g<name>`); a file without a match stays as it is.", default=False
    )
    insert_after: str | None = option(
        TEXT, "A new line goes after the last line that this matches, else to the end (`END`)."
    )
    insert_before: str | None = option(
        TEXT, "A new line goes before the last line that this matches, or to the beginning (`START`)."
    )

    missing = "no such line"
    says = ("text", "match", "contains")

    def problems(self) -> Sequence[str]:
        """Fields that contradict each other."""
        found = [*self.edit_problems(), *pattern_problems(match=self.match, contains=self.contains)]
        found += self._anchor.problems()
        if self.text is None and (self.ensure == "present" or self._pattern is None):
            found.append("text is missing: give the line")
        if "\n" in (self.text or "") or "\r" in (self.text or ""):
            found.append("text must be one line; use a block for several")
        if self.match is not None and self.contains is not None:
            found.append("give only one of match and contains")
        if self.backrefs and self.match is None:
            found.append("backrefs fills in what match found, so it needs match")
        return found

    @property
    def _anchor(self) -> Anchor:
        return Anchor(self.insert_after, self.insert_before, self.first)

    @property
    def _pattern(self) -> str | None:
        return re.escape(self.contains) if self.contains is not None else self.match

    @property
    def goal(self) -> str:
        """The line as it is given."""
        return self.missing if self.ensure == "absent" or self.text is None else f"line {self.text!r}"

    def found(self, text: str) -> str:
        """The line that would be replaced or removed."""
        lines = Lines(text).bare
        at = self._matching(lines)
        return f"line {lines[at[-1]]!r}" if at else self.missing

    def edited(self, text: str) -> str:
        """With the line, or without it."""
        once = self._edited(text)
        if self.backrefs and self._edited(once) != once:
            raise ResourceError(
                f"{self.id} would change its own line again and again; match must not find what it makes"
            )
        return once

    def _edited(self, text: str) -> str:
        lines = Lines(text)
        at = self._matching(lines.bare)
        if self.ensure == "absent" or self.text is None:
            for index in reversed(at):
                lines.cut(index, index + 1)
        elif at:
            chosen = at[0 if self.first else -1]
            lines.set(chosen, self._made_from(lines.bare[chosen]))
        elif not self.backrefs and self.text not in lines.bare:
            lines.put(self._anchor.index(lines.bare), [self.text])
        return lines.text

    def _matching(self, lines: Sequence[str]) -> list[int]:
        pattern = self._pattern
        if pattern is None:
            return [index for index, line in enumerate(lines) if line == self.text]
        return [index for index, line in enumerate(lines) if re.search(pattern, line)]

    def _made_from(self, line: str) -> str:
        if not self.backrefs or self.text is None or self.match is None:
            return self.text or ""
        found = re.search(self.match, line)
        try:
            return found.expand(self.text) if found else line
        except (re.error, IndexError) as error:
            raise ResourceError(f"text of {self.id} refers to what match does not have: {error}") from error

    def undo(self, prior: State) -> Self | None:
        """The line is taken out again if it was not there before."""
        undone = super().undo(prior)
        return undone and replace(undone, match=None, contains=None, backrefs=False)
