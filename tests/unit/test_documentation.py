"""What is documented is what is there: generated pages, every setting, verb, option, status key, journal field and message."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agent import journal
from agent.apply import FAILED, Outcome
from agent.cli import VERBS, main
from agent.cli.parser import parser_of
from agent.health import Verdict
from agent.orders import KINDS
from agent.report import Origin, Report
from agent.report.standing import status_of
from agent.settings import Settings
from agent.source import Contacts, Remote, WorkingTree
from agent.status import write_status
from modules.api import Change
from modules.checks import Health

HERE = Path(__file__).resolve().parents[2]
OPERATIONS = (HERE / "docs/operations.md").read_text()


def load(path: str) -> Any:
    """A program of the build, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, HERE / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> Any:
    return load("docs/generate.py")


@pytest.fixture(scope="module")
def manual() -> str:
    return str(load("packaging/man.py").manual("0", 0)).replace("\\-", "-")


def section(title: str) -> str:
    """A section of operations.md."""
    return OPERATIONS.partition(f" {title}\n")[2].partition("\n## ")[0]


def test_generated_pages_are_not_stale(generate: Any) -> None:
    stale = [path for path, text in generate.pages().items() if (HERE / "docs" / path).read_text() != text]
    assert stale == [], "run `make docs`"
    pages = {f"modules/{path.name}" for path in (HERE / "docs/modules").iterdir()}
    assert pages <= set(generate.pages()), "a page of a kind that is gone"


def test_every_setting_is_documented(manual: str) -> None:
    for field in dataclasses.fields(Settings):
        assert f"| `{field.name}` | " in section("Settings")
        assert f".B {field.name}\n" in manual


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_is_documented(verb: str, manual: str) -> None:
    assert f"**`agentctl {verb}`**" in section("Verbs")
    described = section("Verbs").partition(f"**`agentctl {verb}`**")[2].partition("**`agentctl ")[0]
    in_manual = manual.partition(f".SS agentctl {verb}\n")[2].partition("\n.S")[0]
    for action in parser_of(verb, import_module(VERBS[verb][0]))._actions:
        name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
        assert action.help, f"{name} says nothing of itself"
        assert name in in_manual
        assert name in described or name == "--help"


def test_the_exit_status_of_every_verb_is_documented(manual: str) -> None:
    rows = section("Exit status") or section("Verbs")
    for verb in ("plan", "apply, sync", "validate", "status", "all"):
        assert f"| `{verb}` | " in rows
        assert f"\n{verb} " in manual.partition(".SH EXIT STATUS")[2]


# The status


def keys(value: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a JSON object, with dots; `[]` for a list's items."""
    if isinstance(value, dict) and not prefix.endswith(".drift") and not prefix.startswith("orders."):
        for name, inner in value.items():
            yield from keys(inner, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, f"{prefix}[]")
    else:
        yield prefix


def documented_keys() -> dict[str, bool]:
    """Every documented key, and whether it is there without a status file too."""
    found = re.findall(r"^\| `([a-z_.\[\]]+)`( \*)? \|", section("`status --json`").partition("## Verbs")[0], re.M)
    return {name: bool(star) for name, star in found}


@pytest.fixture
def emitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What `status --json` prints after a pass in which all there is happened."""
    outcomes = [
        Outcome("file:/a", "converged", "hosts/a.yaml:2", {"mode": Change("0644", "0600")}),
        Outcome("file:/b", FAILED, "hosts/a.yaml:4", {"mode": Change("0644", "0600")}, message="no"),
        Outcome("unit:c.service", "in_sync", owed="restart"),
        Outcome("directory:/d", "released", message="it holds e"),
    ]
    (tmp_path / "tree").mkdir()
    report = Report(
        "a",
        "sync",
        WorkingTree(str(tmp_path / "tree")),
        "main",
        outcomes,
        None,
        "",
        time.time(),
        1.0,
        health=[Verdict("http:x", Health.DEGRADED)],
        orders={kind: {"reason": "", "by": "ops", "at": 0, "until": 0, "about": ""} for kind in KINDS},
        notices=["n"],
        origin=Origin(remotes=Contacts([Remote("https://git.example.com/fleet.git")]).to_json()),
    )
    limits = {"poll_seconds": 60, "drift_seconds": 300, "stale_seconds": 2400}
    write_status(str(tmp_path / "status.json"), status_of(report, {}, limits))
    daemon = dict.fromkeys(("version", "started_at", "next_poll", "next_drift", "last_error"), 0) | {"pid": 1}
    write_status(str(tmp_path / "daemon.json"), daemon)
    main(["status", "--json", "--runtime-dir", str(tmp_path)])
    return dict(json.loads(capsys.readouterr().out))


def test_the_keys_of_the_status_are_those_that_are_documented(emitted: dict[str, Any]) -> None:
    assert set(keys(emitted)) == set(documented_keys())


def test_without_a_status_file_there_are_the_marked_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--runtime-dir", str(tmp_path)]) == 3
    found = set(keys(json.loads(capsys.readouterr().out)))
    assert found == {name for name, always in documented_keys().items() if always}


# The journal


def test_every_id_of_the_journal_is_its_own(generate: Any) -> None:
    ids = [name for name, _ in journal.MESSAGE_IDS.values()]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[0-9a-f]{32}", name)] == []
    assert set(journal.PRIORITY) <= set(journal.MESSAGE_IDS)


def test_the_fields_of_the_journal_are_those_that_are_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, str]] = []
    monkeypatch.setattr("systemd.journal.send", lambda _message, **fields: sent.append(fields))
    journal.send("failed", "m", revision="r", resource="file:/a", place="hosts/a.yaml:2")
    assert {name for name in sent[0] if name.startswith("GITOPS_")} == set(journal.FIELDS)
    assert (sent[0]["MESSAGE_ID"], sent[0]["PRIORITY"]) == (journal.MESSAGE_IDS["failed"][0], "3")


def test_a_journal_that_takes_nothing_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_message: str, **_fields: str) -> None:
        raise OSError(105, "No buffer space available")

    monkeypatch.setattr("systemd.journal.send", full)
    journal.send("failed", "what happened")
    assert capsys.readouterr().err == "the journal took no entry (No buffer space available): what happened\n"


# Messages


def test_every_message_of_the_troubleshooting_table_is_one_that_is_said() -> None:
    said = "\n".join(path.read_text() for path in sorted((HERE / "agent").rglob("*.py")))
    messages = re.findall(r"^\| (.+?) \|", section("Troubleshooting, by message"), re.M)[2:]
    assert len(messages) > 15
    for message in messages:
        for fragment in re.split(r"\.\.\.|\bN\b|\bID\b|FILE:LINE", message.replace('"..."', "...")):
            words = fragment.strip(' :,;()"')
            assert words in said, f"nothing says {words!r}"
