"""A plan as text and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from agent.apply.refreshes import ACTIONS, HOST, Consumers
from agent.cli.text import (
    ago,
    by_author,
    cause_prefix,
    diff_line,
    differences,
    join_columns,
    one_line,
    paint,
    printable,
    short,
)
from agent.desired import Desired
from agent.diffs import difference_of
from agent.plan import Plan, Step
from agent.report import drift_to_json
from modules.api import HostView, Resource

ABSENT = ("absent", "purged", None)
SIGNS = {
    "create": ("+", "green"),
    "change": ("~", "yellow"),
    "remove": ("-", "red"),
    "refresh": ("~", "cyan"),
    "error": ("!", "red"),
}


def action_of(step: Step) -> str:
    """What a step does: create, change, remove, or error when it cannot be told."""
    if step.error is not None:
        return "error"
    ensure = step.drift.get("ensure")
    if ensure is None:
        return "change"
    if ensure.after in ABSENT:
        return "remove"
    return "create" if ensure.before in ABSENT else "change"


def refreshes_of(plan: Plan) -> dict[str, tuple[str, list[str]]]:
    """Predict the refreshes: for each consumer its action, the stronger one if there are two, and the causes."""
    consumers = Consumers([step.node for step in plan.steps])
    due: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for owed in (*plan.owed, *plan.overlooked):
        why = f"it is owed since {owed.cause} changed" if owed.since else f"{owed.cause} changed unnoticed"
        due[owed.consumer][owed.action].append(why)
    for step in plan.steps:
        restarts = step.node.resource.is_refreshed_by(step.observed, step.drift)
        if restarts:
            due.pop(step.node.id, None)
        for item in consumers.of_change(step) if step.drift or step.node.id in due else ():
            # Of those of the host only what went wrong before is of interest.
            if item.consumer != HOST and not (restarts and item.consumer == step.node.id):
                changes = "its own text" if item.consumer == item.cause else item.cause
                due[item.consumer][item.action].append(f"{changes} changes")
    for removal in plan.removals:
        for item in consumers.of_removal(removal.entry.id, removal.undo) if removal.undo is not None else ():
            if item.consumer != HOST:
                due[item.consumer][item.action].append(f"{item.cause} is removed")
    strongest = {name: next((a for a in ACTIONS if a in actions), next(iter(actions))) for name, actions in due.items()}
    return {name: (action, due[name][action]) for name, action in strongest.items()}


def plan_lines(plan: Plan, desired: Desired, host: HostView, in_force: str) -> Iterator[str]:
    """Say what would be done, each with its cause and its place in Git."""
    yield heading(desired, host, in_force)
    refreshes = refreshes_of(plan)
    for step in plan.steps:
        if not step.in_sync:
            yield from _step_lines(step, host, desired.redact)
        if step.node.id in refreshes:
            action, causes = refreshes.pop(step.node.id)
            reason = step.node.resource.withholds(action)
            left = f", is left to you: {reason}" if reason else ""
            yield _line("refresh", step.node.id, f"{action}, because {', '.join(causes)}{left}", "")
    for name, (action, causes) in refreshes.items():
        why = ", ".join(causes)
        text = f"{action}, because {why}" if name == HOST else f"left Git; that a {action} of it was owed is forgotten"
        yield _line("refresh", name, text, "")
    for owed in plan.withheld:
        text = f"{owed.action}, because {owed.cause} changed, is left to you: {owed.withheld}"
        yield _line("refresh", owed.consumer, text, "")
    for removal in plan.removals:
        kind = "remove" if removal.undo is not None else "refresh"
        yield _line(kind, removal.entry.id, removal.reason + _one_way(removal.undo), "")
    yield f"{counted(plan)}  {paint('(nothing was changed)', 'dim')}"


def heading(desired: Desired, host: HostView, in_force: str) -> str:
    """Which host goes from which revision to which."""
    revision, name = desired.revision, desired.compiled.catalog.host
    where = f" under {host.root}" if host.root != "/" else ""
    if not revision.commit:
        return f"{name}{where}: {printable(revision.summary)}"
    before = f"{in_force[:7]} -> " if in_force and in_force != revision.commit else ""
    said = f'"{printable(revision.summary)}"{by_author(revision.author)}'
    return f"{name}{where}: {before}{revision.commit[:7]} {said} ({ago(revision.committed_at)})"


def counted(plan: Plan) -> str:
    """`1 to create, 2 to change, 139 in sync`."""
    actions = [action_of(step) for step in plan.steps if not step.in_sync]
    withholds = {step.node.id: step.node.resource.withholds for step in plan.steps}
    refreshes = [
        action
        for name, (action, _) in refreshes_of(plan).items()
        if name not in withholds or not withholds[name](action)
    ]
    removals = sum(removal.undo is not None for removal in plan.removals)
    counts = {
        "to create": actions.count("create"),
        "to change": actions.count("change"),
        "to remove": actions.count("remove") + removals,
        "to release": len(plan.removals) - removals,
        "to restart": refreshes.count("restart"),
        "to reload": refreshes.count("reload"),
        "to refresh": len(refreshes) - refreshes.count("restart") - refreshes.count("reload"),
        "not known": actions.count("error"),
        "in sync": sum(step.in_sync for step in plan.steps),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing"


def _line(action: str, name: str, text: str, place: str) -> str:
    sign, colour = SIGNS[action]
    return join_columns(f"  {paint(sign, colour)} {one_line(name):<40} {printable(text)}", one_line(place))


def _one_way(resource: Resource | None) -> str:
    """Say of what cannot be undone that it cannot."""
    return " (one-way)" if resource is not None and resource.one_way else ""


def _step_lines(step: Step, host: HostView, redact: Callable[[str], str]) -> Iterator[str]:
    place, action = str(step.node.place), action_of(step)
    if step.error is not None:
        yield _line(action, step.node.id, str(step.error), place)
        return
    difference = difference_of(step, host)
    shown = {
        name: change for name, change in drift_to_json(step.drift).items() if name not in step.node.resource.diffed
    }
    if action == "create":
        text = ", ".join(f"{name} {short(change[1])}" for name, change in shown.items() if name != "ensure")
    else:
        text = differences(shown)
    text = ", ".join(part for part in (text, difference.size) if part) or differences(drift_to_json(step.drift))
    yield _line(action, step.node.id, cause_prefix(step.cause) + text + _one_way(step.node.resource), place)
    for line in difference.lines:
        yield "      " + diff_line(redact(line))


def plan_to_json(plan: Plan, desired: Desired, host: HostView) -> dict[str, Any]:
    """The plan with everything that the text shows."""
    refreshes = refreshes_of(plan)
    return {
        "format": 1,
        "host": desired.compiled.catalog.host,
        "root": host.root,
        "revision": desired.revision.commit,
        "author": desired.revision.author,
        "summary": desired.revision.summary,
        "pending": plan.pending,
        "steps": [_step_to_json(step, host, desired.redact) for step in plan.steps if not step.in_sync],
        "refreshes": [
            {"id": name, "action": action, "because": causes} for name, (action, causes) in refreshes.items()
        ],
        "withheld": [{"id": owed.consumer, "action": owed.action, "reason": owed.withheld} for owed in plan.withheld],
        "removals": [
            {
                "id": removal.entry.id,
                "action": "remove" if removal.undo else "release",
                "reason": removal.reason,
                "one_way": removal.undo is not None and removal.undo.one_way,
            }
            for removal in plan.removals
        ],
        "in_sync": sum(step.in_sync for step in plan.steps),
    }


def _step_to_json(step: Step, host: HostView, redact: Callable[[str], str]) -> dict[str, Any]:
    return {
        "id": step.node.id,
        "action": action_of(step),
        "cause": step.cause,
        "place": str(step.node.place),
        "drift": drift_to_json(step.drift),
        "diff": [redact(line) for line in difference_of(step, host).lines],
        "one_way": step.node.resource.one_way,
        "error": str(step.error) if step.error else "",
    }
