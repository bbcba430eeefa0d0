"""What must hold whatever is committed and whatever happens to the host: a few random runs, for the inner loop.

tests/invariants has the model and makes thousands of commits; tests/system does the same on a booted host.
"""

from __future__ import annotations

from tests.invariants.fake import FakeWorld
from tests.invariants.machine import explore


def test_a_few_runs() -> None:
    tally = explore("Few", FakeWorld, runs=8, steps=20, number=1)
    assert tally["commits"] > 100
    assert tally["commits that must be refused"]
