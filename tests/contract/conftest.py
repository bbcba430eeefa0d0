"""Contract tests run on the small machine of the unit tests."""

from tests.unit.conftest import world

__all__ = ["world"]
