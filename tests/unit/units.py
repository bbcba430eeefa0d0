"""The agent's part in tests of units: find the drift, have it closed for many at once, and look again."""

from __future__ import annotations

from modules.api import Drift, State
from modules.unit import Unit
from tests.unit.convergence import difference
from tests.unit.fake_host import FakeHost


def state_of(unit: Unit, host: FakeHost) -> State:
    return unit.observe(host)


def drift_of(unit: Unit, host: FakeHost) -> Drift:
    return difference(unit, unit.observe(host))


def apply_all(host: FakeHost, *units: Unit) -> list[str]:
    """Apply as the agent does: only what drifts; what each said, empty when it is in sync afterwards."""
    drifting = [(unit, drift) for unit in units if (drift := drift_of(unit, host))]
    errors = Unit.apply_all(host, drifting)
    for (unit, _), error in zip(drifting, errors, strict=True):
        assert error or drift_of(unit, host) == {}
    return [str(error or "") for error in errors]


def converge(host: FakeHost, *units: Unit) -> None:
    assert not any(apply_all(host, *units))
    assert [drift_of(unit, host) for unit in units] == [{} for _ in units]
