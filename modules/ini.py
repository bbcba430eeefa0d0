"""ini: hold one setting of a file of keys and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from modules.api import ResourceError, State
from modules.edits import Edit, Lines
from modules.fields import ABSOLUTE_PATH, BOOLEAN, NAME, TEXT, identity, option

_SECTION = re.compile(r"\s*\[(.*)\]\s*(?:[#;].*)?$")
_COMMENT = re.compile(r"\s*(?:[#;]|$)")  # a blank line is none of anything either
_SETTING = re.compile(r"\s*[A-Za-z_][\w.-]*(?:[ \t]+[\w.-]+)*[ \t]*(?:=|:(?!//))")
_GOES_ON = re.compile(r"(?:^|[^\\])(?:\\\\)*\\$")  # ends in a backslash that none before it takes back


@dataclass(frozen=True, kw_only=True)
class Ini(Edit, kind="ini", identity="path"):
    """One setting of a file of keys and values, with sections or without.

    Its line keeps its indentation and the form of its separator. A new one goes to the end of its section, which is
    made when it is missing. Where a key is given more than once, the last one counts, and is held. A value that goes on
    in further lines (after a backslash, or indented deeper than its key) is replaced or removed with all of them; where
    such a line may as well be a setting of its own, nothing is changed and the line is named. The id is
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
        kinds = self._kinds(lines)
        at = self._matching(lines, kinds)
        if not at:
            return self.missing
        rest = (lines[index].strip() for index in range(at[-1] + 1, _stop(kinds, at[-1])) if kinds[index] == "rest")
        return f"{self.key}{self.separator}{' '.join((self._split(lines[at[-1]])[1], *rest))}"

    def edited(self, text: str) -> str:
        """With the setting, or without it. Raises ResourceError where a line may be the rest of a value, or may not."""
        lines = Lines(text)
        kinds = self._kinds(lines.bare)
        at = self._matching(lines.bare, kinds)
        if self.ensure == "absent":
            for index in reversed(at):
                self._take_out(lines, index, self._end(kinds, index))
        elif at:
            self._replace(lines, at[-1], kinds)
        else:
            self._add(lines, kinds)
        return lines.text

    def _replace(self, lines: Lines, at: int, kinds: Sequence[str]) -> None:
        before, value = self._split(lines.bare[at])
        if value == self.value and "rest" not in kinds[at + 1 : _stop(kinds, at)]:
            return
        end = self._end(kinds, at)
        lines.set(at, f"{before}{self.value}".rstrip() if not self.value else f"{before}{self.value}")
        lines.cut(at + 1, end)

    def _take_out(self, lines: Lines, start: int, stop: int) -> None:
        if not self.comment:
            lines.cut(start, stop)
            return
        for index in range(start, stop):
            lines.set(index, f"#{lines.bare[index]}")

    def _add(self, lines: Lines, kinds: Sequence[str]) -> None:
        new = f"{self.key}{self.separator}{self.value}"
        place = self._place(lines.bare, kinds)
        if place is None:
            self._refuse_after_backslash(lines, len(lines.raw))
            blank = [""] if lines.raw else []
            lines.put(len(lines.raw), [*blank, f"[{self.section}]", new])
            return
        start, stop = place
        while stop > start and not lines.bare[stop - 1].strip():
            stop -= 1  # blank lines before the next section stay there
        self._refuse_after_backslash(lines, stop)
        lines.put(stop, [new])

    def _refuse_after_backslash(self, lines: Lines, at: int) -> None:
        if at and not _COMMENT.match(lines.bare[at - 1]) and _GOES_ON.search(lines.bare[at - 1]):
            raise ResourceError(
                f"line {at} of {self.path} ends in a backslash, so what is put after it would belong to it; end it first"
            )

    def _kinds(self, lines: Sequence[str]) -> list[str]:
        """What each line is: a `section`, a `setting`, the `rest` of one, rest or setting in `doubt`, or nothing of these.

        As deeper indentation goes on with a value in Python's configparser, and a backslash in systemd's files.
        """
        kinds, level, goes_on = [], -1, False
        for line in lines:
            indent = len(line) - len(line.lstrip())
            deeper = bool(self.separator.strip()) and 0 <= level < indent
            if goes_on or (deeper and not _COMMENT.match(line)):
                kinds.append("doubt" if _SETTING.match(line) or _SECTION.match(line) else "rest")
            elif _COMMENT.match(line):
                kinds.append("")
            elif _SECTION.match(line):
                kinds.append("section")
                level = -1
            else:
                kinds.append("setting")
                level = indent
            goes_on = kinds[-1] not in ("", "section") and _GOES_ON.search(line) is not None
        return kinds

    def _place(self, lines: Sequence[str], kinds: Sequence[str]) -> tuple[int, int] | None:
        """Where the lines of the section begin and end; None when there is no such section."""
        headers = [
            (index, found[1].strip())
            for index, line in enumerate(lines)
            if kinds[index] == "section" and (found := _SECTION.match(line))
        ]
        ends = [*(index for index, _ in headers[1:]), len(lines)]
        if self.section is None:
            return 0, headers[0][0] if headers else len(lines)
        places = [(at + 1, end) for (at, name), end in zip(headers, ends, strict=False) if name == self.section]
        return places[-1] if places else None

    def _matching(self, lines: Sequence[str], kinds: Sequence[str]) -> list[int]:
        place = self._place(lines, kinds)
        if place is None:
            return []
        found = [index for index in range(*place) if kinds[index] != "rest" and self._form.match(lines[index])]
        for index in found:
            self._refuse_doubt(kinds, index)
        return found

    def _end(self, kinds: Sequence[str], at: int) -> int:
        """Where the lines of a setting end."""
        stop = _stop(kinds, at)
        for index in range(at + 1, stop):
            self._refuse_doubt(kinds, index)
        return stop

    def _refuse_doubt(self, kinds: Sequence[str], index: int) -> None:
        if kinds[index] == "doubt":
            raise ResourceError(
                f"line {index + 1} of {self.path} may be a setting, or the rest of the value before it, which an edit would "
                "break; put that value in one line, or take the indentation out of the settings"
            )

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


def _stop(kinds: Sequence[str], at: int) -> int:
    """Where the rest of a setting ends: comments and blank lines belong to it when more of it comes after them."""
    stop = at + 1
    for index in range(at + 1, len(kinds)):
        if kinds[index] in ("section", "setting"):
            break
        if kinds[index]:
            stop = index + 1
    return stop
