"""One plan being applied: batch by batch, each observed again, applied, verified and written down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from agent.apply.batches import apply_kind, batches
from agent.apply.book import Book
from agent.apply.conduct import Author, Conduct, InHand
from agent.apply.credit import Credit
from agent.apply.drift import Contests
from agent.apply.host_wide import deliver_to_host
from agent.apply.outcome import (
    BLOCKED,
    CONVERGED,
    FAILED,
    IN_SYNC,
    PENDING,
    Outcome,
    Reason,
    left,
    outcome_of,
    verdict,
)
from agent.apply.refreshes import Refreshes
from agent.catalog import Node
from agent.causes import encoded
from agent.plan import Plan, Step, again, compare, observe, rebuild
from agent.started import started_with
from agent.store import Entry, Owed, Store
from modules.api import Host, Interrupted, Resource, ResourceError, State, Withheld


class Application:
    """The steps of a plan being applied; `outcomes` grows as they are dealt with."""

    def __init__(self, plan: Plan, host: Host, store: Store, author: Author, conduct: Conduct) -> None:
        self.plan, self.host, self.store, self.author, self.conduct = plan, host, store, author, conduct
        self.inventory = store.inventory()
        self.refreshes = Refreshes(plan, store)
        self.stuck: dict[str, ResourceError] = {}  # what an interrupted apply left and could not be cleared away
        self._steps = {step.node.id: step for step in plan.steps}  # as they were last looked at before being applied
        self.book = Book(host, store, Credit(author, self._steps, self.inventory), conduct)
        self.outcomes = self.book.outcomes
        self._position = {name: index for index, name in enumerate(self._steps)}
        self._changed: set[str] = set()
        self._heirs = {removal.heir: removal.entry for removal in plan.removals if removal.heir}
        self._contests = Contests(store, conduct.drift)
        self._refreshed_last = self.refreshes.owed_by_removals(plan.removals)

    def converge(self) -> None:
        """Deal with every step of the catalog."""
        self._recover()
        self._settle_refreshes()
        for batch in batches(self.plan.steps, self.outcomes):
            if self.book.interruption:
                break
            self._batch(batch)
        for step in self.plan.steps:
            if step.node.id not in self.outcomes and not self._blocked(step):
                self._pass_over(step)

    def _pass_over(self, step: Step) -> None:
        """Deal with a step that the pass does not come to any more."""
        if self._due(step):
            self.book.leave(left(step, Reason.INTERRUPTED, f"not begun: {self.book.interruption}"))
        else:
            self.book.tell(outcome_of(step, IN_SYNC))

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
        deliver_to_host(self.host, self.refreshes, self.book, type(steps[0].node.resource).awaits)
        free = [step for step in steps if not self._blocked(step)]
        due = [step for step in free if self._due(step)]
        for step in free:
            if not self._due(step):
                self.book.tell(outcome_of(step, IN_SYNC))
        if due:
            self._apply(self._refresh_first(self._observe_again(due)))
        for step in free:
            self._note_own_start(step.node)
            if step.node.id not in self._refreshed_last:
                self.deliver_to(step.node)

    def _blocked(self, step: Step) -> bool:
        failed = [name for name in step.node.requires if self.outcomes[name].result in (FAILED, BLOCKED)]
        if failed:
            self.book.tell(outcome_of(step, BLOCKED, f"needs {', '.join(failed)}"))
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

    def _refresh_first(self, steps: Sequence[Step]) -> list[Step]:
        """Refresh what is still starting with what it is owed a refresh for; those of the steps that are left to do.

        To wait for that start would be in vain, and long where it hangs.
        """
        hasty = [step for step in steps if self.refreshes.due(step.node.id) and self._waits_in_vain(step)]
        for step in hasty:
            self.outcomes[step.node.id] = outcome_of(step, IN_SYNC)
            self.deliver_to(step.node)
        seen = observe(self.host, [step.node.resource for step in hasty])
        now = {step.node.id: again(step, found) for step, found in zip(hasty, seen, strict=True)}
        self._steps |= now
        done = {name for name, step in now.items() if step.in_sync or self.outcomes[name].result in (FAILED, PENDING)}
        return [now.get(step.node.id, step) for step in steps if step.node.id not in done]

    @staticmethod
    def _waits_in_vain(step: Step) -> bool:
        resource, seen = step.node.resource, step.observed
        return bool(step.drift) and resource.is_under_way(seen) and not resource.is_refreshed_by(seen, step.drift)

    def _apply(self, steps: Sequence[Step]) -> None:
        unseen = [outcome_of(step, FAILED, str(step.error)) for step in steps if step.error is not None]
        self.book.write_down([], unseen)
        for outcome in [*unseen, *(outcome_of(step, IN_SYNC) for step in steps if step.in_sync)]:
            self.book.tell(outcome)
        drifting = [step for step in steps if step.drift and not self._held_back(step)]
        if not drifting:
            return
        consumers = self.refreshes.consumers
        owed = [item for step in drifting for item in consumers.of_change(step)]
        new = self.refreshes.owe(owed, [self._entry(step, step.observed, pending=True) for step in drifting])
        self._begin([step.node.id for step in drifting])
        self.book.audit.look(drifting)
        started = time.monotonic()
        errors = apply_kind(self.host, [(step.node.resource, step.drift) for step in drifting])
        seconds = (time.monotonic() - started) / len(drifting)
        self.book.tell_repairs()
        again = observe(self.host, [step.node.resource for step in drifting])
        verified = [compare(step.node, seen) for step, seen in zip(drifting, again, strict=True)]
        self._settle(
            [verdict(*found, seconds) for found in zip(drifting, errors, verified, strict=True)], verified, new
        )

    def _held_back(self, step: Step) -> bool:
        """Tell whether its drift is only told: Git said so, or somebody else keeps changing it."""
        outcome = self._contests.held_back(step)
        if outcome is not None:
            self.book.tell(outcome)
        return outcome is not None

    def _settle(self, outcomes: Sequence[Outcome], verified: Sequence[Step], owed: Sequence[Owed]) -> None:
        """Write what a batch came to, then tell it; take back what is owed for changes that did not happen."""
        entries, forgotten, unchanged = [], [], set()
        for outcome, now in zip(outcomes, verified, strict=True):
            unfinished = outcome.result != CONVERGED
            if unfinished and self._untouched(now):
                unchanged.add(outcome.id)
                known = self.inventory.get(outcome.id)
                entries += [known] if known else []
                forgotten += [] if known else [outcome.id]
            else:
                self._changed.add(outcome.id)
                entries.append(self._entry(now, now.observed, pending=unfinished))
        self.refreshes.take_back(item for item in owed if item.cause in unchanged)
        self.book.write_down(entries, outcomes, forgotten)
        for outcome in outcomes:
            self.book.tell(outcome)

    def _untouched(self, now: Step) -> bool:
        """Tell whether a step that is not finished left the host as it was found."""
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

    # Refreshes

    def _note_own_start(self, node: Node) -> None:
        """Clear what a resource was owed when its own change started it; what is owed to it later is not."""
        outcome, before = self.outcomes[node.id], self._steps[node.id].observed
        if outcome.result == CONVERGED and node.resource.is_refreshed_by(before, outcome.drift):
            keys = [(node.id, action) for action in self.refreshes.due(node.id)]
            self.refreshes.delivered(keys, started_with(node, self._sound()))

    def deliver_to(self, node: Node) -> None:
        """Deliver what a resource is owed."""
        due = self.refreshes.due(node.id)
        outcome = self.outcomes[node.id]
        if not due or outcome.result in (FAILED, BLOCKED, PENDING):
            return
        keys = [(node.id, action) for action in due]
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
        except Interrupted as reason:
            self.refreshes.take_back(owed)
            refreshed = replace(outcome, result=PENDING, reason=Reason.INTERRUPTED, message=f"{action}: {reason}")
        except ResourceError as error:
            self.refreshes.take_back(owed)
            refreshed = replace(outcome, result=FAILED, message=f"{action}: {error}")
        refreshed = replace(refreshed, seconds=time.monotonic() - started)
        self.book.write_down([], [replace(refreshed, drift={})])  # what was put back has a line of its own
        self.book.tell(refreshed)

    def _tell_left(self, left: Outcome) -> None:
        """Write down and say that a refresh is left to a person, when that is new; its outcome is what it was."""
        if not any(item.withheld for item in self.plan.owed if item.consumer == left.id):
            left = self.book.audit.redacted(left)
            self.book.write_down([], [left])
            self.conduct.tell(left)

    def deliver_rest(self) -> None:
        """Deliver what removals owed, tell what they mended, and forget what is owed to nobody."""
        self.book.tell_repairs()
        deliver_to_host(self.host, self.refreshes, self.book, self.refreshes.due_to_host())
        for step in self.plan.steps:
            self.deliver_to(step.node)
        self.refreshes.drop_strangers()

    def adopt(self) -> None:
        """Own what was in sync already, so that it is known when it leaves Git; say what of it that leaves undone."""
        found = [step for step in self._steps.values() if self._unknown(step)]
        self.book.write_down([self._entry(step, step.observed, pending=False) for step in found], [])
        for step in found:
            if unmet := step.node.resource.unmet(step.observed):
                self.host.note(f"{step.node.id}: {unmet}")
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
