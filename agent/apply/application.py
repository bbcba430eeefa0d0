"""One plan being applied: batch by batch, each observed again, applied, verified and written down."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.apply.audit import Audit
from agent.apply.batches import apply_kind, batches
from agent.apply.conduct import Author, Conduct, InHand
from agent.apply.drift import Contests
from agent.apply.outcome import BLOCKED, CONVERGED, FAILED, IN_SYNC, PENDING, Outcome, outcome_of, verdict
from agent.apply.refreshes import HOST, Refreshes
from agent.catalog import Node
from agent.causes import encoded
from agent.plan import Plan, Step, again, compare, observe, rebuild
from agent.started import started_with
from agent.store import Entry, Owed, Store
from modules.api import Host, Resource, ResourceError, State, Withheld


class Application:
    """The steps of a plan being applied; `outcomes` grows as they are dealt with."""

    def __init__(self, plan: Plan, host: Host, store: Store, author: Author, conduct: Conduct) -> None:
        self.plan, self.host, self.store, self.author, self.conduct = plan, host, store, author, conduct
        self.inventory = store.inventory()
        self.refreshes = Refreshes(plan, store)
        self.outcomes: dict[str, Outcome] = {}
        self.stuck: dict[str, ResourceError] = {}  # what an interrupted apply left and could not be cleared away
        self._steps = {step.node.id: step for step in plan.steps}  # as they were last looked at before being applied
        self._position = {name: index for index, name in enumerate(self._steps)}
        self._changed: set[str] = set()
        self._heirs = {removal.heir: removal.entry for removal in plan.removals if removal.heir}
        self._audit = Audit(host, store, author, conduct.redact)
        self._contests = Contests(store, conduct.drift)
        self._refreshed_last = self.refreshes.owed_by_removals(plan.removals)

    def converge(self) -> None:
        """Deal with every step of the catalog."""
        self._recover()
        self._settle_refreshes()
        for batch in batches(self.plan.steps, self.outcomes):
            if self.conduct.stopped():
                break
            self._batch(batch)
        for step in self.plan.steps:
            if step.node.id not in self.outcomes:
                self.tell(outcome_of(step, BLOCKED, "the pass was stopped before it"))

    def tell(self, outcome: Outcome) -> None:
        """Keep an outcome, and say it when there is anything to say."""
        outcome = self._audit.redacted(outcome)
        self.outcomes[outcome.id] = outcome
        if outcome.result != IN_SYNC:
            self.conduct.tell(outcome)

    def _begin(self, names: Sequence[str]) -> None:
        step = self._position[names[0]] + 1
        self.conduct.begin(InHand(names[0], len(names) - 1, step, len(self._position)))

    def _recover(self) -> None:
        """Clear away what an interrupted apply left; the plan looked before that, so it counts as changed."""
        for entry in self.inventory.values():
            resource = rebuild(entry) if entry.pending else None
            if resource is None:
                continue
            self._changed.add(entry.id)
            try:
                resource.recover(self.host)
            except ResourceError as error:
                self.stuck[entry.id] = error

    def _settle_refreshes(self) -> None:
        """Clear what somebody else has delivered, and owe what no change told of."""
        sound = {step.node.id: step.node.resource for step in self.plan.steps if step.in_sync}
        for item in self.plan.done:
            self.store.delivered([item], started_with(self._steps[item.consumer].node, sound))
        self.refreshes.owe(self.plan.overlooked)

    # One batch

    def _batch(self, steps: Sequence[Step]) -> None:
        self.deliver_to_host(type(steps[0].node.resource).awaits)
        free = [step for step in steps if not self._blocked(step)]
        due = [step for step in free if self._due(step)]
        for step in free:
            if not self._due(step):
                self.tell(outcome_of(step, IN_SYNC))
        if due:
            self._apply(self._observe_again(due))
        for step in free:
            if step.node.id not in self._refreshed_last:
                self.deliver_to(step.node)

    def _blocked(self, step: Step) -> bool:
        failed = [name for name in step.node.requires if self.outcomes[name].result in (FAILED, BLOCKED)]
        if failed:
            self.tell(outcome_of(step, BLOCKED, f"needs {', '.join(failed)}"))
        return bool(failed)

    def _due(self, step: Step) -> bool:
        """Tell whether it drifts, or may by now because of something it depends on."""
        node = step.node
        return not step.in_sync or not self._changed.isdisjoint((node.id, *node.requires, *node.after))

    def _observe_again(self, due: Sequence[Step]) -> list[Step]:
        """Look once more when an earlier step changed the world: the plan's observation was a prediction."""
        if self._changed:
            seen = observe(self.host, [step.node.resource for step in due])
            due = [again(step, now) for step, now in zip(due, seen, strict=True)]
        self._steps |= {step.node.id: step for step in due}
        stuck = self.stuck
        return [replace(step, drift={}, error=stuck[step.node.id]) if step.node.id in stuck else step for step in due]

    def _apply(self, steps: Sequence[Step]) -> None:
        unseen = [outcome_of(step, FAILED, str(step.error)) for step in steps if step.error is not None]
        self.write_down([], unseen)
        for outcome in [*unseen, *(outcome_of(step, IN_SYNC) for step in steps if step.in_sync)]:
            self.tell(outcome)
        drifting = [step for step in steps if step.drift and not self._held_back(step)]
        if not drifting:
            return
        consumers = self.refreshes.consumers
        owed = [item for step in drifting for item in consumers.of_change(step)]
        new = self.refreshes.owe(owed, [self._entry(step, step.observed, pending=True) for step in drifting])
        self._begin([step.node.id for step in drifting])
        self._audit.look(drifting)
        started = time.monotonic()
        errors = apply_kind(self.host, [(step.node.resource, step.drift) for step in drifting])
        seconds = (time.monotonic() - started) / len(drifting)
        self.tell_repairs()
        again = observe(self.host, [step.node.resource for step in drifting])
        verified = [compare(step.node, seen) for step, seen in zip(drifting, again, strict=True)]
        self._settle(
            [verdict(*found, seconds) for found in zip(drifting, errors, verified, strict=True)], verified, new
        )

    def _held_back(self, step: Step) -> bool:
        """Tell whether its drift is only told: Git said so, or somebody else keeps changing it."""
        outcome = self._contests.held_back(step)
        if outcome is not None:
            self.tell(outcome)
        return outcome is not None

    def _settle(self, outcomes: Sequence[Outcome], verified: Sequence[Step], owed: Sequence[Owed]) -> None:
        """Write what a batch came to, then tell it; take back what is owed for changes that did not happen."""
        entries, forgotten, unchanged = [], [], set()
        for outcome, now in zip(outcomes, verified, strict=True):
            failed = outcome.result == FAILED
            if failed and self._untouched(now):
                unchanged.add(outcome.id)
                known = self.inventory.get(outcome.id)
                entries += [known] if known else []
                forgotten += [] if known else [outcome.id]
            else:
                self._changed.add(outcome.id)
                entries.append(self._entry(now, now.observed, pending=failed))
        self.refreshes.take_back(item for item in owed if item.cause in unchanged)
        self.write_down(entries, outcomes, forgotten)
        for outcome in outcomes:
            self.tell(outcome)

    def _untouched(self, now: Step) -> bool:
        """Tell whether a failed step left the host as it was found."""
        before = self._steps[now.node.id]
        return now.error is None and dict(now.observed) == dict(before.observed)

    def _entry(self, step: Step, left: State, *, pending: bool) -> Entry:
        name = step.node.id
        known = self.inventory.get(name)
        known = known or self._heirs.get(name)
        prior = known.prior if known else self._steps[name].observed
        since = known.since if known else int(time.time())
        resource, prune = encoded(step.node.resource), step.node.policy.prune
        return Entry(name, resource, prior, left, pending, self._position[name], self.author.revision, since, prune)

    def write_down(self, entries: Iterable[Entry], outcomes: Iterable[Outcome], forgotten: Iterable[str] = ()) -> None:
        """Write inventory entries and the audit trail; the same failure again is not news and is not written."""
        entries, changes, forgotten = list(entries), list(self._audit.lines(outcomes)), list(forgotten)
        if entries or changes or forgotten:
            self.store.finish(entries, changes, forgotten)

    def tell_repairs(self) -> None:
        """Tell what was mended of the host itself on the way."""
        while self.host.repairs:
            repair = self.host.repairs.pop(0)
            result, came_to = (FAILED, f"failed with status {repair.status}") if repair.status else (CONVERGED, "ended")
            outcome = Outcome(f"{HOST}:repair", result, message=f"{repair.what}: {repair.command} {came_to}")
            self.write_down([], [outcome])
            self.tell(outcome)

    # Refreshes

    def deliver_to(self, node: Node) -> None:
        """Deliver what a resource is owed, unless its own change has done so already."""
        due = self.refreshes.due(node.id)
        outcome = self.outcomes[node.id]
        if not due or outcome.result in (FAILED, BLOCKED, PENDING):
            return
        keys = [(node.id, action) for action in due]
        if outcome.result == CONVERGED and set(outcome.drift).intersection(node.resource.restarted_by):
            self.refreshes.delivered(keys, started_with(node, self._sound()))
            return
        owed = self.refreshes.owe(self.refreshes.consumers.of(node))
        action, causes = next(iter(due.items()))
        self._begin([node.id])
        started = time.monotonic()
        why = ", ".join("its own text" if cause == node.id else cause for cause in causes)
        try:
            node.resource.refresh(self.host, action)
            refreshed = replace(outcome, result=CONVERGED, message=f"{action}, because {why} changed")
            self._changed.add(node.id)
            self.refreshes.delivered(keys, started_with(node, self._sound()))
        except Withheld as reason:
            self.refreshes.take_back(owed)
            self.refreshes.withhold(keys, str(reason))
            self._tell_left(
                replace(outcome, result=PENDING, drift={}, message=f"{action}, because {why} changed; {reason}")
            )
            return
        except ResourceError as error:
            self.refreshes.take_back(owed)
            refreshed = replace(outcome, result=FAILED, message=f"{action}: {error}")
        refreshed = replace(refreshed, seconds=time.monotonic() - started)
        self.write_down([], [refreshed])
        self.tell(refreshed)

    def _tell_left(self, left: Outcome) -> None:
        """Write down and say that a refresh is left to a person, when that is new; its outcome is what it was."""
        if not any(item.withheld for item in self.plan.owed if item.consumer == left.id):
            left = self._audit.redacted(left)
            self.write_down([], [left])
            self.conduct.tell(left)

    def deliver_to_host(self, names: Sequence[str]) -> None:
        """Deliver the host-wide refreshes of these names that are owed; one that failed waits for the next pass."""
        failed = {name for name, outcome in self.outcomes.items() if outcome.result == FAILED}
        for action in self.refreshes.due_to_host():
            if action in names and f"{HOST}:{action}" not in failed:
                self._deliver_to_host(action)

    def _deliver_to_host(self, action: str) -> None:
        """Deliver one, and say it when it failed, or when it succeeded after it had."""
        from modules.registry import host_refresh

        name = f"{HOST}:{action}"
        try:
            host_refresh(action)(self.host)
        except ResourceError as error:
            outcome = Outcome(name, FAILED, message=f"{error}; it stays owed, and is tried again in the next pass")
        else:
            self.refreshes.delivered([(HOST, action)])
            if not self.store.history.last_message(name):
                return
            outcome = Outcome(name, CONVERGED)
        self.write_down([], [outcome])
        self.tell(outcome)

    def deliver_rest(self) -> None:
        """Deliver what removals owed, tell what they mended, and forget what is owed to nobody."""
        self.tell_repairs()
        self.deliver_to_host(self.refreshes.due_to_host())
        for step in self.plan.steps:
            self.deliver_to(step.node)
        self.refreshes.drop_strangers()

    def adopt(self) -> None:
        """Own what was in sync already, so that it is known when it leaves Git."""
        self.write_down(
            [self._entry(step, step.observed, pending=False) for step in self._steps.values() if self._unknown(step)],
            [],
        )
        self.refreshes.note_started([step.node for step in self.plan.steps], self._sound())

    def _sound(self) -> dict[str, Resource]:
        """Resources of which this pass knows that they are as Git says."""
        outcomes = self.outcomes
        return {
            name: step.node.resource
            for name, step in self._steps.items()
            if name in outcomes and outcomes[name].result in (IN_SYNC, CONVERGED)
        }

    def _unknown(self, step: Step) -> bool:
        """Tell whether it is in sync, and the inventory does not say so."""
        name = step.node.id
        if not step.in_sync or name in self.stuck or self.outcomes[name].result == BLOCKED:
            return False
        known = self.inventory.get(name)
        if known is None or known.pending or known.prune != step.node.policy.prune:
            return True
        return known.resource != encoded(step.node.resource)
