"""What is sensitive is shown nowhere: not in a plan, a diff, an outcome, an error, the status, or the audit trail."""

from __future__ import annotations

import json
import stat
from base64 import b64encode
from pathlib import Path

import pytest

from agent.catalog.codec import decode, encode
from agent.cli.plan_text import plan_lines, plan_to_json
from agent.cli.show import _lines, node_to_json
from agent.cli.text import outcome_line
from agent.errors import ManifestInvalid
from agent.host import LocalView
from agent.report import outcome_to_json
from modules.file import File
from tests.unit.convergence import text
from tests.unit.holding import Holding

OLD, NEW = "old password", "new password"
SECRETS = (OLD, NEW, text(OLD).digest, text(NEW).digest, text(OLD).digest[:12], text(NEW).digest[:12])


def leaks(shown: object) -> list[str]:
    return [secret for secret in SECRETS if secret in str(shown)]


@pytest.fixture
def held(tmp_path: Path) -> Holding:
    root = tmp_path / "root"
    root.mkdir()
    (root / "secret").write_text(OLD)
    return Holding(root, tmp_path / "state")


def wish(**fields: object) -> list[dict[str, object]]:
    return [{"file": "/secret", "content": NEW, "sensitive": True, **fields}]


@pytest.mark.parametrize("sensitive", [True, False])
def test_a_plan_says_that_it_changes_and_not_what(held: Holding, sensitive: bool) -> None:
    desired, plan = held.desired(wish(sensitive=sensitive)), held.plan(wish(sensitive=sensitive))
    host = LocalView(str(held.root))
    shown = "\n".join(plan_lines(plan, desired, host, "")), json.dumps(plan_to_json(plan, desired, host))
    nodes = [(node_to_json(node), _lines(node)) for node in desired.compiled.catalog.nodes]
    assert bool(leaks(shown)) is bool(leaks(nodes)) is not sensitive, "the test can tell"
    assert "content" in shown[0]
    assert plan.pending


@pytest.mark.parametrize("sensitive", [True, False])
def test_what_was_done_is_said_and_kept_without_it(held: Holding, sensitive: bool) -> None:
    (outcome,) = held.apply(wish(sensitive=sensitive))
    assert (outcome.result, set(outcome.drift)) == ("converged", {"content"})
    shown = repr(outcome), json.dumps(outcome_to_json(outcome)), outcome_line(outcome_to_json(outcome))
    trail = held.changes()
    assert trail
    assert bool(leaks(shown)) is bool(leaks(trail)) is not sensitive
    assert (held.root / "secret").read_text() == NEW
    for secret in (OLD, NEW) if sensitive else ():
        assert secret.encode() not in (held.state / "state.db").read_bytes(), "never in any database"
    assert stat.S_IMODE((held.state / "state.db").stat().st_mode) == 0o600


@pytest.mark.processes(reason="a validate command is a real one")
@pytest.mark.parametrize("sensitive", [True, False])
def test_an_error_does_not_repeat_what_a_checker_says_of_it(held: Holding, sensitive: bool) -> None:
    (outcome,) = held.apply(wish(validate=["sh", "-c", "cat $0; false", "%s"], sensitive=sensitive))
    assert outcome.result == "failed"
    assert "validate command failed" in outcome.message
    assert bool(leaks(outcome.message)) is not sensitive
    assert (held.root / "secret").read_text() == OLD


def test_a_new_one_is_its_owners_alone_unless_git_says_more(held: Holding) -> None:
    (held.root / "secret").unlink()
    held.converged(wish())
    assert stat.S_IMODE((held.root / "secret").stat().st_mode) == 0o600
    held.converged(wish(mode="g+r"))
    assert stat.S_IMODE((held.root / "secret").stat().st_mode) == 0o640


def test_it_stays_secret_when_it_leaves_git(held: Holding) -> None:
    held.converged([*wish(backup=True), {"file": "/other", "content": ""}])
    outcomes = held.apply([{"file": "/other", "content": ""}])
    assert [outcome.result for outcome in outcomes] == ["in_sync", "removed"]
    assert not leaks(outcomes)
    assert (held.root / "secret").read_text() == OLD


@pytest.mark.parametrize("fields", [{}, {"content": None, "source": "new"}, {"content": None, "template": "new"}])
def test_from_compiling_on_it_is_a_secret_like_any_other(held: Holding, fields: dict[str, object]) -> None:
    held.files |= {"files/new": NEW, "templates/new": NEW}
    resources = [{name: value for name, value in each.items() if value is not None} for each in wish(**fields)]
    (node,) = held.desired(resources).compiled.catalog.nodes
    assert leaks(node), "what was compiled just now holds it"
    assert not [
        secret
        for secret in (NEW, b64encode(NEW.encode()).decode())
        if secret in (held.state / "catalog.json").read_text()
    ]
    (cached,) = held.desired(resources).compiled.catalog.nodes
    remembered = decode(json.loads(json.dumps(encode(node.resource, with_data=False))))
    for resource in (node.resource, cached.resource, remembered):
        assert isinstance(resource, File)
        assert resource.secret_fields()
        assert not leaks(resource.desired({"ensure": "present"}))
    assert held.converged(resources) == ["file:/secret"], "its bytes are had again for that"
    assert (held.root / "secret").read_text() == NEW


EDITS: list[dict[str, object]] = [
    {"line": "/conf", "text": NEW, "match": f"^{OLD}", "sensitive": True},
    {"block": "/conf", "text": NEW, "sensitive": True},
    {"ini": "/conf", "key": "k", "value": NEW, "sensitive": True},
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: next(iter(edit)))
@pytest.mark.parametrize("sensitive", [True, False])
def test_a_sensitive_edit_is_shown_nowhere(held: Holding, edit: dict[str, object], sensitive: bool) -> None:
    (held.root / "conf").write_text(f"{OLD}\nk = {OLD}\n")
    resources = [{**edit, "sensitive": sensitive}]
    desired, plan = held.desired(resources), held.plan(resources)
    host = LocalView(str(held.root))
    shown = ["\n".join(plan_lines(plan, desired, host, "")), json.dumps(plan_to_json(plan, desired, host))]
    shown += [str((node_to_json(node), _lines(node))) for node in desired.compiled.catalog.nodes]
    (outcome,) = held.apply(resources)
    assert outcome.result == "converged"
    shown += [repr(outcome), *(str(change) for change in held.changes())]
    assert [bool(leaks(text)) for text in shown] == [not sensitive] * len(shown)
    (held.root / "conf").write_text(f"{OLD}\nk = {OLD}\n")
    assert bool(leaks(held.plan(resources).steps[0].drift)) is not sensitive
    assert held.converged(resources)
    assert held.converged([{"file": "/other", "content": ""}]), "and leaves Git"


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: next(iter(edit)))
def test_a_secret_cannot_go_into_an_edit_for_there_it_would_be_stored(held: Holding, edit: dict[str, object]) -> None:
    held.files["secrets/db.age"] = "sealed"
    field = "value" if "value" in edit else "text"
    with pytest.raises(ManifestInvalid, match="they go into `content` or `template` of a file"):
        held.desired([{**edit, field: "{{ secret('db') }}"}])
