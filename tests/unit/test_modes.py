"""Modes as chmod(1) takes them: against a table, against chmod itself, and what is refused."""

from __future__ import annotations

import os
import random
import stat
import subprocess
from pathlib import Path

import pytest

from agent.errors import ManifestInvalid
from modules.modes import resolved
from tests.unit.holding import Holding

TABLE = [
    ("0644", 0o7777, 0o644, 0o755),
    ("0600", 0o000, 0o600, 0o700),
    ("4711", 0o000, 0o4711, 0o4711),
    ("u=rw,go=r", 0o7777, 0o644, 0o6644),
    ("u+x,g-w", 0o664, 0o744, 0o744),
    ("a=rX", 0o600, 0o444, 0o555),
    ("a=rX", 0o700, 0o555, 0o555),
    ("g=u", 0o640, 0o660, 0o660),
    ("go=", 0o4755, 0o4700, 0o4700),
    ("+x", 0o644, 0o755, 0o755),
    ("o+t", 0o755, 0o1755, 0o1755),
    ("ug+s", 0o755, 0o6755, 0o6755),
    ("u=rwx,g=rx-x,o=g", 0o000, 0o744, 0o744),
]


@pytest.mark.parametrize(("mode", "found", "file", "directory"), TABLE)
def test_what_a_mode_means_for_what_is_there(mode: str, found: int, file: int, directory: int) -> None:
    assert oct(resolved(mode, found)) == oct(file)
    assert oct(resolved(mode, found, directory=True)) == oct(directory)
    assert resolved(mode, file) in (file, resolved(mode, resolved(mode, file))), "what it came to stays"


@pytest.mark.processes(reason="chmod itself is the judge")
def test_symbolic_modes_mean_what_chmod_makes_of_them(tmp_path: Path) -> None:
    dice = random.Random(7)  # the same every time
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    for _ in range(150):
        mode = ",".join(clause(dice) for _ in range(dice.randint(1, 3)))
        for path in tmp_path.iterdir():
            found = dice.randrange(0o10000)
            path.chmod(found)
            subprocess.run(["chmod", "--", mode, path], check=True)
            made = stat.S_IMODE(path.stat().st_mode)
            assert oct(resolved(mode, found, directory=path.is_dir())) == oct(made), (mode, oct(found), path.name)


def clause(dice: random.Random) -> str:
    who = dice.choice(["a", *("".join(dice.sample("ugo", count)) for count in (1, 2, 3))])
    actions = ""
    for _ in range(dice.randint(1, 2)):
        copied = dice.random() < 0.3
        actions += dice.choice("+-=") + (dice.choice("ugo") if copied else "".join(dice.sample("rwxXst", 3)))
    return who + actions


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("mode", 644, "a bare number loses its leading zero"),
        ("mode", "64", "three or four octal digits"),
        ("mode", "888", "three or four octal digits"),
        ("mode", "u=rq", "three or four octal digits"),
        ("mode", "u", "three or four octal digits"),
        ("mode", "u+x,", "three or four octal digits"),
        ("mode", "", "three or four octal digits"),
        ("acl", "user:a:r", "must be a list of entries"),
        ("acl", ["alice"], "must be entries such as user:alice:rw"),
        ("acl", ["user::rw"], "must not repeat what `mode` says"),
        ("acl", ["user:a:r", "u:a:w"], "must not name the same user or group twice"),
        ("acl", ["mask:a:r"], "must be entries such as"),
        ("acl", ["default:user:a:r"], "acl has default entries"),
        ("xattr", {"security.capability": "x"}, "must name attributes of users"),
        ("xattr", ["user.a"], "must be a mapping"),
        ("attributes", "i", "must be flags such as"),
        ("attributes", "+q", "must be flags such as"),
        ("selinux", "a:b", "must be a type such as etc_t"),
        ("checksum", "abc", "must be a sha256"),
        ("checksum", "0" * 64, "but that of the content is"),
        ("source", "ftp://example.com/x", "an http, https or file URL"),
        ("source", "https://me:secret@example.com/x", "must not have a password in its URL"),
        ("source", "https://example.com/x", "a URL, which can serve anything"),
        ("replace", False, ""),
    ],
)
def test_what_makes_no_sense_is_found_before_anything_is_touched(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    held = Holding(tmp_path, tmp_path / "state")
    wish = {"file": "/path", field: value}
    if field not in ("source", "replace"):
        wish["content"] = ""
    with pytest.raises(ManifestInvalid) as caught:
        held.plan([wish])
    assert said in str(caught.value)
    assert field in str(caught.value)
    assert os.listdir(tmp_path) == ["state"]
