"""Thousands of random commits and events, with the programs that sign and seal in a share of them. Some minutes of one core.

The seeds are fixed, so that a change and not the day decides whether this is green; others are tried with INVARIANTS_SEED=N.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.invariants.fake import FakeWorld
from tests.invariants.machine import explore
from tests.invariants.model import RANGE, TIP
from tests.invariants.real import Real

SEED = int(os.environ.get("INVARIANTS_SEED", "2026"))
COMMITS = (
    "a change", "a rename", "something else altogether", "a mass deletion", "something wrong", "what cannot be applied",
    "a secret", "a secret that is another", "a secret for others",
    "unsigned", "signed by a stranger", "hidden below a signed one", "rewritten", "set back",
)  # fmt: skip
EVENTS = (
    "a file written by hand", "a file removed by hand", "a service stopped by hand", "a service that failed",
    "a pass that died", "a pass that ended", "an approval", "a look at everything",
    "removals that wait", "a rollback", "a verdict of OK", "a good end", "commits that must be refused",
)  # fmt: skip


def assert_all_happened(tally: Counter[str], least: int) -> None:
    seldom = {what: tally[what] for what in (*COMMITS, *EVENTS) if tally[what] < least}
    assert not seldom, f"so seldom that it proves little: {seldom}"


@pytest.mark.timeout(900)
def test_thousands_of_commits() -> None:
    tally = explore("Many", FakeWorld, runs=120, steps=40, number=SEED)
    assert tally["commits"] >= 3000
    assert_all_happened(tally, 5)


@pytest.mark.timeout(900)
def test_hundreds_of_commits_with_real_keys(tmp_path: Path) -> None:
    real = Real(tmp_path)
    try:
        world = partial(FakeWorld, tools=real.tools())
        tally = explore("Real", world, runs=20, steps=40, number=SEED, verifying=(TIP, RANGE))
    finally:
        real.close()
    assert tally["commits"] >= 300
    assert_all_happened(tally, 1)
