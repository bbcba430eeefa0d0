"""Remotes in order: who is asked when others are silent, who may rest, and what is known of each afterwards."""

from __future__ import annotations

import time

import pytest

from agent.errors import FetchFailed, Unreachable
from agent.source import Contacts, Remote
from agent.source.network import explain

FIRST, SECOND = "https://a.example.com/fleet.git", "https://b.example.com/fleet.git"


class Net:
    """Remotes that answer their own URL, are silent, or refuse; which were asked."""

    def __init__(self, *silent: str, refusing: tuple[str, ...] = ()) -> None:
        self.silent, self.refusing = silent, refusing
        self.asked: list[str] = []

    def __call__(self, remote: Remote) -> str:
        self.asked.append(remote.url)
        if remote.url in self.silent:
            raise Unreachable(f"{remote.url} cannot be reached")
        if remote.url in self.refusing:
            raise FetchFailed(f"{remote.url} refuses the credentials")
        return remote.url


def contacts(*known: dict[str, object]) -> Contacts:
    return Contacts([Remote(FIRST), Remote(SECOND)], known)


def test_the_first_that_answers_is_the_only_one_that_is_asked() -> None:
    net = Net()
    assert contacts().first_answer(net) == FIRST
    assert net.asked == [FIRST]


def test_a_silent_remote_is_passed_over_and_rests_while_another_answers() -> None:
    made, net = contacts(), Net(FIRST)
    assert made.first_answer(net) == SECOND
    first, second = made.to_json()
    assert (first["failures"], first["answered_at"], first["error"]) == (1, 0, f"{FIRST} cannot be reached")
    assert (second["failures"], second["error"]) == (0, "")
    assert time.time() - second["answered_at"] < 5
    again = contacts(first, second)
    assert again.first_answer(net) == SECOND
    assert net.asked == [FIRST, SECOND, SECOND], "the first rests"


def test_who_answered_just_now_does_not_rest() -> None:
    known = {"url": FIRST, "asked_at": time.time() + 0.5, "answered_at": time.time(), "failures": 0}
    assert contacts({**known, "url": SECOND}, {**known, "failures": 1}).first_answer(Net()) == SECOND


def test_a_rest_ends_by_time_by_word_and_by_a_clock_that_is_set_back() -> None:
    silent = {"url": FIRST, "asked_at": time.time() - 11, "failures": 2, "error": "x"}
    for known in (silent, {**silent, "failures": 30, "asked_at": time.time() - 901}, {**silent, "asked_at": 9e12}):
        assert contacts(known).first_answer(Net()) == FIRST
    resting = contacts({**silent, "failures": 3})
    assert resting.first_answer(Net()) == SECOND
    resting.forgive()
    assert resting.first_answer(Net()) == FIRST


def test_one_that_answers_again_is_the_first_again() -> None:
    made = contacts({"url": FIRST, "asked_at": time.time() - 20, "failures": 2, "error": "x", "answered_at": 5.0})
    assert made.first_answer(Net()) == FIRST
    assert (made.to_json()[0]["failures"], made.to_json()[0]["error"]) == (0, "")


def test_a_refusal_is_no_silence() -> None:
    net = Net(refusing=(FIRST,))
    with pytest.raises(FetchFailed, match="refuses the credentials"):
        contacts().first_answer(net)
    assert net.asked == [FIRST]


def test_when_none_answers_each_is_named_and_those_that_rest_are_asked_too() -> None:
    net = Net(FIRST, SECOND)
    made = contacts({"url": FIRST, "asked_at": time.time(), "failures": 5, "error": "x"})
    with pytest.raises(Unreachable, match="none of 2 remotes is of use: ") as caught:
        made.first_answer(net)
    assert net.asked == [SECOND, FIRST]
    assert FIRST in str(caught.value)
    assert SECOND in str(caught.value)


def test_a_single_remote_says_its_own_words() -> None:
    with pytest.raises(Unreachable, match=f"^{FIRST} cannot be reached$"):
        Contacts([Remote(FIRST)]).first_answer(Net(FIRST))


@pytest.mark.parametrize(
    "known", [{"url": FIRST, "failures": "many"}, {"url": FIRST, "asked_at": None}, {}, {"url": 1}]
)
def test_what_makes_no_sense_is_not_believed(known: dict[str, object]) -> None:
    assert contacts(known).to_json()[0]["failures"] == 0


def test_no_password_is_kept() -> None:
    made = Contacts([Remote("https://me:pw@a.example.com/fleet.git")])
    made.first_answer(Net())
    assert "pw" not in str(made.to_json())


@pytest.mark.parametrize(
    ("message", "silent"),
    [
        ("failed to connect to a.example.com: Connection refused", True),
        ("failed to resolve address for a.example.com", True),
        ("failed to resolve path '/mnt/fleet.git'", True),
        ("unexpected http status code: 502", True),
        ("connection reset by peer", True),
        ("unexpected http status code: 404", False),
        ("unexpected http status code: 401", False),
        ("credentials refused", False),
        ("host key", False),
        ("the SSL certificate is invalid", False),
    ],
)
def test_which_answers_are_none(message: str, silent: bool) -> None:
    assert isinstance(explain(Remote(FIRST), message), Unreachable) is silent
