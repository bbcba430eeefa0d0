"""The main path: the newest good revision, what it says about this host, how the host differs, and closing that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.apply import Author, Conduct, Outcome, apply_plan
from agent.catalog.cache import Compiled, load, save
from agent.errors import FetchFailed, RevisionError
from agent.facts import Facts
from agent.plan import Known, Plan, make_plan
from agent.source import Revision, Source, Tree, WorkingTree
from agent.store import Store
from modules.api import Host, HostView

Revised = Revision | WorkingTree  # what a catalog can be made from


@dataclass(frozen=True)
class Desired:
    """What is to be held: a revision and its catalog, and why a newer revision is not."""

    compiled: Compiled
    revision: Revised
    rejection: RevisionError | None = None
    attempted: str = ""  # the revision that was rejected, when it is known


class Compiler(Protocol):
    """Compiles what a tree says about this host. Raises ManifestInvalid."""

    def __call__(self, tree: Tree) -> Compiled:
        """Return the catalog."""


def compile_tree(tree: Tree, host: str, cache: str, *, keep: bool = True) -> Compiled:
    """Compile for a host, or take what was compiled before; `cache` is a path, or empty. Raises ManifestInvalid.

    With `keep` the cache is written when it was of no use.
    """
    cached = load(cache, tree, host) if cache else None
    if cached is not None:
        return cached
    from agent.catalog.compile import compile_catalog  # needs Jinja and YAML, which an idle pass does not
    from agent.manifest import read_manifest

    facts = Facts()
    manifest = read_manifest(tree, host, facts)
    catalog = compile_catalog(manifest)
    return save(cache if keep else "", catalog, manifest.inputs, facts.asked)


def newest_desired(source: Source, in_force: str, compiler: Compiler) -> Desired:
    """Fetch and compile the newest revision; hold the one in force when it is no good. Raises RevisionError when none is."""
    attempted = ""
    try:
        revision = source.fetch(in_force or None)
        attempted = revision.commit
        return Desired(compiler(revision), revision)
    except RevisionError as rejection:
        if not in_force:
            raise
        held = desired_in_force(source, in_force, compiler)
        return Desired(held.compiled, held.revision, rejection, attempted or getattr(rejection, "commit", ""))


def desired_in_force(source: Source, in_force: str, compiler: Compiler) -> Desired:
    """Compile the revision in force, without asking the remote. Raises RevisionError."""
    if not in_force:
        raise FetchFailed("no revision was ever fetched", "wait for the remote, or see `agentctl status`")
    revision = source.revision(in_force)
    return Desired(compiler(revision), revision)


def plan_desired(desired: Desired, host: HostView, store: Store) -> Plan:
    """Plan what is desired on a host that is only looked at."""
    settled = store.recall("settled") == desired.compiled.digest
    return make_plan(desired.compiled.catalog, host, Known(store.inventory, store.owed(), settled))


def reconcile(desired: Desired, host: Host, store: Store, conduct: Conduct) -> list[Outcome]:
    """Hold the host to what is desired; one outcome for each resource."""
    plan = plan_desired(desired, host, store)
    if desired.revision.commit:  # a working tree is no revision: the one in force stays
        store.remember(in_force=desired.revision.commit)
    author = Author(desired.revision.commit, desired.revision.author, desired.revision.summary)
    outcomes = apply_plan(plan, host, store, author, conduct)
    if settled(outcomes):
        store.remember(settled=desired.compiled.digest)
    return outcomes


def settled(outcomes: list[Outcome]) -> bool:
    """Tell whether the inventory is now exactly the catalog."""
    return all(outcome.result in ("in_sync", "converged", "removed", "released") for outcome in outcomes)
