"""The floor: kept twice outside the clone, loud when any of it is lost, and written only when something changed."""

from __future__ import annotations

import json
import os
import stat
from functools import partial
from pathlib import Path

import pytest

from agent.errors import RevisionRejected, StateUnusable
from agent.source.floor import KEPT_REFUSALS, KEPT_SIGNERS, Floor
from agent.store import Store

A, B, C = "a" * 40, "b" * 40, "c" * 40


class State:
    """A state directory, opened anew for each look."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "floor.json"

    def open(self, *, writable: bool = True, **witnesses: str) -> Floor:
        others = {name: partial(str, commit) for name, commit in witnesses.items()}
        self.store = Store(str(self.directory), writable=writable)
        return Floor(self.store, str(self.file), others, writable=writable)

    def accepted(self, commit: str = A, by: str = "") -> Floor:
        floor = self.open()
        floor.accept(commit, by)
        self.store.close()
        return floor


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def test_a_new_host_has_none_and_says_nothing(state: State) -> None:
    floor = state.open()
    assert (floor.commit, floor.notices, state.file.exists()) == ("", [], False)


def test_what_is_accepted_is_kept_in_both_places_for_root_alone(state: State) -> None:
    state.accepted(A, "ops@example.com")
    assert json.loads(state.file.read_text())["accepted"] == A
    assert stat.S_IMODE(state.file.stat().st_mode) == 0o600
    again = state.open()
    assert (again.commit, again.signer(A), again.notices) == (A, "ops@example.com", [])
    assert state.store.recall("accepted") == A


def test_nothing_is_written_when_nothing_changed(state: State) -> None:
    state.accepted()
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in state.directory.iterdir()}
    state.accepted()
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in state.directory.iterdir()} == before


def test_without_the_database_the_file_holds_and_that_is_said_once(state: State) -> None:
    state.accepted()
    (state.directory / "state.db").unlink()
    floor = state.open(clone=B)
    assert floor.commit == A
    assert floor.notices == [
        f"the accepted revision, {A[:7]}, is taken from {state.file}, the state database does not know it"
    ]
    assert state.open().notices == []


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"format": 2}', '{"format": 1, "accepted": 3}', '{"format": 1, "signers": []}'])  # fmt: skip
def test_without_the_file_the_database_holds_and_the_file_is_written_anew(state: State, text: str | None) -> None:
    state.accepted()
    state.file.unlink() if text is None else state.file.write_text(text)
    floor = state.open(clone=B)
    assert floor.commit == A
    assert floor.notices == [f"the accepted revision, {A[:7]}, is taken from the state database, {state.file} was lost"]
    assert json.loads(state.file.read_text())["accepted"] == A


def test_an_older_database_does_not_lower_the_floor(state: State) -> None:
    state.accepted(A)
    kept = (state.directory / "state.db").read_bytes()
    state.accepted(B)
    (state.directory / "state.db").write_bytes(kept)
    floor = state.open()
    assert floor.commit == B
    assert f"the state database says {A[:7]}" in floor.notices[0]
    assert state.store.recall("accepted") == B


def test_when_both_are_lost_the_best_witness_is_believed_and_kept(state: State) -> None:
    floor = state.open(clone="", status=C)
    assert floor.commit == C
    assert "is taken from status: the floor was lost with the state database and" in floor.notices[0]
    assert state.open().commit == C
    assert state.open(clone=B).notices == []


def test_who_only_looks_writes_nothing(state: State) -> None:
    floor = state.open(writable=False, clone=B)
    floor.accept(C, "x")
    assert (floor.commit, os.listdir(state.directory)) == (C, [])


def test_an_unsigned_revision_after_a_signed_one_is_said(state: State) -> None:
    state.accepted(A, "ops@example.com")
    assert state.accepted(B).notices == [
        f"{B[:7]} was accepted without a signature, unlike the one before: verify is off"
    ]
    assert state.accepted(C).notices == []


def test_a_decision_is_kept_with_who_and_why_whatever_is_refused_later(state: State) -> None:
    state.accepted(A)
    state.open().accept_anyway(B, "alice", "rebased")
    for number in range(3 * KEPT_REFUSALS):
        state.open().refuse(RevisionRejected("no", commit=f"{number:040x}", reason="VerifyFailed"))
    found = json.loads(state.file.read_text())
    (decision,) = found["decisions"]
    assert (decision["commit"], decision["instead_of"], decision["by"], decision["reason"]) == (
        B,
        A,
        "alice",
        "rebased",
    )
    assert state.open().commit == B
    assert len(found["refusals"]) == KEPT_REFUSALS


def test_the_same_refusal_is_kept_once(state: State) -> None:
    floor = state.open()
    for _ in range(3):
        floor.refuse(RevisionRejected("no", commit=A, reason="HistoryRefused"))
    (refusal,) = json.loads(state.file.read_text())["refusals"]
    assert (refusal["commit"], refusal["reason"], refusal["message"]) == (A, "HistoryRefused", "no")
    assert state.open().commit == "", "what was refused is no floor"


def test_signers_are_bounded(state: State) -> None:
    floor = state.open()
    for number in range(2 * KEPT_SIGNERS):
        floor.accept(f"{number:040x}", "ops@example.com")
    assert len(json.loads(state.file.read_text())["signers"]) == KEPT_SIGNERS


def test_a_link_in_its_place_is_not_followed(state: State, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("other") / "file"
    target.write_text("theirs")
    (state.directory / "floor.json.new").symlink_to(target)
    with pytest.raises(StateUnusable, match=r"floor\.json cannot be written"):
        state.accepted()
    assert target.read_text() == "theirs"
