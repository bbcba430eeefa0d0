"""Errors of the agent: each class says what it means, and carries the policy by which the daemon tries again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

MAX_SHOWN = 100  # problems in one message
MAX_COMPARED = 200  # characters of a wrong name

Item = TypeVar("Item")
Result = TypeVar("Result")


class Retry(Enum):
    """When the daemon tries again after an error."""

    NEVER = "exit: the operator must act"
    BACK_OFF = "again later, waiting longer each time"
    NEW_REVISION = "stalled until the repository has another revision"
    NEXT_PASS = "again in the next pass"


class AgentError(Exception):
    """What failed, on what, and what to do next. The message is for the user; `hint` is the next step."""

    retry = Retry.NEXT_PASS

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        """Say the message, then the next step."""
        message = super().__str__()
        return f"{message}; {self.hint}" if self.hint else message


class ConfigInvalid(AgentError):
    """The agent's own settings are wrong."""

    retry = Retry.NEVER


class StateUnusable(AgentError):
    """The state directory cannot be used: not writable, held by another pass, or on a full disk."""


class RevisionError(AgentError):
    """A revision cannot be used; the one in force stays in force."""


class FetchFailed(RevisionError):
    """The remote did not give what was asked: network, credentials, host key, or a branch that is not there."""

    retry = Retry.BACK_OFF


class Unreachable(FetchFailed):
    """The remote gave no answer that could be understood, or lags behind: another one may be asked instead."""


class RevisionRejected(RevisionError):
    """The revision was fetched and is refused: a rewritten history, a missing signature, or one that was rolled back.

    `reason` is one of agent.report's reasons of conditions, `commit` what is wrong, `tip` the commit that was to be accepted.
    """

    retry = Retry.NEW_REVISION

    def __init__(
        self, message: str, hint: str = "", *, commit: str = "", reason: str = "Refused", tip: str = ""
    ) -> None:
        super().__init__(message, hint)
        self.commit, self.reason, self.tip = commit, reason, tip or commit


class TreeError(RevisionError):
    """A path of the repository cannot be read: missing, too large, or a link that leads out of it."""

    retry = Retry.NEW_REVISION


@dataclass(frozen=True, order=True)
class Place:
    """Where something is written: a file of the repository and a line in it, counted from 1 (0: the whole file)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        """Say it as compilers do, so that editors can jump there."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with what is written in Git."""

    place: Place
    message: str

    def __str__(self) -> str:
        """Place first, as compilers do."""
        return f"{self.place}: {self.message}"


class ManifestInvalid(RevisionError):
    """What the repository says is wrong: every problem, each with its place."""

    retry = Retry.NEW_REVISION

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(sorted(problems)))
        shown = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        if len(self.problems) > MAX_SHOWN:
            shown.append(f"and {len(self.problems) - MAX_SHOWN:,} more; agentctl validate lists them")
        super().__init__("\n".join(shown))


def gather(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call a function on every item, so that all problems come at once. Raises ManifestInvalid with those of all."""
    results: list[Result] = []
    problems: list[Problem] = []
    for item in items:
        try:
            results.append(function(item))
        except ManifestInvalid as error:
            problems.extend(error.problems)
    if problems:
        raise ManifestInvalid(problems)
    return results


def nearest(name: str, known: Iterable[object]) -> str:
    """`; did you mean X?` for the nearest known name, or nothing."""
    close = nearest_of(name, known)
    return f"; did you mean {close}?" if close else ""


def nearest_of(name: str, known: Iterable[object]) -> str:
    """The known name that is nearest to one that is not known, or nothing."""
    import difflib  # a run that meets no wrong name does without

    return next(iter(difflib.get_close_matches(name[:MAX_COMPARED], [str(item) for item in known], n=1)), "")
