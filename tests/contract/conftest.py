"""Contract tests run on the small machine of the unit tests, in a directory such as theirs."""

from tests.unit.conftest import tmp_path, world

__all__ = ["tmp_path", "world"]
