"""Batches: steps of one kind that do not wait for each other, so that they share a transaction or a flush."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from agent.plan import Step
from modules.api import Drift, Host, Resource, ResourceError


def batches(steps: Sequence[Step], done: Container[str]) -> Iterator[list[Step]]:
    """Cut steps into batches, in order; the caller adds to `done` (ids) what it has dealt with before asking for the next.

    A kind whose transactions are dear gathers every step that is ready, however far down. The others look ahead only past
    kinds of their own family, so that the order of declaration holds wherever it can matter.
    """
    waiting = list(steps)
    while waiting:
        batch, waiting = _cut(waiting, done)
        yield batch


def _cut(waiting: Sequence[Step], done: Container[str]) -> tuple[list[Step], list[Step]]:
    kind = type(waiting[0].node.resource)
    batch: list[Step] = []
    rest: list[Step] = []
    for index, step in enumerate(waiting):
        resource = step.node.resource
        akin = type(resource) is kind or (kind.together != "" and resource.together == kind.together)
        if not kind.gathers and not akin and (not kind.family or resource.family != kind.family):
            rest.extend(waiting[index:])
            break
        if akin and _ready(step, done):
            batch.append(step)
        else:
            rest.append(step)
    return batch, rest


def _ready(step: Step, done: Container[str]) -> bool:
    return all(name in done for name in step.node.requires) and all(name in done for name in step.node.after)


def apply_kind(host: Host, steps: Sequence[tuple[Resource, Drift]]) -> Sequence[ResourceError | None]:
    """Apply resources of one kind; an error of the whole is the error of each."""
    try:
        return type(steps[0][0]).apply_all(host, steps)
    except ResourceError as error:
        return [error] * len(steps)
