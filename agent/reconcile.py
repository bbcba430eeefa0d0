"""The main path: the newest good revision, what it says about this host, how the host differs, and closing that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from agent.apply import Author, Conduct, Outcome, apply_plan
from agent.catalog.cache import Cache, Compiled, load, save
from agent.catalog.codec import SECRET, secret_contents
from agent.errors import FetchFailed, RevisionError
from agent.facts import Facts
from agent.plan import Known, Plan, make_plan
from agent.secrets import Open
from agent.source import Revision, Source, Tree, WorkingTree
from agent.store import Store
from modules.api import Host, HostView, ResourceError

Revised = Revision | WorkingTree  # what a catalog can be made from


class Compiler(Protocol):
    """Compiles what a tree says about this host. Raises ManifestInvalid."""

    def __call__(self, tree: Tree, *, cached: bool = True) -> Compiled:
        """Return the catalog, compiled anew unless a cached one will do."""


@dataclass(frozen=True)
class Desired:
    """What is to be held: a revision and its catalog, and why a newer revision is not."""

    compiled: Compiled
    revision: Revised
    compiler: Compiler
    rejection: RevisionError | None = None
    attempted: str = ""  # the revision that was rejected, when it is known

    def read(self, handle: str) -> bytes:
        """The bytes behind a content's `blob`. What a secret went into is kept nowhere, so it is compiled again."""
        if not handle.startswith(SECRET):
            return self.revision.blob(handle)
        for content in secret_contents(self._fresh.catalog):
            if SECRET + content.digest == handle and content.data is not None:
                return content.data
        raise ResourceError("its secrets cannot be opened any more, or are others by now; the next pass looks again")

    def redact(self, text: str) -> str:
        """A text without the secrets that were opened for this pass."""
        vault = self.compiled.vault or (self._fresh.vault if "_fresh" in self.__dict__ else None)
        return vault.redact(text) if vault else text

    @cached_property
    def _fresh(self) -> Compiled:
        return self.compiled if self.compiled.vault else self.compiler(self.revision, cached=False)


def compile_tree(tree: Tree, host: str, cache: Cache, opener: Open) -> Compiled:
    """Compile for a host, or take what was compiled before. Raises ManifestInvalid."""
    known = load(cache.path, tree, host) if cache.path else None
    if known is not None:
        return known
    from agent.catalog.compile import compile_catalog  # needs Jinja and YAML, which an idle pass does not
    from agent.manifest import read_manifest

    facts = Facts()
    manifest = read_manifest(tree, host, facts, opener)
    catalog = compile_catalog(manifest)
    return save(cache, catalog, manifest.inputs, facts.asked, manifest.vault)


def newest_desired(source: Source, in_force: str, compiler: Compiler) -> Desired:
    """Fetch and compile the newest revision; hold the one in force when it is no good. Raises RevisionError when none is."""
    attempted = ""
    try:
        revision = source.fetch(in_force or None)
        attempted = revision.commit
        return Desired(compiler(revision), revision, compiler)
    except RevisionError as rejection:
        if not in_force:
            raise
        held = desired_in_force(source, in_force, compiler)
        return replace(held, rejection=rejection, attempted=attempted or getattr(rejection, "commit", ""))


def desired_in_force(source: Source, in_force: str, compiler: Compiler) -> Desired:
    """Compile the revision in force, without asking the remote. Raises RevisionError."""
    if not in_force:
        raise FetchFailed("no revision was ever fetched", "wait for the remote, or see `agentctl status`")
    revision = source.revision(in_force)
    return Desired(compiler(revision), revision, compiler)


def plan_desired(desired: Desired, host: HostView, store: Store) -> Plan:
    """Plan what is desired on a host that is only looked at."""
    settled = store.recall("settled") == desired.compiled.digest
    return make_plan(desired.compiled.catalog, host, Known(store.inventory, store.owed(), settled, store.started))


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
