"""The main path: how the host differs from what is desired, closing that, and seeing that what runs still does its work."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from agent import __version__, health, orders, track
from agent.apply import Author, Conduct, Outcome, apply_plan
from agent.apply.outcome import BLOCKED, CHANGED, FAILED, PENDING, REMOVED, SETTLED
from agent.apply.prune import OWNED, carry_over
from agent.causes import FACTS, REVISION, UPGRADE
from agent.desired import Desired, desired_at, rolled_back
from agent.plan import Known, Plan, make_plan
from agent.source import Source
from agent.store import Store
from modules.api import Host, HostView, Watcher
from modules.checks import Check, Health

Settle = Callable[[Mapping[str, health.Verdict]], Sequence[health.Verdict]]
NEVER, ON_HEALTH, ON_FAILURE = "never", "health", "failure"


class WatchedHost(Host, Watcher, Protocol):
    """A host that can be changed, and whose services can be asked how they do."""


@dataclass(frozen=True)
class Care:
    """How changes are watched: what counts as well, for how long, and what brings back the last good revision."""

    timing: health.Timing = field(default_factory=lambda: health.Timing(0.0, 0.0))
    soak_seconds: int = 0
    rollback: str = NEVER  # or health: a check regressed; or failure: a resource failed, too


@dataclass(frozen=True)
class Means:
    """How a plan is applied, and how what it changed is watched."""

    conduct: Conduct
    care: Care


@dataclass(frozen=True)
class Result:
    """What a pass came to: which revision is held now, each resource, and each check."""

    desired: Desired
    outcomes: Sequence[Outcome]
    health: Sequence[health.Verdict] = ()

    @property
    def changed(self) -> bool:
        """Tell whether anything was changed."""
        return any(outcome.result in CHANGED for outcome in self.outcomes)


def plan_desired(desired: Desired, host: HostView, store: Store) -> Plan:
    """Plan what is desired on a host that is only looked at."""
    settled = store.recall("settled") == desired.compiled.digest
    known = Known(store.inventory, store.owed(), settled, store.started, partial(_news, desired, store))
    return make_plan(desired.compiled.catalog, host, known)


def _news(desired: Desired, store: Store) -> str:
    """What is new since all was last applied: the revision, or else the agent, or else the host."""
    commit, _, version = store.recall("applied").partition(" ")
    if not commit or commit != desired.revision.commit:
        return REVISION
    return FACTS if version == __version__ else UPGRADE


def reconcile(desired: Desired, host: WatchedHost, store: Store, conduct: Conduct, care: Care) -> Result:
    """Hold the host to what is desired, and see that what did its work before still does."""
    plan = plan_desired(desired, host, store)
    checks = health.checks_of(desired.compiled.catalog)
    before = _baseline(checks, host, store) if plan.pending and not conduct.held_back else None
    author = _author(desired, store.recall("in_force"))
    if desired.revision.commit and not conduct.held_back:  # a working tree is no revision: the one in force stays
        _enforce(desired.revision.commit, store)
        if before is not None:
            _put_on_trial(desired, health.counting(checks, before), store)
    outcomes = apply_plan(plan, host, store, author, conduct)
    if all(outcome.result in SETTLED for outcome in outcomes):
        store.remember(settled=desired.compiled.digest, applied=f"{desired.revision.commit} {__version__}")
    result = Result(desired, outcomes)
    failed = {outcome.id for outcome in outcomes if outcome.result == FAILED}
    settle = partial(health.settle, checks, host, timing=care.timing, given_up=conduct.given_up, failed=failed)
    if result.changed:
        return replace(result, health=settle(before or {}))
    soak = track.soaking(store, desired.compiled.plan)
    if soak is not None and not conduct.held_back:
        return replace(result, health=_look_twice(health.look(checks, host), soak, settle, tried=bool(failed)))
    known = {outcome.id: _health_of(outcome) for outcome in outcomes}
    return replace(result, health=health.at_rest(desired.compiled.catalog, known, host))


def _health_of(outcome: Outcome) -> Health:
    """What a resource's outcome says of its health; of one that is left as it is on purpose, nothing."""
    if outcome.result in SETTLED:
        return Health.HEALTHY
    return Health.UNKNOWN if outcome.result == PENDING else Health.DEGRADED


def _look_twice(
    seen: Sequence[health.Verdict], soak: track.Soak, settle: Settle, *, tried: bool
) -> Sequence[health.Verdict]:
    """What checks see of a revision on trial: one look may meet a moment of illness, or one of health between two crashes.

    So what is ill, was not judged yet, or was just tried in vain gets the time of a change.
    """
    if soak.until and not tried and all(verdict.well or verdict.id not in soak.counted for verdict in seen):
        return seen
    return settle({verdict.id: verdict for verdict in seen if verdict.id not in soak.counted})


def _baseline(checks: Sequence[Check], host: Watcher, store: Store) -> Mapping[str, health.Verdict]:
    """What checks see before a change. What is new, or fell ill under a revision on trial, is no excuse for the next."""
    soak = track.soaking(store)
    known = track.checked(store) - frozenset(soak.counted if soak else ())
    return {verdict.id: verdict for verdict in health.look(checks, host) if verdict.well or verdict.id in known}


def _put_on_trial(desired: Desired, counted: tuple[str, ...], store: Store) -> None:
    """Note, before anything is touched, that a revision has to prove itself: a pass that dies must not acquit it."""
    plan, commit = desired.compiled.plan, desired.revision.commit
    if commit == track.good(store):
        store.remember(soak="")
    elif track.soaking(store, plan) is None:
        track.begin_soak(store, track.Soak(plan, commit, 0, counted))


def _author(desired: Desired, before: str) -> Author:
    """In whose name it is applied; `before` is the commit that was in force."""

    def toucher(files: Collection[str], since: str) -> Author | None:
        found = desired.revision.last_touched(files, since or before)
        return Author(found.commit, found.author, found.summary) if found is not None else None

    return Author(desired.revision.commit, desired.revision.author, desired.revision.summary, toucher)


def _enforce(commit: str, store: Store) -> None:
    """Note which revision is in force; from the moment that it is another, no revision is wholly applied."""
    if store.recall("in_force") != commit:
        store.remember(in_force=commit, applied="")


def hold(desired: Desired, host: WatchedHost, source: Source, store: Store, means: Means) -> Result:
    """Reconcile; where what is new proves bad and the settings ask for it, bring back the last good revision."""
    conduct, care = means.conduct, means.care
    failing, began = frozenset(store.recall("failing").split()), int(time.time())
    owned = store.recall(OWNED)
    result = reconcile(desired, host, store, conduct, care)
    if conduct.held_back or not desired.revision.commit or conduct.given_up():
        return result  # nothing is judged that was not waited for; it stays on trial
    reason = _judge(result, store, care, failing, began)
    back = track.good(store)
    if reason and care.rollback != NEVER and back and orders.given(store, orders.PIN) is None:
        good = desired_at(source, back, desired.compiler)
        if good.compiled.plan == desired.compiled.plan:
            return result  # another commit that asks for what was good: then it is not the revision that is bad
        carry_over(store, owned, _removed_for_good(result, good))
        bad = _reject(result, reason, store, back)
        again = reconcile(good, host, store, conduct, care)
        return replace(again, desired=replace(good, rejection=rolled_back(bad), attempted=bad.commit))
    return result


def _removed_for_good(bad: Result, good: Desired) -> int:
    """How much a revision has removed that its rollback does not bring back."""
    back = {node.id for node in good.compiled.catalog.nodes}
    return sum(outcome.result == REMOVED and outcome.id not in back for outcome in bad.outcomes)


def _judge(result: Result, store: Store, care: Care, failing: frozenset[str], began: int) -> str:
    """Keep the track record of the revision; why it is to be rolled back, or nothing. `began` is when it was looked at first."""
    desired, now = result.desired, time.time()
    plan, commit = desired.compiled.plan, desired.revision.commit
    failed = [outcome.id for outcome in result.outcomes if outcome.result == FAILED]
    store.remember(failing=" ".join(sorted(failed)))
    soak = _trial(plan, commit, store, int(now))
    if not soak.until:
        soak = replace(soak, until=int(now) + care.soak_seconds)
        track.begin_soak(store, soak)
    ill = [verdict for verdict in result.health if not verdict.well and verdict.id in soak.counted]
    new = [name for name in failed if name not in failing]
    if ill and soak.until >= began:
        return "; ".join(f"{verdict.id} is {verdict.health.value}: {verdict.message}" for verdict in ill)
    if new and care.rollback == ON_FAILURE and commit != track.good(store):
        return f"{', '.join(new)} failed"
    left = any(outcome.result in (FAILED, BLOCKED) for outcome in result.outcomes)
    if not ill and not left and now >= soak.until:
        track.proved(store, commit, [verdict.id for verdict in result.health])
    return ""


def _trial(plan: str, commit: str, store: Store, now: int) -> track.Soak:
    """The trial that a revision is in: its own, or that of the one before it, whose changes it holds on to."""
    soak = track.soaking(store)
    if soak is None or commit == track.good(store):
        return track.Soak(plan, commit, now, ())
    if soak.plan != plan:
        soak = replace(soak, plan=plan, commit=commit)
        track.begin_soak(store, soak)
    return soak


def _reject(bad: Result, reason: str, store: Store, back: str) -> track.Rejection:
    """Remember what proved bad, so that it is not applied again by itself, and what of it cannot be undone."""
    desired = bad.desired
    one_way = {node.id for node in desired.compiled.catalog.nodes if node.resource.one_way}
    kept = sorted(outcome.id for outcome in bad.outcomes if outcome.result in CHANGED and outcome.id in one_way)
    rejection = track.Rejection(desired.compiled.plan, desired.revision.commit, reason, int(time.time()), kept)
    track.reject(store, rejection, back)
    return rejection
