"""The order of the pipeline, and who may know whom: the import contracts of pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

HERE = Path(__file__).resolve().parents[2]


def test_the_import_contracts_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    ended = lint_imports(config_filename=str(HERE / "pyproject.toml"), cache_dir=str(tmp_path))
    assert ended == EXIT_STATUS_SUCCESS, capsys.readouterr().out
