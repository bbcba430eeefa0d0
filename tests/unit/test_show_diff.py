"""`show_diff: false`: the text of a change is nowhere, its digests are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.cli.plan_text import plan_lines, plan_to_json
from agent.compared import compare_catalogs
from agent.host import LocalView
from tests.unit.convergence import text
from tests.unit.holding import Holding

WISHES: dict[str, dict[str, Any]] = {
    "file": {"file": "/top/path"},
    "directory": {"directory": "/top", "source": "tree"},
}


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    (tmp_path / "root/top").mkdir(parents=True)
    (tmp_path / "root/top/path").write_text("the old text\n")
    return Holding(tmp_path / "root", tmp_path / "state")


@pytest.mark.parametrize("kind", WISHES)
@pytest.mark.parametrize("shown", [True, False])
def test_the_text_is_shown_only_where_it_may_be(held: Holding, kind: str, shown: bool) -> None:
    def wishes(content: str) -> list[dict[str, Any]]:
        held.files["files/tree/path"] = content
        said = {"content": content} if kind == "file" else {}
        return [{**WISHES[kind], **said, "show_diff": shown}]

    resources = wishes("the new text\n")
    plan, desired = held.plan(resources), held.desired(resources)
    view = LocalView(str(held.root), desired.read)
    said = "\n".join([*plan_lines(plan, desired, view, ""), str(plan_to_json(plan, desired, view))])
    digests = [text(f"the {which} text\n").digest for which in ("old", "new")]
    assert ("the old text" in said or "the new text" in said) == shown
    assert all(digest[:12] in said for digest in digests), "the change itself is shown"
    held.converged(resources)
    assert ("the old text" in str(held.changes())) == shown
    later = held.desired(wishes("the newest text\n"))
    differences = [found.contents for found in compare_catalogs(desired, later)]
    assert ("text" in str([item.lines for found in differences for item in found.values()])) == shown
    assert differences, "that it is another is seen"
