"""How a plan is applied, in whose name, and what those who watch are told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from agent.apply.approval import Approval
from agent.apply.drift import Repairs
from agent.apply.outcome import Outcome


@dataclass(frozen=True)
class Author:
    """The revision that is applied, or the commit that a change is put down to, for the audit trail."""

    revision: str
    author: str
    summary: str
    # Who last touched one of these files since a commit (empty: since the revision before); None when it cannot be told.
    toucher: Callable[[Collection[str], str], Author | None] = lambda _files, _since: None


@dataclass(frozen=True)
class InHand:
    """Steps that are being applied together, for whoever watches: the first of them and how many more, and where it stands."""

    id: str
    more: int
    step: int  # of the plan, counted from 1
    steps: int


@dataclass(frozen=True)
class Conduct:
    """How a plan is applied: who is told of each outcome, when it ends early, what may be removed, and who watches."""

    tell: Callable[[Outcome], None] = lambda _outcome: None
    stopped: Callable[[], str] = lambda: ""  # why no other step is begun: the pass is stopped, or the host suspended
    given_up: Callable[[], str] = lambda: ""  # the same of a pass that waits, or in which something failed
    removals: Approval = field(default_factory=Approval)
    drift: Repairs = field(default_factory=Repairs)
    held_back: str = ""  # why nothing is to be changed; then what would be is only told
    begin: Callable[[InHand], None] = lambda _in_hand: None
    redact: Callable[[str], str] = lambda text: text  # takes secrets out of what tools said
