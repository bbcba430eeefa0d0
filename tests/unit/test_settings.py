"""The agent's settings: read in order, every error at once with its place, and nothing that a daemon would choke on."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from agent.cli import main
from agent.errors import ConfigInvalid
from agent.settings import Settings, load


def write(directory: Path, **files: str) -> str:
    """Settings in agent.yaml (`agent`) and agent.d; their directory."""
    (directory / "agent.d").mkdir()
    for name, text in files.items():
        path = "agent.yaml" if name == "agent" else f"agent.d/{name}.yaml"
        (directory / path).write_text(text)
    return str(directory)


def refused(directory: str) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(directory)
    return str(caught.value)


def test_nothing_is_set_by_nothing(tmp_path: Path) -> None:
    assert load(str(tmp_path)) == Settings()
    assert load(write(tmp_path, agent="# repository: x\n\n", b="")) == Settings()


def test_later_files_win_key_by_key(tmp_path: Path) -> None:
    place = write(
        tmp_path,
        agent="repository: a\nbranch: a\nhost: a\n",
        b_20="branch: c\n",
        b_10="repository: b\nbranch: b\n",
    )
    found = load(place)
    assert (found.repository, found.branch, found.host) == ("b", "c", "a")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400), ('"60s"', 60)]
)
def test_durations(tmp_path: Path, text: str, seconds: int) -> None:
    assert load(write(tmp_path, agent=f"poll_interval: {text}\n")).poll_interval == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("poll_interval: 4", '"poll_interval" must be from 5s to 365d'),
        ("poll_interval: 999999999d", '"poll_interval" must be from 5s to 365d'),
        ("poll_interval: 1.5", "must be a duration such as 60s, 5m or 1h, not 1.5"),
        ("poll_interval: true", "must be a duration such as 60s, 5m or 1h, not True"),
        ("poll_intervall: 60s", 'unknown setting "poll_intervall"; did you mean poll_interval?'),
        ("zzz: 1", 'unknown setting "zzz"; there are repository, branch, '),
        ("repository: [x]", '"repository" must be text on one line'),
        ('repository: "a\\nb"', '"repository" must be text on one line'),
        ("token_file: secret", "must be an absolute path, not 'secret'"),
        ("allow_rewritten_history: yes", "must be true or false, not 'yes'"),
        ("host: ../web", "must be a host name, not '../web'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    message = refused(write(tmp_path, agent=f"\n{text}\n"))
    assert message.startswith(f"{tmp_path}/agent.yaml:2: "), message
    assert said in message


def test_every_error_comes_at_once(tmp_path: Path) -> None:
    message = refused(write(tmp_path, agent="host: 1\nbrunch: x\n", b="repository: 1\n", c="- a\n"))
    assert [line.partition(": ")[0].removeprefix(f"{tmp_path}/") for line in message.splitlines()][:3] == [
        "agent.d/b.yaml:1",
        "agent.d/c.yaml:1",
        "agent.yaml:1",
    ]
    assert message.endswith("; correct the settings; see agentctl(8)")


def test_what_is_no_file_of_settings_is_said(tmp_path: Path) -> None:
    place = write(tmp_path, agent="branch: x\n" + "#" * (1 << 20))
    (tmp_path / "agent.d/dir.yaml").mkdir()
    message = refused(place)
    assert f"{tmp_path}/agent.yaml: is larger than 1 MiB" in message
    assert f"{tmp_path}/agent.d/dir.yaml: cannot be read: Is a directory" in message


@pytest.mark.parametrize("given", ["", "[]", '{"no_such_setting": 1}'])
def test_a_pass_without_the_daemons_settings_reports_that(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main(["pass"]) == 1
    (event,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (event["event"], event["exit"], event["retry"]) == ("report", 1, "NEVER")
    assert "no settings on standard input" in event["summary"]
