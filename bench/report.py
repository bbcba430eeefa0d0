"""What was measured, as a table: each figure beside its floors and its bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_HEADINGS = ("measurement", "median", "bar", "", "against")


@dataclass(frozen=True)
class Figure:
    """One figure, what it may be at most, and what it stands against (each in the same unit)."""

    what: str
    value: float
    unit: str  # ms, MB, or nothing for a count
    bar: float | None = None  # at most this, in the same unit; None when the figure only explains another
    times: tuple[str, float] | None = None  # or at most this many times the floor of this name
    floors: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Tell whether it holds to its bar; what has none holds."""
        if self.times is not None:
            name, most = self.times
            return self.value <= most * self.floors[name]
        return self.bar is None or self.value <= self.bar


def table(figures: Iterable[Figure]) -> str:
    """The figures as lines of columns."""
    rows = [_HEADINGS, *(tuple(_cells(figure)) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
    return "\n".join(_line(row, widths) for row in rows)


def _cells(figure: Figure) -> Iterator[str]:
    yield figure.what
    yield f"{_number(figure.value)} {figure.unit}".rstrip()
    if figure.times is not None:
        yield f"{figure.times[1]:g} x {figure.times[0]}"
    else:
        yield "" if figure.bar is None else f"{figure.bar:g} {figure.unit}".rstrip()
    yield "" if figure.bar is None and figure.times is None else "met" if figure.met else "MISSED"
    yield ", ".join(_against(figure))


def _against(figure: Figure) -> Iterator[str]:
    for name, floor in figure.floors.items():
        ratio = f"{figure.value / floor:.1f} x " if floor else ""
        yield f"{ratio}{name} ({_number(floor)} {figure.unit})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
