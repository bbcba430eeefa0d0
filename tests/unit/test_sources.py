"""Where a content may come from: the first of several files, and one owner of each path."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import ManifestInvalid
from tests.unit.holding import Holding


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    (tmp_path / "root").mkdir()
    return Holding(tmp_path / "root", tmp_path / "state", {"files/common": "common", "files/web-01": "special"})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (["web-01", "common"], "special"),
        (["web-02", "common"], "common"),
        (["{{ host }}-x", "web-01"], "special"),
        ("common", "common"),
    ],
)
def test_the_first_of_several_that_is_there_is_taken(held: Holding, source: object, text: str) -> None:
    held.converged([{"file": "/path", "source": source}])
    assert (held.root / "path").read_text() == text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (["a", "b"], "names 'a', which is none of files/a; names 'b', which is none of files/b"),
        ([], "must name at least one file"),
        ([1], "must be text, not the number 1"),
    ],
)
def test_none_of_several_is_an_error_that_names_all(held: Holding, source: object, said: str) -> None:
    with pytest.raises(ManifestInvalid, match=said):
        held.plan([{"file": "/path", "source": source}])


@pytest.mark.parametrize("kinds", [("file", "symlink"), ("directory", "file"), ("symlink", "directory")])
def test_a_path_is_not_both_present_and_absent(held: Holding, kinds: tuple[str, str]) -> None:
    present, absent = kinds
    fields: dict[str, dict[str, str]] = {"file": {"content": ""}, "symlink": {"target": "x"}, "directory": {}}
    with pytest.raises(ManifestInvalid, match="are the same thing; keep one"):
        held.plan([{present: "/path", **fields[present]}, {absent: "/path", "ensure": "absent"}])
