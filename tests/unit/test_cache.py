"""The compiled catalog on disk: used exactly while nothing it was built from has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.catalog import cache
from agent.catalog.compile import compile_catalog
from agent.facts import Facts
from agent.manifest import read_manifest
from agent.source import WorkingTree
from tests.unit.fleets import Files, write

FILES: Files = {
    "fleet.yaml": "format: 1\nvars: {a: 1}\n",
    "hosts/web-01.yaml": "roles: [base]\nresources:\n  - file: /etc/motd\n    source: motd\n    requires: [unit:a.service]\n",
    "hosts/web-02.yaml": "resources: []\n",
    "roles/base/role.yaml": """resources:
  - unit: a.service
    active: true
    restart_on: [file:/etc/b]
  - file: /etc/b
    template: b.j2
    mode: "0600"
""",
    "roles/base/templates/b.j2": "secret {{ facts.arch }}",
    "roles/other/role.yaml": "{}",
    "files/motd": "hello",
}


class Fleet:
    """A repository, its cache, and facts that a test can change."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.path = write(directory / "repository", FILES), str(directory / "catalog.json")
        self.facts: dict[str, Callable[[], object]] = {"arch": lambda: "x86_64", "kernel": lambda: "6.1"}

    def tree(self) -> WorkingTree:
        return WorkingTree(str(self.directory))

    def save(self) -> cache.Compiled:
        facts = Facts(self.facts)
        manifest = read_manifest(self.tree(), "web-01", facts)
        kept = cache.Cache(self.path, writable=True)
        return cache.save(kept, compile_catalog(manifest), manifest.inputs, facts.asked, manifest.vault)

    def load(self, host: str = "web-01") -> cache.Compiled | None:
        return cache.load(self.path, self.tree(), host)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet(tmp_path)
    monkeypatch.setattr(cache, "Facts", lambda: Facts(made.facts))
    return made


def test_what_was_saved_is_loaded_as_it_was(fleet: Fleet) -> None:
    assert fleet.load() is None
    saved = fleet.save()
    assert fleet.load() == saved


@pytest.mark.parametrize("path", ["hosts/web-02.yaml", "roles/other/role.yaml", "README.md", "groups/web.yaml"])
def test_a_change_that_is_nothing_to_the_host_keeps_it(fleet: Fleet, path: str) -> None:
    saved = fleet.save()
    write(fleet.directory, {path: "vars: {z: 1}\n"})
    assert fleet.load() == saved


@pytest.mark.parametrize(
    "path",
    ["fleet.yaml", "hosts/web-01.yaml", "roles/base/role.yaml", "roles/base/templates/b.j2", "files/motd", "files/new"],
)
def test_a_change_of_what_it_was_built_from_ends_it(fleet: Fleet, path: str) -> None:
    fleet.save()
    write(fleet.directory, {path: "changed"})
    assert fleet.load() is None


@pytest.mark.parametrize("path", ["hosts/web-01.yaml", "files/motd", "roles/base/templates/b.j2"])
def test_what_it_was_built_from_and_is_gone_ends_it(fleet: Fleet, path: str) -> None:
    fleet.save()
    (fleet.directory / path).unlink()
    assert fleet.load() is None


def test_a_document_that_appears_beside_the_one_that_was_read_ends_it(fleet: Fleet) -> None:
    fleet.save()
    write(fleet.directory, {"hosts/web-01.json": "{}"})
    assert fleet.load() is None


def test_a_fact_that_was_asked_for_and_changes_ends_it_and_no_other(fleet: Fleet) -> None:
    saved = fleet.save()
    fleet.facts["kernel"] = lambda: "6.2"
    assert fleet.load() == saved
    fleet.facts["arch"] = lambda: "aarch64"
    assert fleet.load() is None


def test_another_host_or_other_code_ends_it(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.save()
    assert fleet.load("web-02") is None
    monkeypatch.setattr(cache, "__version__", "0.0.0")
    assert fleet.load() is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"code": 1', b"1" * 100])
def test_a_damaged_cache_is_as_good_as_none(fleet: Fleet, damage: bytes) -> None:
    fleet.save()
    Path(fleet.path).write_bytes(damage)
    assert fleet.load() is None


def test_a_cache_with_a_kind_or_field_of_another_version_is_as_good_as_none(fleet: Fleet) -> None:
    fleet.save()
    for old, new in (("unit", "service"), ("active", "aktive")):
        text = Path(fleet.path).read_text()
        made = json.loads(text)
        made["nodes"] = json.loads(json.dumps(made["nodes"]).replace(f'"{old}"', f'"{new}"'))
        Path(fleet.path).write_text(json.dumps(made))
        assert fleet.load() is None
        Path(fleet.path).write_text(text)


def test_it_is_as_private_as_what_was_rendered(fleet: Fleet) -> None:
    before = os.umask(0)
    try:
        fleet.save()
    finally:
        os.umask(before)
    assert os.stat(fleet.path).st_mode & 0o777 == 0o600
    assert os.listdir(os.path.dirname(fleet.path)).count("catalog.json.new") == 0


def test_the_digest_is_that_of_what_is_said_and_the_same_for_the_same(fleet: Fleet) -> None:
    first = fleet.save().digest
    assert fleet.save().digest == first
    write(fleet.directory, {"files/motd": "other"})
    assert fleet.save().digest != first
