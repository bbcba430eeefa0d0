"""compile_catalog: from a manifest to a catalog, every problem at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.catalog import Catalog, Node, Suspension
from agent.catalog.checked import suspension_of, typed_checks
from agent.catalog.expand import expand
from agent.catalog.graph import Edges, connect
from agent.catalog.typed import MAX_RESOURCES, Typed, typed_resources
from agent.errors import ManifestInvalid, Place, Problem
from agent.manifest import Manifest
from agent.manifest.bounds import Bounds, OverTime
from agent.manifest.structure import problem
from modules.checks import Check

ORDER_SECONDS = 60.0


def compile_catalog(manifest: Manifest) -> Catalog:
    """Type, check and order what a manifest declares. Raises ManifestInvalid with every problem."""
    declared, problems = _typed(manifest)
    resources = expand(declared)
    if not resources and not problems:
        # An empty result would remove all that is owned; it is far more often a slip than a wish.
        place = Place(f"hosts/{manifest.host}.yaml")
        raise problem(place, f'host "{manifest.host}" has no resources at all; an empty desired state is refused')
    if len(resources) > MAX_RESOURCES:
        place = manifest.declarations[0].place
        raise problem(place, f"{len(resources):,} resources for one host, more than the {MAX_RESOURCES:,} allowed")
    edges = _connected(resources, problems, manifest)
    checks, suspension = _beside(manifest, problems)
    if problems:
        raise ManifestInvalid(problems)
    by_id = {typed.resource.id: typed for typed in resources}
    nodes = (
        Node(
            by_id[name].resource,
            by_id[name].place,
            found.requires,
            found.after,
            found.refresh or None,
            by_id[name].policy,
        )
        for name, found in edges.items()
    )
    return Catalog(manifest.host, tuple(nodes), checks, suspension)


def _typed(manifest: Manifest) -> tuple[list[Typed], list[Problem]]:
    """Every resource that can be typed, and what is wrong with the others."""
    resources: list[Typed] = []
    problems: list[Problem] = []
    for declaration in manifest.declarations:
        try:
            resources += typed_resources(declaration, manifest.names)
        except ManifestInvalid as error:
            problems += error.problems
    return resources, problems


def _beside(manifest: Manifest, problems: list[Problem]) -> tuple[tuple[Check, ...], Suspension | None]:
    """What is declared beside resources; what is wrong with it is added to the problems."""
    checks: tuple[Check, ...] = ()
    try:
        checks = typed_checks(manifest)
    except ManifestInvalid as error:
        problems += error.problems
    try:
        return checks, suspension_of(manifest)
    except ManifestInvalid as error:
        problems += error.problems
    return checks, None


def _connected(resources: Sequence[Typed], problems: list[Problem], manifest: Manifest) -> Mapping[str, Edges]:
    """The edges, in order; what is wrong with them is added to the problems."""
    try:
        with Bounds(value_seconds=ORDER_SECONDS).one_value():
            return connect(resources, complete=not problems)
    except ManifestInvalid as error:
        problems += error.problems
    except (OverTime, MemoryError):
        place = manifest.declarations[0].place
        problems.append(Problem(place, "the dependencies of this host are too many; name fewer by globs"))
    return {}
