"""What the documentation shows is so: its links lead somewhere, its YAML is valid, and its verbs and targets exist."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from agent.cli import VERBS
from agent.documents import parse_document
from agent.settings import Settings, load

HERE = Path(__file__).resolve().parents[2]
PAGES = [HERE / "README.md", *sorted((HERE / "docs").glob("*.md"))]
GENERATED = HERE / "docs/modules"  # by `make docs`
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
YAML = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
VERB = re.compile(r"(?:`|^    (?:[#$] )?)agentctl ([a-z]+)", re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(HERE))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_its_links_lead_somewhere(page: Path) -> None:
    targets = [(page.parent / link).resolve() for link in LINK.findall(page.read_text())]
    assert [target for target in targets if GENERATED not in (target, *target.parents) and not target.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_its_yaml_is_valid(page: Path, tmp_path: Path) -> None:
    schema = Draft202012Validator(json.loads((HERE / "agent/schema.json").read_text()))
    settings = {field.name for field in fields(Settings)}
    for text in YAML.findall(page.read_text()):
        document = parse_document(text.encode(), name(page))
        if set(document) <= settings:
            (tmp_path / "agent.yaml").write_text(text)
            load(str(tmp_path))
        else:
            assert [error.message for error in schema.iter_errors(document)] == [], text


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_its_verbs_are_there(page: Path) -> None:
    assert set(VERB.findall(page.read_text())) <= set(VERBS)


def test_the_first_screen_gives_exactly_two_commands() -> None:
    screen = "".join((HERE / "README.md").read_text().splitlines(keepends=True)[:16])
    commands = re.findall(r"^    (\S+ \S+)", screen, re.MULTILINE)
    assert commands == ["make demo", "make test"]
    targets = re.findall(r"^(\w+):", (HERE / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
