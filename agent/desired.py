"""Which revision is to be held, and what it says of this host: a pinned one, or the newest that is good."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from agent import orders, track
from agent.catalog.cache import Cache, Compiled, load, save
from agent.catalog.codec import SECRET, secret_contents
from agent.errors import FetchFailed, RevisionError, RevisionRejected
from agent.facts import Facts
from agent.secrets import Open
from agent.source import Revision, Source, Tree, WorkingTree
from agent.source.floor import Floor
from agent.store import Store
from modules.api import ResourceError

Revised = Revision | WorkingTree  # what a catalog can be made from
PINNED, ROLLED_BACK = "Pinned", "RolledBack"


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


def newest_desired(source: Source, floor: Floor, store: Store, compiler: Compiler) -> Desired:
    """Fetch and compile the newest revision; hold the one in force when it is no good, or another is pinned.

    Raises RevisionError when there is none to hold.
    """
    attempted = ""
    try:
        revision = _accepted(source, floor)
        attempted = revision.commit
        _refuse_unpinned(store, revision)
        desired = Desired(compiler(revision), revision, compiler)
        _refuse_rolled_back(store, desired)
    except RevisionError as rejection:
        try:
            held = desired_in_force(source, floor, store, compiler)
        except FetchFailed:  # nothing was ever in force, or the clone of it was lost: what is wrong is what is served
            raise rejection from None
        return replace(held, rejection=rejection, attempted=attempted or getattr(rejection, "tip", ""))
    return desired


def _accepted(source: Source, floor: Floor) -> Revision:
    """The newest revision, when it passes the gate; from then on every later one has to contain it."""
    try:
        revision = source.fetch(floor.commit)
    except RevisionRejected as refusal:
        floor.refuse(refusal)
        raise
    floor.accept(revision.commit, revision.signed_by)
    return revision


def desired_in_force(source: Source, floor: Floor, store: Store, compiler: Compiler) -> Desired:
    """Compile the revision that is pinned, or in force, without asking the remote. Raises RevisionError.

    When the state database was lost, the accepted one takes its place.
    """
    pin = orders.given(store, orders.PIN)
    commit = pin.about if pin else store.recall("in_force") or floor.commit
    if not commit:
        raise FetchFailed("no revision was ever fetched", "wait for the remote, or see `agentctl status`")
    return desired_at(source, commit, compiler)


def desired_at(source: Source, commit: str, compiler: Compiler) -> Desired:
    """Compile one revision that is here. Raises RevisionError."""
    revision = source.revision(commit)
    return Desired(compiler(revision), revision, compiler)


def desired_by_itself(source: Source, floor: Floor, store: Store, compiler: Compiler) -> Desired:
    """What a pass holds that does not ask the remote: the revision in force, and why not the newest that was seen."""
    held = desired_in_force(source, floor, store, compiler)
    return replace(held, rejection=refusal(store), attempted=store.recall("attempted"))


def refuse(store: Store, rejection: RevisionError | None, attempted: str) -> None:
    """Remember what came of the newest revision: that it is held, or why it is not."""
    reason = getattr(rejection, "reason", type(rejection).__name__)
    kept = (
        {"message": str(rejection), "commit": getattr(rejection, "commit", "") or attempted, "reason": reason}
        if rejection
        else {}
    )
    store.remember(attempted=attempted, refused=json.dumps(kept))


def refusal(store: Store) -> RevisionRejected | None:
    """Why the newest revision that was seen is not held, as long as that stands."""
    known = json.loads(store.recall("refused") or "{}")
    lifted = (known.get("reason") == PINNED and orders.given(store, orders.PIN) is None) or (
        known.get("reason") == ROLLED_BACK and not track.rejections(store)
    )
    return RevisionRejected(**known) if known and not lifted else None


def _refuse_unpinned(store: Store, revision: Revision) -> None:
    pin = orders.given(store, orders.PIN)
    if pin is not None and pin.about != revision.commit:
        raise RevisionRejected(
            f"{pin.by} pinned {pin.about[:7]}: {pin.reason}",
            "agentctl unpin goes on with the newest",
            commit=revision.commit,
            reason=PINNED,
        )


def _refuse_rolled_back(store: Store, desired: Desired) -> None:
    bad = track.rejected(store, desired.compiled.plan)
    pin = orders.given(store, orders.PIN)
    if bad is not None and pin is None:
        raise rolled_back(bad)


def rolled_back(bad: track.Rejection) -> RevisionRejected:
    """Why a revision is not held that was, or would do the same as one that was."""
    step = "push a commit that mends it, or try it again with agentctl retry"
    return RevisionRejected(
        f"{bad.commit[:7]} was rolled back: {bad.reason}", step, commit=bad.commit, reason=ROLLED_BACK
    )
