"""The gate: what a new commit has to pass before any ref moves or anything is remembered, whichever remote served it."""

from __future__ import annotations

from typing import Any

from agent.errors import ConfigInvalid, RevisionRejected
from agent.source.signatures import Trust, verify
from modules.api import ResourceError

HISTORY_REFUSED, VERIFY_FAILED = "HistoryRefused", "VerifyFailed"
ACCEPT = "agentctl source accept {} --reason TEXT"


def judge_history(repository: Any, tip: str, accepted: str, shown: str) -> None:  # noqa: ANN401  (pygit2 is imported late)
    """Hold that the tip contains the accepted commit; `shown` names the tip. Raises RevisionRejected."""
    if contains(repository, tip, accepted):
        return
    rewritten, set_back = "the accepted revision: the history was rewritten", "the accepted revision: it is older"
    raise RevisionRejected(
        f"{shown} does not contain {accepted[:7]}, {set_back if contains(repository, accepted, tip) else rewritten}",
        f"push a commit on top of {accepted[:7]}, or if this is meant, {ACCEPT.format(tip[:12])}",
        commit=tip,
        reason=HISTORY_REFUSED,
    )


def judge_signatures(repository: Any, tip: str, accepted: str, trust: Trust) -> str:  # noqa: ANN401
    """Hold that people whom this host trusts signed the way to the tip; who signed the tip. Raises RevisionRejected."""
    try:
        return verify(repository, tip, accepted if accepted and accepted in repository else "", trust)
    except RevisionRejected as refused:
        raise RevisionRejected(
            refused.args[0], refused.hint, commit=refused.commit, reason=refused.reason, tip=tip
        ) from refused
    except (ConfigInvalid, ResourceError, OSError) as error:
        raise RevisionRejected(f"{tip[:7]} cannot be verified: {error}", commit=tip, reason=VERIFY_FAILED) from error


def contains(repository: Any, tip: str, commit: str) -> bool:  # noqa: ANN401
    """Tell whether a commit is part of what another one is built on; one that is not here is not."""
    return commit in repository and tip in repository and bool(repository.descendant_of(tip, commit))
