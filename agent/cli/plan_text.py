"""A plan as text and as JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from agent.cli.text import ago, differences, join_columns, paint, printable, short
from agent.plan import DRIFT, Plan, Step
from agent.reconcile import Desired
from agent.report import drift_to_json
from modules.api import HostView, ResourceError

MAX_DIFF_BYTES = 1 << 20
MAX_DIFF_LINES = 200
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
    """Predict the refreshes: for each consumer its action and the causes."""
    changing = {step.node.id for step in plan.steps if not step.in_sync}
    changing |= {removal.entry.id for removal in plan.removals if removal.undo is not None}
    found: dict[str, tuple[str, list[str]]] = {}
    for step in plan.steps:
        if set(step.drift).intersection(step.node.resource.restarted_by):
            continue
        for action in ("restart", "reload"):
            causes = [name for name in (step.node.refresh or {}).get(action, ()) if name in changing]
            if causes and step.node.id not in found:
                found[step.node.id] = (action, [f"{name} changes" for name in causes])
    for owed in plan.owed:
        found.setdefault(owed.consumer, (owed.action, [f"it is owed since {owed.cause} changed"]))
    return found


def plan_lines(plan: Plan, desired: Desired, host: HostView, in_force: str) -> Iterator[str]:
    """Say what would be done, each with its cause and its place in Git."""
    yield heading(desired, host, in_force)
    refreshes = refreshes_of(plan)
    for step in plan.steps:
        if not step.in_sync:
            yield from _step_lines(step, host)
        if step.node.id in refreshes:
            action, causes = refreshes[step.node.id]
            yield _line("refresh", step.node.id, f"{action}, because {', '.join(causes)}", "")
    for removal in plan.removals:
        kind = "remove" if removal.undo is not None else "refresh"
        yield _line(kind, removal.entry.id, removal.reason, "")
    yield f"{counted(plan)}  {paint('(nothing was changed)', 'dim')}"


def heading(desired: Desired, host: HostView, in_force: str) -> str:
    """Which host goes from which revision to which."""
    revision, name = desired.revision, desired.compiled.catalog.host
    where = f" under {host.root}" if host.root != "/" else ""
    if not revision.commit:
        return f"{name}{where}: {revision.summary}"
    before = f"{in_force[:7]} -> " if in_force and in_force != revision.commit else ""
    return (
        f'{name}{where}: {before}{revision.commit[:7]} "{printable(revision.summary)}" ({ago(revision.committed_at)})'
    )


def counted(plan: Plan) -> str:
    """`1 to create, 2 to change, 139 in sync`."""
    actions = [action_of(step) for step in plan.steps if not step.in_sync]
    refreshes = [action for action, _ in refreshes_of(plan).values()]
    removals = sum(removal.undo is not None for removal in plan.removals)
    counts = {
        "to create": actions.count("create"),
        "to change": actions.count("change"),
        "to remove": actions.count("remove") + removals,
        "to release": len(plan.removals) - removals,
        "to restart": refreshes.count("restart"),
        "to reload": refreshes.count("reload"),
        "not known": actions.count("error"),
        "in sync": sum(step.in_sync for step in plan.steps),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing"


def _line(action: str, name: str, text: str, place: str) -> str:
    sign, colour = SIGNS[action]
    return join_columns(f"  {paint(sign, colour)} {name:<40} {text}", place)


def _step_lines(step: Step, host: HostView) -> Iterator[str]:
    place, action = str(step.node.place), action_of(step)
    if step.error is not None:
        yield _line(action, step.node.id, printable(str(step.error)), place)
        return
    diff, diff_text = diff_of(step, host)
    shown = {name: change for name, change in drift_to_json(step.drift).items() if name not in ("content",)}
    if action == "create":
        text = ", ".join(f"{name} {short(change[1])}" for name, change in shown.items() if name != "ensure")
    else:
        text = differences(shown)
    text = ", ".join(part for part in (text, diff_text) if part) or differences(drift_to_json(step.drift))
    yield _line(action, step.node.id, ("drift: " if step.cause == DRIFT else "") + text, place)
    for line in diff:
        yield "      " + _painted(printable(line))


def _painted(line: str) -> str:
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return paint(line, colour) if colour else line


def diff_of(step: Step, host: HostView) -> tuple[list[str], str]:
    """The unified diff of the content that a step changes, and its size in words; empty when there is none to show."""
    if "content" not in step.drift:
        return [], ""
    try:
        contents = step.node.resource.contents(host, step.drift)
    except ResourceError as error:
        return [], f"content (not shown: {error})"
    if contents is None:
        return [], ""
    before, after = contents
    if b"\0" in before or b"\0" in after:
        return [], f"content binary, {len(before)} -> {len(after)} bytes"
    if max(len(before), len(after)) > MAX_DIFF_BYTES:
        return [], f"content {len(before)} -> {len(after)} bytes"
    old, new = (text.decode(errors="replace").splitlines() for text in contents)
    lines = list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    if len(lines) > MAX_DIFF_LINES:
        lines = [*lines[:MAX_DIFF_LINES], f"... {len(lines) - MAX_DIFF_LINES} more lines"]
    return lines, f"content +{added} -{removed}"


def plan_to_json(plan: Plan, desired: Desired, host: HostView) -> dict[str, Any]:
    """The plan with everything that the text shows."""
    refreshes = refreshes_of(plan)
    return {
        "format": 1,
        "host": desired.compiled.catalog.host,
        "root": host.root,
        "revision": desired.revision.commit,
        "pending": plan.pending,
        "steps": [_step_to_json(step, host) for step in plan.steps if not step.in_sync],
        "refreshes": [
            {"id": name, "action": action, "because": causes} for name, (action, causes) in refreshes.items()
        ],
        "removals": [
            {"id": removal.entry.id, "action": "remove" if removal.undo else "release", "reason": removal.reason}
            for removal in plan.removals
        ],
        "in_sync": sum(step.in_sync for step in plan.steps),
    }


def _step_to_json(step: Step, host: HostView) -> dict[str, Any]:
    return {
        "id": step.node.id,
        "action": action_of(step),
        "cause": step.cause,
        "place": str(step.node.place),
        "drift": drift_to_json(step.drift),
        "diff": diff_of(step, host)[0],
        "error": str(step.error) if step.error else "",
    }
