"""ini: hold one setting of a file of keys and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from modules.api import State
from modules.edits import Edit, Lines
from modules.fields import ABSOLUTE_PATH, BOOLEAN, NAME, TEXT, identity, option

_SECTION = re.compile(r"\s*\[(.*)\]\s*(?:[#;].*)?$")


@dataclass(frozen=True, kw_only=True)
class Ini(Edit, kind="ini", identity="path"):
    """One setting of a file of keys and values, with sections or without.

    Its line keeps its indentation and the form of its separator. A new one goes to the end of its section, which is
    made when it is missing. Where a key is given more than once, the last one counts, and is held. The id is
    `ini:PATH:SECTION.KEY`.
    """

    path: str = identity(ABSOLUTE_PATH, "The file.")
    section: str | None = option(NAME, "The section; without one, what stands before the first.")
    key: str | None = option(NAME, "The key.")
    value: str | None = option(TEXT, "Its value, as it shall stand there, in quotes if the file wants them.")
    separator: str = option(TEXT, "What stands between key and value in a new line.", " = ")
    comment: bool = option(BOOLEAN, "With `ensure: absent`, put a `#` before it instead of removing it.", default=False)

    missing = "no such setting"
    says = ("value",)

    def problems(self) -> Sequence[str]:
        """Fields that are missing, or contradict each other."""
        found = self.edit_problems()
        if self.key is None:
            found.append("key is missing")
        if self.ensure == "present" and self.value is None:
            found.append("value is missing; it may be empty text")
        if self.ensure == "absent" and self.value is not None:
            found.append("value has no meaning with ensure: absent")
        if self.comment and self.ensure == "present":
            found.append("comment says how it is made absent, so it needs ensure: absent")
        if any("\n" in text for text in (self.value or "", self.separator)):
            found.append("value and separator must be one line")
        if not self.separator:
            found.append("separator is empty; it may be a space")
        return found

    @property
    def label(self) -> str:
        """Its name, else section and key."""
        return self.name or ".".join(part for part in (self.section, self.key) if part)

    @property
    def goal(self) -> str:
        """Key and value."""
        return self.missing if self.ensure == "absent" else f"{self.key}{self.separator}{self.value}"

    def found(self, text: str) -> str:
        """Key and value as they count now."""
        lines = Lines(text).bare
        at = self._matching(lines)
        return f"{self.key}{self.separator}{self._split(lines[at[-1]])[1]}" if at else self.missing

    def edited(self, text: str) -> str:
        """With the setting, or without it."""
        lines = Lines(text)
        at = self._matching(lines.bare)
        if self.ensure == "absent":
            for index in reversed(at):
                if self.comment:
                    lines.set(index, f"#{lines.bare[index]}")
                else:
                    lines.cut(index, index + 1)
        elif at:
            before, value = self._split(lines.bare[at[-1]])
            if value != self.value:
                lines.set(at[-1], f"{before}{self.value}".rstrip() if not self.value else f"{before}{self.value}")
        else:
            self._add(lines)
        return lines.text

    def _add(self, lines: Lines) -> None:
        new = f"{self.key}{self.separator}{self.value}"
        place = self._place(lines.bare)
        if place is None:
            blank = [""] if lines.raw else []
            lines.put(len(lines.raw), [*blank, f"[{self.section}]", new])
            return
        start, stop = place
        while stop > start and not lines.bare[stop - 1].strip():
            stop -= 1  # blank lines before the next section stay there
        lines.put(stop, [new])

    def _place(self, lines: Sequence[str]) -> tuple[int, int] | None:
        """Where the lines of the section begin and end; None when there is no such section."""
        headers = [(index, found[1].strip()) for index, line in enumerate(lines) if (found := _SECTION.match(line))]
        ends = [*(index for index, _ in headers[1:]), len(lines)]
        if self.section is None:
            return 0, headers[0][0] if headers else len(lines)
        places = [(at + 1, end) for (at, name), end in zip(headers, ends, strict=False) if name == self.section]
        return places[-1] if places else None

    def _matching(self, lines: Sequence[str]) -> list[int]:
        place = self._place(lines)
        return [] if place is None else [index for index in range(*place) if self._form.match(lines[index])]

    def _split(self, line: str) -> tuple[str, str]:
        """What stands before the value, and the value."""
        found = self._form.match(line)
        before = found[0] if found else ""
        return before, line[len(before) :].rstrip()

    @property
    def _form(self) -> re.Pattern[str]:
        mark = self.separator.strip()
        between = r"[ \t]*[=:]" if mark in ("=", ":") else rf"[ \t]*{re.escape(mark)}" if mark else r"(?:[ \t]|$)"
        return re.compile(rf"[ \t]*{re.escape(self.key or '')}{between}[ \t]*")

    def undo(self, prior: State) -> Self | None:
        """The setting is taken out again if it was not there before."""
        undone = super().undo(prior)
        return undone and replace(undone, value=None)
