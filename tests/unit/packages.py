"""The agent's part in tests of packages: find the drift, have it closed in one wave, and look again."""

from __future__ import annotations

from modules.api import Drift, State
from modules.package import Package
from tests.unit.convergence import difference
from tests.unit.fake_host import FakeHost


def state_of(package: Package, host: FakeHost) -> State:
    return package.observe(host)


def drift_of(package: Package, host: FakeHost) -> Drift:
    return difference(package, package.observe(host))


def apply_wave(host: FakeHost, *packages: Package) -> list[str]:
    """Apply as the agent does: only what drifts; what each said, empty when it is in sync afterwards."""
    drifting = [(package, drift) for package in packages if (drift := drift_of(package, host))]
    errors = Package.apply_all(host, drifting)
    for (package, _), error in zip(drifting, errors, strict=True):
        assert error or drift_of(package, host) == {}
    return [str(error or "") for error in errors]


def converge(host: FakeHost, *packages: Package) -> None:
    assert not any(apply_wave(host, *packages))
    assert [drift_of(package, host) for package in packages] == [{} for _ in packages]
