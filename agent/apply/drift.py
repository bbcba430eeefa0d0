"""Drift that is not repaired: Git only wants to hear of it, or somebody else keeps changing the same thing."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from agent.apply.outcome import Outcome, Reason, left
from agent.catalog import ENFORCE, REPORT
from agent.causes import DRIFT
from agent.plan import Step
from agent.store import Store


@dataclass(frozen=True)
class Repairs:
    """What is done about drift where Git says nothing of it, and how often the same is repaired."""

    default: str = ENFORCE
    contested_after: int = 5  # repairs of one property within the window
    window_seconds: int = 3600


class Contests:
    """Which drift is left as it is, and why; the audit trail tells how often each property was put back."""

    def __init__(self, store: Store, repairs: Repairs) -> None:
        self._store, self._repairs = store, repairs

    def held_back(self, step: Step) -> Outcome | None:
        """The outcome of a drift that is only told; None when it is to be repaired. What Git newly asks for always is applied."""
        if step.cause != DRIFT:
            return None
        policy = step.node.policy.drift
        if REPORT in (policy, self._repairs.default if policy == ENFORCE else ""):
            return left(step, Reason.DRIFT_REPORTED, "it drifted, and drift is only reported here")
        limit, name = self._repairs.contested_after, step.node.id
        contested = sorted(item for item in step.drift if self._recent[name, item] >= limit)
        if not contested:
            return None
        often = f"put back {limit} times within {self._repairs.window_seconds // 60} min"
        step_next = "find what does, or declare `ignore`"
        why = f"contested: {', '.join(contested)} was {often}, and something changes it again; {step_next}"
        return left(step, Reason.CONTESTED, why)

    @cached_property
    def _recent(self) -> Counter[tuple[str, str]]:
        return self._store.history.repairs(time.time() - self._repairs.window_seconds)
