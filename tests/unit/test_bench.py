"""The bench says what is missed: a table that cannot is worth nothing."""

from __future__ import annotations

import pytest

from bench.report import Figure, table


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("idle", 250, "ms", 250), True),
        (Figure("idle", 251, "ms", 250), False),
        (Figure("status", 40, "ms", times=("start", 4), floors={"start": 10}), True),
        (Figure("status", 41, "ms", times=("start", 4), floors={"start": 10}), False),
        (Figure("wake-ups", 1, "", 0), False),
        (Figure("explains another", 1, "ms"), True),
    ],
)
def test_a_figure_is_held_to_its_bar(figure: Figure, met: bool) -> None:
    assert figure.met is met
    assert ("MISSED" in table([figure])) is not met


def test_a_figure_stands_beside_its_floors() -> None:
    line = table([Figure("status", 35.04, "ms", times=("start", 4), floors={"start": 10})]).splitlines()[1]
    assert line.split() == ["status", "35", "ms", "4", "x", "start", "met", "3.5", "x", "start", "(10", "ms)"]
