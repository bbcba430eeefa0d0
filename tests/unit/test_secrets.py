"""Secrets: what they went into is known, kept out of everything else, and failing to open one fails only what uses it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from agent.catalog import Catalog
from agent.catalog.cache import Cache
from agent.catalog.codec import decode, encode
from agent.desired import Desired, compile_tree
from agent.errors import ManifestInvalid
from agent.secrets import SecretUnavailable, UnknownSecret, Vault
from agent.source import WorkingTree
from modules.api import Content, Resource
from modules.file import File

TEXT = "correct horse battery"


def opened(path: str, sealed: bytes) -> bytes:
    """A key that opens everything but what is not for us."""
    if b"not for us" in sealed:
        raise SecretUnavailable(f"{path} is not for this host")
    return sealed


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    write(tmp_path, "fleet.yaml", "format: 1\nvars: {password: \"{{ secret('db') }}\"}\n")
    write(tmp_path, "secrets/db.age", f"{TEXT}\n")
    write(tmp_path, "secrets/other.age", "not for us")
    write(tmp_path, "secrets/all.sops.yaml", "opened by the test")
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def compiled(fleet: Path, resources: str, cache: str = "") -> Catalog:
    write(fleet, "hosts/web-01.yaml", f"resources:\n{resources}")
    return compile_tree(WorkingTree(str(fleet)), "web-01", Cache(cache, writable=True), opened).catalog


def resource(catalog: Catalog, name: str) -> Resource:
    return next(node.resource for node in catalog.nodes if node.id == name)


def content_of(catalog: Catalog, name: str) -> Content:
    found = resource(catalog, name)
    assert isinstance(found, File)
    assert found.content is not None
    return found.content


def problem_of(fleet: Path, resources: str) -> str:
    with pytest.raises(ManifestInvalid) as raised:
        compiled(fleet, resources)
    return str(raised.value)


DIRECT = "  - file: /a\n    content: \"p={{ secret('db') }}\\n\"\n"
THROUGH_A_VARIABLE = '  - file: /a\n    content: "p={{ vars.password }}\\n"\n'


@pytest.mark.parametrize("resources", [DIRECT, THROUGH_A_VARIABLE])
def test_a_content_that_a_secret_went_into_is_marked(fleet: Path, resources: str) -> None:
    content = content_of(compiled(fleet, resources), "file:/a")
    assert content.secret
    assert content.data == f"p={TEXT}\n".encode()


@pytest.mark.parametrize("resources", [DIRECT, THROUGH_A_VARIABLE])
def test_what_is_around_a_secret_is_known_apart_from_it(fleet: Path, resources: str) -> None:
    first = content_of(compiled(fleet, resources), "file:/a")
    assert first.around == hashlib.sha256(b"p=<db>\n").hexdigest(), "nothing in it comes from the secret"
    write(fleet, "secrets/db.age", "another")
    rotated = content_of(compiled(fleet, resources), "file:/a")
    assert rotated.digest != first.digest
    assert rotated.around == first.around
    changed = content_of(compiled(fleet, resources.replace("p=", "q=")), "file:/a")
    assert changed.around != first.around


def test_what_is_around_a_secret_that_is_computed_with_is_not_known(fleet: Path) -> None:
    computed = "  - file: /a\n    content: \"{{ secret('db').split(' ')[2] }}\"\n"
    content = content_of(compiled(fleet, computed), "file:/a")
    assert (content.data, content.around) == (b"battery", "")


def test_a_variable_that_is_seen_first_without_its_secret_is_known_for_it(fleet: Path) -> None:
    write(fleet, "fleet.yaml", "format: 1\nvars: {password: \"{{ secret('db') }}\", hidden: \"{{ secret('db') }}\"}\n")
    chosen = "{{ vars.password if secret('db') != '<db>' else vars.hidden }}"
    later = THROUGH_A_VARIABLE.replace("/a", "/b").replace("vars.password", "vars.hidden")
    catalog = compiled(fleet, f'  - file: /a\n    content: "{chosen}"\n{later}')
    assert content_of(catalog, "file:/b").secret
    assert content_of(catalog, "file:/b").data == f"p={TEXT}\n".encode()


def test_a_variable_stays_known_for_its_secret_however_often_it_is_used(fleet: Path) -> None:
    catalog = compiled(
        fleet, THROUGH_A_VARIABLE + THROUGH_A_VARIABLE.replace("/a", "/b") + "  - file: /c\n    content: open\n"
    )
    assert [content_of(catalog, f"file:/{name}").secret for name in "abc"] == [True, True, False]


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ("  - symlink: /a\n    target: \"{{ secret('db') }}\"\n", '"target" of symlink:/a'),
        ("  - file: \"/{{ secret('db') }}\"\n    content: x\n", "`file` may hold no secret"),
        ("  - file: /a\n    content: x\n    when: secret('db') == 'x'\n", "`when` may hold no secret"),
        ('  - file: /a\n    content: x\n    owner: "{{ vars.password }}"\n', '"owner" of file:/a'),
        (
            "  - file: /a\n    content: x\n    requires: [\"file:{{ secret('other') }}\"]\n",
            "`requires` may hold no secret",
        ),
        ("  - container: web\n    image: app:1\n    command: [\"{{ secret('db') }}\"]\n", '"command" of container:web'),
    ],
)
def test_a_secret_in_a_field_that_is_shown_is_refused(fleet: Path, resources: str, field: str) -> None:
    message = problem_of(fleet, resources)
    assert field in message
    assert TEXT not in message


def test_an_unknown_secret_is_a_problem_in_git_with_the_nearest_name(fleet: Path) -> None:
    message = problem_of(fleet, "  - file: /a\n    content: \"{{ secret('dbb') }}\"\n")
    assert message.startswith("hosts/web-01.yaml:3: ")
    assert "did you mean 'db'?" in message


@pytest.mark.parametrize("name", ["../db", "/etc/passwd", "", "a//b", ".hidden"])
def test_the_name_of_a_secret_never_leaves_its_folder(fleet: Path, name: str) -> None:
    with pytest.raises(UnknownSecret, match="is not the name of a secret"):
        Vault(WorkingTree(str(fleet)), opened).text(name)


def test_a_secret_that_cannot_be_opened_fails_what_uses_it_and_nothing_else(fleet: Path) -> None:
    catalog = compiled(fleet, "  - file: /a\n    content: \"{{ secret('other') }}\"\n" + DIRECT.replace("/a", "/b"))
    assert content_of(catalog, "file:/a").missing == "secrets/other.age is not for this host"
    assert content_of(catalog, "file:/b").data == f"p={TEXT}\n".encode()


def test_what_is_not_text_cannot_go_into_a_template(fleet: Path) -> None:
    (fleet / "secrets/blob.age").write_bytes(b"\xff\xfe")
    missing = content_of(compiled(fleet, "  - file: /a\n    content: \"{{ secret('blob') }}\"\n"), "file:/a").missing
    assert "not UTF-8 text" in missing


def test_no_secret_is_kept_with_the_catalog_and_its_bytes_are_compiled_again_when_needed(
    fleet: Path, tmp_path: Path
) -> None:
    cache = str(tmp_path / "catalog.json")
    first = content_of(compiled(fleet, DIRECT, cache), "file:/a")
    assert TEXT not in Path(cache).read_text()

    def compiler(tree: object, *, cached: bool = True) -> object:
        assert isinstance(tree, WorkingTree)
        return compile_tree(tree, "web-01", Cache(cache, writable=True) if cached else Cache(), opened)

    tree = WorkingTree(str(fleet))
    desired = Desired(compiler(tree), tree, compiler)  # type: ignore[arg-type]
    kept = content_of(desired.compiled.catalog, "file:/a")
    assert kept.data is None
    assert kept.blob is not None
    assert desired.read(kept.blob) == first.data
    assert desired.redact(f"line 1: {TEXT}!") == "line 1: (secret db)!"


def test_a_catalog_that_lacks_a_secret_is_not_kept(fleet: Path, tmp_path: Path) -> None:
    cache = tmp_path / "catalog.json"
    compiled(fleet, "  - file: /a\n    content: \"{{ secret('other') }}\"\n", str(cache))
    assert not cache.exists()


def test_the_codec_never_writes_a_secret(fleet: Path) -> None:
    made = resource(compiled(fleet, DIRECT), "file:/a")
    for with_data in (True, False):
        text = json.dumps(encode(made, with_data=with_data))
        assert "p=" not in text
        assert "cD1" not in text  # the same in base64
        back = decode(json.loads(text))
        assert isinstance(back, File)
        assert back.content is not None
        assert back.content.secret


def test_a_secret_of_several_lines_is_redacted_line_by_line(fleet: Path) -> None:
    write(fleet, "secrets/key.age", "-----BEGIN KEY-----\nabcdef\nxy\n")
    vault = Vault(WorkingTree(str(fleet)), opened)
    vault.text("key")
    assert vault.redact("bad line: abcdef") == "bad line: (secret key)"
    assert vault.redact("xy") == "xy"  # too short to mean anything


def test_one_key_of_a_document_is_asked_for_by_its_path(fleet: Path) -> None:
    asked = []

    def opener(path: str, _sealed: bytes) -> bytes:
        asked.append(path)
        return b"value"

    vault = Vault(WorkingTree(str(fleet)), opener)
    assert vault.text("all.sops.yaml", "db.password") == "value"
    assert asked == ["secrets/all.sops.yaml#db.password"]
