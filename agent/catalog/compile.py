"""compile_catalog: from a manifest to a catalog, every problem at once."""

from __future__ import annotations

from agent.catalog import Catalog, Node
from agent.catalog.expand import expand
from agent.catalog.graph import connect
from agent.catalog.typed import typed_resources
from agent.errors import Place, gather
from agent.manifest import Manifest
from agent.manifest.structure import problem

MAX_RESOURCES = 100_000


def compile_catalog(manifest: Manifest) -> Catalog:
    """Type, check and order what a manifest declares. Raises ManifestInvalid with every problem."""
    found = gather(lambda declaration: typed_resources(declaration, manifest.names), manifest.declarations)
    resources = expand([typed for several in found for typed in several])
    if not resources:
        # An empty result would remove all that is owned; it is far more often a slip than a wish.
        place = Place(f"hosts/{manifest.host}.yaml")
        raise problem(place, f'host "{manifest.host}" has no resources at all; an empty desired state is refused')
    if len(resources) > MAX_RESOURCES:
        place = manifest.declarations[0].place
        raise problem(place, f"{len(resources):,} resources for one host, more than the {MAX_RESOURCES:,} allowed")
    by_id = {typed.resource.id: typed for typed in resources}
    nodes = (
        Node(by_id[name].resource, by_id[name].place, edges.requires, edges.after, edges.refresh or None)
        for name, edges in connect(resources).items()
    )
    return Catalog(manifest.host, tuple(nodes))
