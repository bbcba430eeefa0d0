"""The example fleet is in order: for the agent, and for an editor that reads the schema which each document names."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from agent.cli import main
from agent.documents import parse_document

HERE = Path(__file__).resolve().parents[2]
FLEET = HERE / "examples/fleet"
SCHEMA = HERE / "agent/schema.json"
DOCUMENTS = sorted(FLEET.rglob("*.yaml"))


def named(document: Path) -> str:
    return str(document.relative_to(FLEET))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_an_editor_finds_the_schema_and_the_document_keeps_to_it(document: Path) -> None:
    first = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", document.read_text().splitlines()[0])
    assert first is not None
    assert (document.parent / first[1]).resolve() == SCHEMA
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert list(validator.iter_errors(parse_document(document.read_bytes(), named(document)))) == []


def test_it_is_valid_for_every_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(FLEET)]) == 0
    assert capsys.readouterr().out == "2 hosts read, 2 fine\n"


def test_a_mistake_in_a_copy_of_it_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(FLEET, tmp_path / "fleet")
    role = tmp_path / "fleet/roles/web/role.yaml"
    role.write_text(role.read_text().replace("file:/etc/default/disk-usage\n", "file:/etc/default/disk-usages\n", 1))
    assert main(["validate", str(tmp_path / "fleet")]) == 1
    assert "did you mean file:/etc/default/disk-usage?" in capsys.readouterr().out
