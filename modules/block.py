"""block: hold several lines of a file, between two lines that mark them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modules.anchors import Anchor
from modules.api import ResourceError
from modules.edits import Edit, Lines
from modules.fields import ABSOLUTE_PATH, BOOLEAN, TEXT, identity, option

_MARK = "{mark}"


@dataclass(frozen=True, kw_only=True)
class Block(Edit, kind="block", identity="path"):
    """Several lines of a file, between a line that begins them and one that ends them.

    What is outside of the marks stays as it is, line ends among it (and the empty lines around a block that goes). An empty text, like `ensure: absent`, takes the
    block out with its marks. The marks hold the `name`, so several blocks of one file need different ones.
    """

    path: str = identity(ABSOLUTE_PATH, "The file.")
    text: str | None = option(TEXT, "The lines.")
    marker: str = option(
        TEXT, "The marking lines: `{mark}` in it becomes BEGIN and END, and the name follows.", "# {mark} gitops-agent"
    )
    insert_after: str | None = option(
        TEXT, "A new block goes after the last line that this matches, else to the end (`END`)."
    )
    insert_before: str | None = option(
        TEXT, "A new block goes before the last line that this matches, or to the beginning (`START`)."
    )
    blank_before: bool = option(BOOLEAN, "Keep an empty line before it, unless it stands first.", default=False)
    blank_after: bool = option(BOOLEAN, "Keep an empty line after it, unless it stands last.", default=False)

    missing = "no such block"
    says = ("text",)

    def problems(self) -> Sequence[str]:
        """Fields that contradict each other, and a text that would end its own block."""
        found = [*self.edit_problems(), *Anchor(self.insert_after, self.insert_before).problems()]
        if self.ensure == "present" and self.text is None:
            found.append("text is missing: give the lines, or an empty text to take the block out")
        if _MARK not in self.marker or "\n" in self.marker:
            found.append("marker must be one line with {mark} in it, which becomes BEGIN and END")
        elif {self._begin, self._end}.intersection(self._lines):
            found.append("text contains the marker of its own block")
        return found

    @property
    def _begin(self) -> str:
        return f"{self.marker.replace(_MARK, 'BEGIN')} {self.label}".rstrip()

    @property
    def _end(self) -> str:
        return f"{self.marker.replace(_MARK, 'END')} {self.label}".rstrip()

    @property
    def _lines(self) -> list[str]:
        return Lines(self.text or "").bare if self.ensure == "present" else []

    @property
    def goal(self) -> str:
        """How many lines, and their text when they are few."""
        return _described(self._lines) if self._lines else self.missing

    def found(self, text: str) -> str:
        """What is between the marks now."""
        lines = Lines(text).bare
        place = self._place(lines)
        return self.missing if place is None else _described(lines[place[0] + 1 : place[1]])

    def edited(self, text: str) -> str:
        """With the block, or without it."""
        lines = Lines(text)
        place = self._place(lines.bare)
        wanted = [self._begin, *self._lines, self._end] if self._lines else []
        if place is not None:
            self._replace(lines, place, wanted)
        elif wanted:
            lines.put(Anchor(self.insert_after, self.insert_before).index(lines.bare), wanted)
        if wanted:
            self._space(lines)
        return lines.text

    def _replace(self, lines: Lines, place: tuple[int, int], wanted: Sequence[str]) -> None:
        begin, end = place
        if lines.bare[begin : end + 1] == wanted:
            return
        unended = wanted and not lines.raw[end].endswith("\n")
        lines.cut(begin, end + 1)
        lines.put(begin, wanted)
        if unended:
            lines.raw[-1] = lines.raw[-1].rstrip("\r\n")

    def _space(self, lines: Lines) -> None:
        begin, end = self._place(lines.bare) or (0, 0)
        if self.blank_after and any(line.strip() for line in lines.bare[end + 1 : end + 2]):
            lines.put(end + 1, [""])
        if self.blank_before and any(line.strip() for line in lines.bare[max(begin - 1, 0) : begin]):
            lines.put(begin, [""])

    def _place(self, lines: Sequence[str]) -> tuple[int, int] | None:
        begins = [index for index, line in enumerate(lines) if line == self._begin]
        ends = [index for index, line in enumerate(lines) if line == self._end]
        if not begins and not ends:
            return None
        if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
            raise ResourceError(
                f"the marks of {self.id} are not one line {self._begin!r} and after it one {self._end!r} any more; "
                f"repair or remove them by hand"
            )
        return begins[0], ends[0]


def _described(lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    return f"block {text!r}" if len(text) <= 200 else f"block of {len(lines)} lines, from {lines[0][:40]!r} on"
