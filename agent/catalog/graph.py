"""Order: explicit and implicit edges, cycles, and the topological order with ties by declaration."""

from __future__ import annotations

import fnmatch
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.catalog.typed import Typed
from agent.errors import ManifestInvalid, Problem, nearest
from agent.manifest.structure import problem
from modules.api import AS_UNIT


@dataclass(frozen=True)
class Edges:
    """What one resource depends on, by id."""

    requires: tuple[str, ...]  # blocked when one of these failed
    after: tuple[str, ...]  # order only
    refresh: Mapping[str, tuple[str, ...]]  # action -> whose change asks for it


def connect(resources: Sequence[Typed], *, complete: bool = True) -> dict[str, Edges]:
    """Resolve every edge, in an order that satisfies them all. Raises ManifestInvalid: unknown ids, duplicates, cycles.

    Where some declarations could not be typed (not `complete`), an id that is not there may be one of theirs.
    """
    by_id: dict[str, Typed] = {}
    for typed in resources:
        by_id.setdefault(typed.resource.id, typed)
    problems = [*_declared_twice(resources, by_id), *dict.fromkeys(_of_several_owners(resources))]
    explicit: dict[str, Edges] = {}
    for typed in by_id.values():
        explicit[typed.resource.id], unknown = _explicit(typed, by_id)
        problems += unknown if complete else ()
    if problems:
        raise ManifestInvalid(problems)
    _order(by_id, {name: {*edges.requires, *edges.after} for name, edges in explicit.items()})
    edges = _with_implicit(resources, explicit)
    order = _order(by_id, {name: {*found.requires, *found.after} for name, found in edges.items()})
    return {name: edges[name] for name in order}


def _declared_twice(resources: Sequence[Typed], by_id: Mapping[str, Typed]) -> Iterator[Problem]:
    for typed in resources:
        first = by_id[typed.resource.id]
        if first is not typed:
            yield Problem(typed.place, f"{typed.resource.id} is declared twice; the first is at {first.place}")


def _of_several_owners(resources: Sequence[Typed]) -> Iterator[Problem]:
    """Refuse two resources for one thing, such as a file and a directory at one path."""
    owners: dict[str, Typed] = {}
    for typed in resources:
        paths = (key for key in typed.resource.claims() if key.startswith("path:"))  # also of what shall be absent
        for key in dict.fromkeys([*paths, *typed.resource.provides()]):
            first = typed if key.startswith("in:") else owners.setdefault(key, typed)
            if first.resource.id != typed.resource.id:
                same = f"would both be {key.removeprefix(AS_UNIT)} under Quadlet; rename one"
                same = same if key.startswith(AS_UNIT) else "are the same thing; keep one"
                yield Problem(typed.place, f"{typed.resource.id} and {first.resource.id} (at {first.place}) {same}")
    for typed in resources:
        for first in (owners[key] for key in typed.resource.excludes() if key in owners):
            message = f"{typed.resource.id} and {first.resource.id} (at {first.place}) each say what is in it; keep one"
            yield Problem(typed.place, message)


def _explicit(typed: Typed, by_id: Mapping[str, Typed]) -> tuple[Edges, list[Problem]]:
    """What is said outright, and the ids in it that no resource has."""
    unknown: list[Problem] = []

    def match(key: str, patterns: Iterable[str]) -> tuple[str, ...]:
        found, strange = _match(typed.resource.id, patterns, by_id)
        for name in strange:
            message = f"`{key}` of {typed.resource.id} names {name}, which this host does not have"
            unknown.append(Problem(typed.place_of(key), message + nearest(name, by_id)))
        return found

    refresh = {
        action: match(f"{action}_on", patterns) for action, patterns in typed.resource.refresh_on().items() if patterns
    }
    wanted = [item for ids in refresh.values() for item in ids]
    after = tuple(dict.fromkeys([*match("after", typed.after), *wanted]))
    return Edges(match("requires", typed.requires), after, refresh), unknown


def _match(own: str, patterns: Iterable[str], by_id: Mapping[str, Typed]) -> tuple[tuple[str, ...], list[str]]:
    """Resolve ids and globs; and the ids that are not there. A glob may match nothing."""
    found: dict[str, None] = {}
    unknown = []
    for pattern in patterns:
        if set(pattern) & set("*?["):
            found |= dict.fromkeys(name for name in by_id if fnmatch.fnmatchcase(name, pattern))
        elif pattern in by_id:
            found[pattern] = None
        else:
            unknown.append(pattern)
    found.pop(own, None)
    return tuple(found), unknown


def _with_implicit(resources: Sequence[Typed], explicit: Mapping[str, Edges]) -> dict[str, Edges]:
    providers: defaultdict[str, list[str]] = defaultdict(list)
    for typed in resources:
        for key in typed.resource.provides():
            providers[key].append(typed.resource.id)
    edges = {}
    for typed in resources:
        name, own = typed.resource.id, explicit[typed.resource.id]
        requires = dict.fromkeys(own.requires)
        for candidates in typed.resource.needs():
            key = next((key for key in candidates if key in providers), "")
            for provider in providers.get(key, ()):
                # What an admin said outright wins over what we infer: an implicit edge never closes a cycle.
                if provider != name and not _reaches(provider, name, explicit):
                    requires[provider] = None
        edges[name] = Edges(tuple(requires), own.after, own.refresh)
    return edges


def _reaches(start: str, goal: str, edges: Mapping[str, Edges]) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        found = edges[waiting.pop()]
        for name in (*found.requires, *found.after):
            if name == goal:
                return True
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return False


def _order(by_id: Mapping[str, Typed], needs: Mapping[str, set[str]]) -> list[str]:
    """Sort topologically, ties by order of declaration (Kahn's algorithm on a heap). Raises ManifestInvalid for a cycle."""
    position = {name: index for index, name in enumerate(by_id)}
    names = list(by_id)
    waiting = {name: len(needs[name]) for name in names}
    dependants: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        for need in needs[name]:
            dependants[need].append(name)
    ready = [position[name] for name in names if not waiting[name]]
    order = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for dependant in dependants[name]:
            waiting[dependant] -= 1
            if not waiting[dependant]:
                heapq.heappush(ready, position[dependant])
    if len(order) < len(names):
        raise _cycle([name for name in names if waiting[name]], needs, by_id)
    return order


def _cycle(stuck: Sequence[str], needs: Mapping[str, set[str]], by_id: Mapping[str, Typed]) -> ManifestInvalid:
    """Walk from any stuck resource until one comes again: that is a cycle; name its members in order."""
    within = set(stuck)
    path = [stuck[0]]
    while (step := min(needs[path[-1]] & within)) not in path:
        path.append(step)
    members = [*path[path.index(step) :], step]
    return problem(by_id[step].place, f"dependency cycle: {' -> '.join(members)}; each needs the next")
