"""Remotes in the settings: which one serves, and what `status` and `source` say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.errors import ConfigInvalid
from agent.settings import Settings, load
from tests.unit.fleets import Host, commit, host

MOTD = host("file: /etc/motd\n    content: held")


class Follower:
    """A host that follows `a.git`, or else `b.git`, by settings of its own."""

    def __init__(self, directory: Path, said: pytest.CaptureFixture[str]) -> None:
        self.first, self.mirror, self._said = directory / "a.git", directory / "b.git", said
        self.config, self.root = directory / "etc", directory / "root"
        self.config.mkdir()
        self.root.mkdir()
        self.host = Host(self.root, said)
        (self.config / "agent.yaml").write_text(f"repository: {self.first}\nfallbacks:\n  - {self.mirror}\n")

    def apply(self) -> tuple[int, str]:
        return self.host.run("apply", "--config", str(self.config))

    def status(self) -> str:
        main(["status", "--root", str(self.root)])
        return self._said.readouterr().out

    def source(self) -> dict[str, Any]:
        main(["source", "--json", "--root", str(self.root), "--config", str(self.config)])
        return dict(json.loads(self._said.readouterr().out))


@pytest.fixture
def follower(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Follower:
    return Follower(tmp_path, capsys)


def test_the_mirror_serves_and_the_status_names_both(follower: Follower) -> None:
    commit(follower.mirror, MOTD)
    assert follower.apply() == (0, "")
    assert (
        f"{follower.first} is not there; check the path (no answer yet); {follower.mirror} answers" in follower.status()
    )
    first, mirror = follower.source()["remotes"]
    assert (first["url"], first["answered_at"], first["failures"]) == (str(follower.first), 0, 1)
    assert (mirror["url"], mirror["answered_at"] > 0, mirror["failures"]) == (str(follower.mirror), True, 0)


def test_the_first_is_taken_again_as_soon_as_it_is_back(follower: Follower) -> None:
    commit(follower.mirror, MOTD)
    follower.apply()
    follower.mirror.rename(follower.first)
    assert follower.apply() == (0, "")
    assert "answers" not in follower.status()
    assert [remote["failures"] for remote in follower.source()["remotes"]] == [0, 0]


def test_with_none_what_is_in_force_is_held_and_both_are_named(follower: Follower) -> None:
    commit(follower.mirror, MOTD)
    follower.apply()
    follower.mirror.rename(follower.mirror.with_suffix(".away"))
    (follower.root / "etc/motd").write_text("drift")
    status, said = follower.apply()
    assert status == 1
    assert (
        f"none of 2 remotes is of use: {follower.first} is not there; check the path; {follower.mirror} is not" in said
    )
    assert (follower.root / "etc/motd").read_text() == "held"


def test_what_is_applied_by_name_is_verified_and_what_is_looked_at_is_not(follower: Follower) -> None:
    commit(follower.mirror, MOTD)
    follower.apply()
    other = commit(follower.mirror, host("file: /etc/motd\n    content: other"), parents=0)
    settings = follower.config / "agent.yaml"
    settings.write_text(f"{settings.read_text()}verify: range\ntrusted_keys: {follower.config}\n")
    named = ("--config", str(follower.config), "--ref", other)
    assert follower.host.run("plan", *named)[0] == 2
    status, said = follower.host.run("apply", *named)
    assert (status, (follower.root / "etc/motd").read_text()) == (1, "held")
    assert f"{other[:7]} cannot be verified: verify is range, and {follower.config} has no key" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fallbacks: https://b.example.com/fleet.git", '"fallbacks" must be a list of URLs'),
        ("fallbacks: ['']", '"fallbacks" must be a list of URLs'),
        ("fallbacks: [3]", '"fallbacks" must be a list of URLs'),
        ('fallbacks: ["a\\nb"]', '"fallbacks" must be text on one line'),
        ("verify: on", "\"verify\" must be one of off, tip, range, not 'on'"),
        ("verify: true", '"verify" must be text on one line'),
        ("trusted_keys: keys", '"trusted_keys" must be an absolute path'),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "agent.yaml").write_text(f"{line}\n")
    with pytest.raises(ConfigInvalid, match=r"agent\.yaml:1: ") as caught:
        load(str(tmp_path))
    assert said in str(caught.value)


def test_a_pass_gets_the_same_settings_through_json() -> None:
    given = Settings(fallbacks=("a", "b"), verify="tip")
    assert Settings(**json.loads(json.dumps({"fallbacks": given.fallbacks, "verify": given.verify}))) == given
