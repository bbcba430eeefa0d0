"""A sample of the random tests on a booted host: the same commits, events and model as tests/invariants has for fakes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.hosts import images
from tests.hosts.git import http_server
from tests.hosts.machine import Machine
from tests.invariants.booted import BootedWorld
from tests.invariants.machine import explore
from tests.invariants.model import RANGE, TIP
from tests.invariants.real import Real
from tests.invariants.seen import World
from tests.system.conftest import REPOSITORY_PORT

SEED, RUNS, STEPS = 19, 5, 12


@pytest.fixture(scope="module")
def verifying(deb: Path) -> Iterator[Machine]:
    """A host with the agent, and the programs that judge signatures."""
    with Machine(images.with_verifiers("trixie")) as host:
        host.install(deb)
        yield host


@pytest.mark.timeout(900)
def test_some_tens_of_commits_on_a_booted_host(verifying: Machine, tmp_path: Path) -> None:
    keys, numbers = Real(tmp_path), count()
    served = tmp_path / "git"
    served.mkdir()

    def opened(verify: str, rollback: str) -> World:
        url = f"http://127.0.0.1:{REPOSITORY_PORT}"
        return BootedWorld(verifying, keys, served / str(next(numbers)), url, verify, rollback)

    try:
        with http_server(served, pid=verifying.leader, port=REPOSITORY_PORT):
            run = partial(explore, "Booted", opened, RUNS, STEPS, SEED)
            tally = run(verifying=(TIP, RANGE), careful=("failure",), reasons=("sync",))
    finally:
        keys.close()
    assert tally["commits"] >= 30
    seldom = [what for what in ("a pass that died", "commits that must be refused", "a secret", "a rollback",
                                "a verdict of OK", "a file written by hand") if not tally[what]]  # fmt: skip
    assert not seldom
