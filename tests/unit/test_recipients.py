"""`agentctl validate` tells whether each host can open the secrets it uses, from public keys and what a sealed file says of itself."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from agent.cli import main
from agent.recipients import can_open
from tests.unit.fleets import Files, write

USE = "  - file: /etc/app.conf\n    content: \"p={{ secret('db') }}\"\n"
MINE, THEIRS, RSA = (
    f"{kind} {base64.b64encode(f'{kind}{name}'.encode()).decode()} {name}@example.com"
    for kind, name in (("ssh-ed25519", "web-01"), ("ssh-ed25519", "web-02"), ("ssh-rsa", "web-01"))
)
NATIVE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


def stanza(key: str) -> str:
    """What stands for a recipient in a header."""
    if key.startswith("age1"):
        return "-> X25519 c2hhcmVk\nYm9keQ\n"
    kind, blob, _ = key.split()
    tag = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()[:4]).decode().rstrip("=")
    return f"-> {kind} {tag} c2hhcmVk\nYm9keQ\n"


def sealed(*keys: str, armored: bool = True) -> bytes:
    """A file for these keys; nobody could open it."""
    data = ("age-encryption.org/v1\n" + "".join(map(stanza, keys)) + "--- bWFj\n").encode() + b"\x80\x00payload"
    if not armored:
        return data
    return b"-----BEGIN AGE ENCRYPTED FILE-----\n" + base64.encodebytes(data) + b"-----END AGE ENCRYPTED FILE-----\n"


def fleet(secret: bytes, names: str = "web-01\n", **more: str) -> Files:
    return {
        "fleet.yaml": 'format: 1\ngroups: {web: {hosts: ["web-*"]}}\n',
        "hosts/web-01.yaml": f"resources:\n{USE}",
        "keys/web-01.pub": f"{MINE}\n",
        "keys/web-02.pub": f"# a comment\n{THEIRS}\n",
        "secrets/db.age": secret,
        "secrets/db.for": names,
        **more,
    }


def validated(directory: Path, files: Files, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    ended = main(["validate", str(write(directory, files))])
    said = capsys.readouterr()
    return ended, said.out, said.err


@pytest.mark.parametrize("armored", [True, False])
@pytest.mark.parametrize(
    ("keys", "recipients", "opens"),
    [
        ([MINE], [THEIRS, MINE], True),
        ([MINE], [THEIRS], False),
        ([MINE, RSA], [RSA], True),
        ([RSA], [MINE], False),
        ([MINE], [NATIVE], False),
        ([NATIVE], [NATIVE], None),
        ([NATIVE], [MINE], False),
        ([NATIVE, MINE], [NATIVE], None),
        ([], [MINE], None),
    ],
)
def test_who_can_open_a_file(keys: list[str], recipients: list[str], opens: bool | None, armored: bool) -> None:
    assert can_open(keys, sealed(*recipients, armored=armored)) is opens


@pytest.mark.parametrize(
    "data", [b"", b"plain", b"-----BEGIN AGE ENCRYPTED FILE-----\n*\n-----END", b"age-encryption.org/v2\n"]
)
def test_what_is_no_age_file_is_said(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended, said, _ = validated(tmp_path, fleet(data), capsys)
    assert ended == 1
    assert "hosts/web-01.yaml:3: " in said
    assert "secrets/db.age is no age file; agentctl secret encrypt makes one" in said


def test_a_host_that_is_a_recipient_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validated(tmp_path, fleet(sealed(MINE)), capsys) == (0, "1 host read, 1 fine\n", "")


@pytest.mark.parametrize(
    ("names", "step"),
    [
        ("web-01\n", "agentctl secret rekey db does that"),
        ("web\n", "agentctl secret rekey db does that"),
        ("web-02\n", "add web-01 to secrets/db.for, then agentctl secret rekey db"),
        ("nobody\n", "add web-01 to secrets/db.for, then agentctl secret rekey db"),
    ],
)
def test_a_host_that_could_not_open_its_secret_is_a_problem_where_it_is_used(
    names: str, step: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, said, _ = validated(tmp_path, fleet(sealed(THEIRS), names), capsys)
    assert ended == 1
    assert said.startswith("hosts/web-01.yaml:3: ")
    assert f"secrets/db.age is not sealed for web-01; {step}" in said


def test_every_host_that_uses_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    role = {"roles/app/role.yaml": f"resources:\n{USE}"}
    hosts = {f"hosts/web-0{number}.yaml": "roles: [app]\n" for number in (1, 2, 3)}
    third = {"keys/web-03.pub": MINE.replace(MINE.split()[1], base64.b64encode(b"ssh-ed25519web-03").decode())}
    ended, said, _ = validated(tmp_path, fleet(sealed(THEIRS), **role, **hosts, **third), capsys)
    lines = said.splitlines()
    assert ended == 1
    assert [line.partition(":")[0] for line in lines] == ["roles/app/role.yaml"] * 2
    assert [word for line in lines for word in line.split() if word in ("web-01;", "web-03;")] == ["web-01;", "web-03;"]


def test_a_secret_in_a_variable_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    through = {
        "hosts/web-01.yaml": f"vars:\n  p: \"{{{{ secret('db') }}}}\"\nresources:\n{USE.replace(chr(39), '')}".replace(
            "secret(db)", "vars.p"
        )
    }
    ended, said, _ = validated(tmp_path, fleet(sealed(THEIRS), **through), capsys)
    assert ended == 1
    assert "secrets/db.age is not sealed for web-01" in said


@pytest.mark.parametrize(
    ("key", "why"), [(NATIVE, "age does not say who its own keys are"), (None, "there is no keys/web-01.pub")]
)
def test_what_cannot_be_told_is_said_and_no_problem(
    key: str | None, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {**fleet(sealed(THEIRS, NATIVE)), "keys/web-01.pub": f"{key}\n"}
    if key is None:
        del files["keys/web-01.pub"]
    ended, _, warned = validated(tmp_path, files, capsys)
    assert (ended, warned) == (0, f"cannot tell whether web-01 can open secrets/db.age: {why}\n")


def test_of_many_that_cannot_be_told_some_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = {f"hosts/db-{number:02}.yaml": f"resources:\n{USE}" for number in range(12)}
    ended, _, warned = validated(tmp_path, fleet(sealed(MINE), **many), capsys)
    assert ended == 0
    assert len(warned.splitlines()) == 11
    assert warned.endswith("and 2 more that cannot be told\n")


@pytest.mark.parametrize(("recipient", "ended"), [(MINE, 0), (THEIRS, 1)])
def test_a_sops_file_lists_its_recipients(
    recipient: str, ended: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = " ".join(recipient.split()[:2])
    more = {
        "hosts/web-01.yaml": f"resources:\n{USE}".replace("'db'", "'all.sops.yaml', 'db'"),
        "secrets/all.sops.yaml": f"db: ENC[...]\nsops:\n  age:\n    - recipient: {listed}\n",
    }
    found = validated(tmp_path, fleet(sealed(MINE), **more), capsys)
    assert found[0] == ended
    assert ended == 0 or "secrets/all.sops.yaml is not sealed for web-01; add its key with sops" in found[1]


def test_a_key_that_is_none_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended, said, _ = validated(tmp_path, fleet(sealed(MINE), **{"keys/web-01.pub": "ssh-dss AAAA\n"}), capsys)
    assert (ended, said.splitlines()[0]) == (
        1, "keys: keys/web-01.pub holds 'ssh-dss AAAA'...; it takes ssh-ed25519, ssh-rsa or age1 public keys",
    )  # fmt: skip
