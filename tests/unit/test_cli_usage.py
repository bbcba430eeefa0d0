"""Wrong usage and errors: what is said, how to go on, and never a traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent import cli
from agent.errors import AgentError
from tests.unit.site import Site


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aply"], "there is no verb 'aply'; did you mean apply?"),
        (["nonsense"], "there is no verb 'nonsense' (agentctl --help lists them)"),
        (["plan", "--rot", "/x"], "agentctl plan: there is no option --rot; did you mean --root?"),
        (["plan", "--zzz"], "agentctl plan: there is no option --zzz (agentctl plan --help lists them)"),
        (["status", "--jason"], "agentctl status: there is no option --jason; did you mean --json?"),
        (["plan", "--root"], "expected one argument"),
        (["plan", "--root", "/nosuch", "--repo", "/x"], "--root /nosuch is not a directory; make it first"),
        (["plan", "--working-tree"], "--working-tree needs --repo DIR"),
        (["plan", "--config", "/nosuch"], "no repository is configured in /nosuch"),
    ],
)
def test_wrong_usage_ends_with_1_and_says_how_to_go_on(site: Site, arguments: list[str], said: str) -> None:
    assert site.call(*arguments) == 1
    assert said in site.err
    assert "Traceback" not in site.err


@pytest.mark.parametrize("verb", ["", "--help", "-h", *cli.VERBS])
def test_every_verb_explains_itself(site: Site, verb: str) -> None:
    assert site.call(*([verb, "--help"] if verb in cli.VERBS else [verb] if verb else [])) == 0
    assert site.out.startswith("usage: agentctl")
    assert site.err == ""


def raising(error: BaseException) -> Callable[..., int]:
    def run(_options: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("boom\x1b[2J"), 1, r"agentctl: internal error, RuntimeError: boom\x1b[2J; this is a bug"),
        (AgentError("it is \x07 broken", "mend it"), 1, r"agentctl: it is \x07 broken; mend it"),
        (PermissionError(13, "Permission denied", "/x"), 1, "agentctl: /x: Permission denied"),
        (KeyboardInterrupt(), 130, "agentctl: interrupted"),
    ],
)
def test_no_error_ends_in_a_traceback(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    monkeypatch.delenv("AGENTCTL_TRACE", raising=False)
    monkeypatch.setattr("agent.cli.facts.run", raising(error))
    assert site.call("facts") == status
    assert said in site.err
    assert "Traceback" not in site.err


def test_whoever_wants_the_traceback_gets_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTCTL_TRACE", "1")
    monkeypatch.setattr("agent.cli.facts.run", raising(RuntimeError("boom")))
    with pytest.raises(RuntimeError, match="boom"):
        site.call("facts")


def test_status_that_cannot_tell_is_unknown_and_no_warning(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTCTL_TRACE", raising=False)
    monkeypatch.setattr("agent.cli.status.run", raising(RuntimeError("boom")))
    assert site.call("status") == 3
