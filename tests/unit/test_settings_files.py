"""The agent's own settings: merged by file name, every error at once with its place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from agent.errors import ConfigInvalid
from agent.settings import Settings, load
from tests.unit.fleets import Files, write


def loaded(directory: Path, files: Files) -> Settings:
    return load(str(write(directory, files)))


def wrong(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        loaded(directory, {"agent.yaml": text})
    said = str(caught.value)
    assert said.endswith("; correct the settings; see agentctl(8)")
    return said.removesuffix("; correct the settings; see agentctl(8)").replace(f"{directory}/", "").splitlines()


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    assert load(str(tmp_path)) == Settings()
    assert (Settings().branch, Settings().poll_interval, Settings().allow_rewritten_history) == ("main", 60, False)


@pytest.mark.parametrize("text", ["", "\n", "# nothing is set\n\n  # yet\n"])
def test_a_file_that_sets_nothing(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, {"agent.yaml": text}) == Settings()


def test_later_files_win_by_name(tmp_path: Path) -> None:
    files = {
        "agent.yaml": "repository: one\nbranch: one\nhost: one\n",
        "agent.d/20-site.yaml": "branch: three\n",
        "agent.d/10-base.yaml": "branch: two\nhost: two\n",
        "agent.d/ignored.txt": "branch: never\n",
    }
    found = loaded(tmp_path, files)
    assert (found.repository, found.host, found.branch) == ("one", "two", "three")


def test_a_directory_with_characters_of_globs(tmp_path: Path) -> None:
    assert loaded(tmp_path / "a[b]*", {"agent.d/x.yaml": "branch: two\n"}).branch == "two"


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("60s", 60), ("5m", 300), ("1h", 3600), ("2d", 172_800), ("'90'", 90)]
)
def test_durations(tmp_path: Path, text: str, seconds: int) -> None:
    assert loaded(tmp_path, {"agent.yaml": f"poll_interval: {text}\n"}).poll_interval == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("repositry: x", 'agent.yaml:1: unknown setting "repositry"; did you mean repository?'),
        ("zzz: x", f'agent.yaml:1: unknown setting "zzz"; there are {", ".join(f.name for f in fields(Settings))}'),
        ("poll_interval: 4s", 'agent.yaml:1: "poll_interval" must be from 5s to 365d'),
        ("poll_interval: soon", "agent.yaml:1: \"poll_interval\" must be a duration such as 60s, 5m or 1h, not 'soon'"),
        ("poll_interval: 5.5", 'agent.yaml:1: "poll_interval" must be a duration such as 60s, 5m or 1h, not 5.5'),
        ("poll_interval: true", 'agent.yaml:1: "poll_interval" must be a duration such as 60s, 5m or 1h, not True'),
        ("poll_interval: -60", 'agent.yaml:1: "poll_interval" must be a duration such as 60s, 5m or 1h, not -60'),
        ("allow_rewritten_history: yes", "agent.yaml:1: \"allow_rewritten_history\" must be true or false, not 'yes'"),
        ("ssh_key: key", "agent.yaml:1: \"ssh_key\" must be an absolute path, not 'key'"),
        ("branch: [main]", 'agent.yaml:1: "branch" must be text on one line'),
        ("branch: ''", "agent.yaml:1: \"branch\" must be the name of a branch, not ''"),
        ("repository:", 'agent.yaml:1: "repository" must be text on one line'),
        ("host: a/b", "agent.yaml:1: \"host\" must be a host name, not 'a/b'"),
        ("host: ..", "agent.yaml:1: \"host\" must be a host name, not '..'"),
        ("- a", "agent.yaml:1: the document must be a mapping of names to values"),
        ("a: [\n", "agent.yaml:2: not valid YAML: while parsing a flow node did not find expected node content"),
    ],
)
def test_an_error_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert wrong(tmp_path, text) == [message]


def test_all_errors_of_all_files_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, {"agent.d/a.yaml": "hots: x\n"})
    assert [line.partition(": ")[0] for line in wrong(tmp_path, "branch: 1\npoll_interval: 1\n")] == [
        "agent.d/a.yaml:1",
        "agent.yaml:1",
        "agent.yaml:2",
    ]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").mkdir()
    with pytest.raises(ConfigInvalid, match=r"agent\.yaml: cannot be read: Is a directory"):
        load(str(tmp_path))


def test_a_link_that_leads_nowhere_is_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").symlink_to("nowhere")
    with pytest.raises(ConfigInvalid, match=r"agent\.yaml: cannot be read: No such file"):
        load(str(tmp_path))


def test_the_remote_is_what_the_settings_say() -> None:
    settings = Settings(username="me", ssh_key="/k", known_hosts="/h", ca_file="/c", connect_timeout=7)
    remote = settings.remote("ssh://git@example.com/fleet.git", "next")
    assert (remote.url, remote.branch, remote.username) == ("ssh://git@example.com/fleet.git", "next", "me")
    assert (remote.ssh_key, remote.known_hosts, remote.ca_file) == ("/k", "/h", "/c")
    assert (remote.connect_timeout_seconds, remote.transfer_timeout_seconds) == (7, 120)


def test_every_setting_says_what_it_is() -> None:
    assert all(field.metadata["doc"].endswith(".") for field in fields(Settings))
