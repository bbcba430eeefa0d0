"""Approval: which removals need a person's word, and what that word is about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from agent.plan import Removal

SHARE, COUNT = 10, 5


@dataclass(frozen=True)
class Approval:
    """How many removals at once are usual, and which unusual ones a person approved."""

    count: int = COUNT  # up to so many are usual
    share: int = SHARE  # percent of what is owned; up to so many are usual
    digest: str = ""  # of the removals that a person approved
    everything: bool = False  # a person who is here approves whatever it is

    def waits(self, removals: Sequence[Removal], owned: int, spent: int = 0) -> str:
        """Why these removals (each one that would take something away) wait for a person; empty when they may go on.

        `spent` were removed before, and count with them.
        """
        confirmed = [removal for removal in removals if removal.confirm]
        unusual = self.unusual(removals, owned, spent)
        if self.everything or not removals or not (confirmed or unusual):
            return ""
        digest = digest_of(removals if unusual else confirmed)
        if self.digest in (digest, digest_of(removals)):  # who approves all, approves those that ask for it
            return ""
        step = f"`agentctl prune approve {digest}` removes exactly these"
        if unusual:
            return f"{len(removals)} of {owned} owned resources left Git at once; {step}"
        return f"it says `prune: confirm`; {step}"

    def unusual(self, removals: Sequence[Removal], owned: int, spent: int = 0) -> bool:
        """Tell whether so many removals at once are more likely a mistake than a wish."""
        count = len(removals) + spent
        return count > self.count and count * 100 > owned * self.share


def digest_of(removals: Sequence[Removal]) -> str:
    """Name a set of removals: another set has another name."""
    named = sorted([removal.entry.id, removal.entry.resource] for removal in removals)
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:12]
