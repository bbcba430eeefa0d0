"""What the verbs that look at or change a host share: where things are, and the parts of the pipeline put together."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from agent.apply.approval import Approval
from agent.apply.drift import Repairs
from agent.catalog.cache import Cache, Compiled
from agent.cli.opening import opener, trust
from agent.desired import Desired, compile_tree
from agent.errors import ConfigInvalid, StateUnusable
from agent.health import Timing
from agent.host.engine_choice import EngineChoice
from agent.reconcile import Care
from agent.report import Origin
from agent.settings import Settings, load
from agent.source import Contacts, Remote, Revision, Source, Tree, Trust, WorkingTree
from agent.source.floor import Floor
from agent.status import read_status
from agent.store import Store


@dataclass(frozen=True)
class Site:
    """Which host this is, where its files and state are, and where its desired state comes from."""

    host: str
    root: str
    state_dir: str
    runtime_dir: str
    remote: Remote
    fallbacks: tuple[Remote, ...]
    trust: Trust
    working_tree: bool
    engine: EngineChoice
    secret_identity: str
    care: Care
    health_interval: int  # seconds
    approval: Approval
    repairs: Repairs
    verify_content_every: int  # passes
    limits: dict[str, float]

    @property
    def status_path(self) -> str:
        """The status file."""
        return os.path.join(self.runtime_dir, "status.json")

    @property
    def ledger_path(self) -> str:
        """What is known of files without reading them."""
        return os.path.join(self.runtime_dir, "ledger")

    @property
    def floor_path(self) -> str:
        """The accepted commit, and what was decided about others."""
        return os.path.join(self.state_dir, "floor.json")

    @property
    def cache_path(self) -> str:
        """The compiled catalog."""
        return os.path.join(self.state_dir, "catalog.json")


def site_of(options: argparse.Namespace, settings: Settings | None = None) -> Site:
    """Put settings (read when they are not given) and options together; an option wins. Raises ConfigInvalid."""
    root = os.path.abspath(options.root)
    if not os.path.isdir(root):
        raise ConfigInvalid(f"--root {root} is not a directory", "make it first, or check the path")
    if options.working_tree and not options.repo:
        raise ConfigInvalid("--working-tree needs --repo DIR", "name the directory of the checkout")
    settings = settings or (Settings() if options.repo else load(options.config))
    if not settings.repository and not options.repo:
        raise ConfigInvalid(
            f"no repository is configured in {options.config}", "write `repository: URL` there, or give --repo"
        )
    remote = settings.remote(repository=options.repo or settings.repository, branch=settings.branch)
    within = partial(inside, root)
    return Site(
        host=options.host or settings.host or socket.gethostname().partition(".")[0],
        root=root,
        state_dir=os.path.abspath(options.state_dir) if options.state_dir else within(settings.state_dir),
        runtime_dir=within(settings.runtime_dir)
        if not options.state_dir or root == "/"
        else os.path.abspath(options.state_dir),
        remote=remote,
        fallbacks=tuple(settings.remote(url, settings.branch) for url in settings.fallbacks if not options.repo),
        trust=trust(settings.verify, settings.trusted_keys),
        working_tree=options.working_tree,
        engine=EngineChoice(settings.container_engine, settings.registry_auth_file),
        secret_identity=settings.secret_identity,
        care=_care(settings),
        health_interval=settings.health_interval,
        approval=Approval(settings.prune_count, settings.prune_percent),
        repairs=Repairs(settings.drift, settings.contested_after, settings.contested_window),
        verify_content_every=1 if getattr(options, "verify_content", False) else settings.verify_content_every,
        limits={
            "poll_seconds": settings.poll_interval,
            "drift_seconds": settings.drift_interval,
            "stale_seconds": 2 * settings.drift_interval + settings.pass_deadline,
        },
    )


def _care(settings: Settings) -> Care:
    timing = Timing(settings.health_settle, settings.health_timeout)
    return Care(timing, settings.health_soak, settings.rollback)


def inside(root: str, path: str) -> str:
    """A path of the host, as it is reached from here."""
    return path if root == "/" else os.path.join(root, path.lstrip("/"))


@dataclass(frozen=True)
class Session:
    """One use of a site: its store and its source, open."""

    site: Site
    store: Store
    source: Source
    floor: Floor
    cache: str  # path of the compiled catalog; empty when it cannot be read
    writable: bool

    def compiled(self, tree: Tree, *, cached: bool = True) -> Compiled:
        """Compile what a tree says about this host. Raises ManifestInvalid."""
        cache = Cache(self.cache, self.writable) if cached else Cache()
        return compile_tree(tree, self.site.host, cache, opener(self.site.secret_identity))

    def newest(self, ref: str | None = None) -> Desired:
        """Fetch and compile what was asked for: the working tree, a ref, or the newest revision. Raises AgentError."""
        if self.site.working_tree:
            tree = WorkingTree(self.site.remote.url)
            return Desired(self.compiled(tree), tree, self.compiled)
        revision = self._named(ref) if ref else self.source.fetch(self.floor.commit)
        return Desired(self.compiled(revision), revision, self.compiled)

    def _named(self, ref: str) -> Revision:
        """What a person asks for by name; to look at it, nobody needs to have signed it."""
        revision = self.source.at(ref)
        if self.writable:
            self.source.judge(revision, self.floor.commit)
        return revision

    def origin(self, in_force: str) -> Origin:
        """Where revisions come from, and who signed the one in force."""
        return Origin(self.floor.commit, self.floor.signer(in_force), self.source.contacts.to_json())


@contextlib.contextmanager
def reading(site: Site) -> Iterator[Session]:
    """Open a site to look at it: nothing of its state is written, and what must be fetched is thrown away."""
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="gitops-agent-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        source = _source(site, os.path.join(directory, "repo.git"))
        known = os.access(os.path.join(site.state_dir, "state.db"), os.R_OK)
        if known:
            source.borrow(os.path.join(site.state_dir, "repo.git"))
        store = stack.enter_context(Store(site.state_dir if known else directory, writable=False))
        floor = _floor(site, store, source, writable=False)
        yield Session(site, store, source, floor, site.cache_path if known else "", writable=False)


@contextlib.contextmanager
def writing(site: Site) -> Iterator[Session]:
    """Open a site to change it, alone: another pass on it is waited for. Raises StateUnusable."""
    from agent.lock import held

    _make_directories(site)
    with held(os.path.join(site.runtime_dir, "lock")):
        source = _source(site, os.path.join(site.state_dir, "repo.git"))
        source.recover()
        with Store(site.state_dir, writable=True) as store:
            floor = _floor(site, store, source, writable=True)
            yield Session(site, store, source, floor, site.cache_path, writable=True)


@contextlib.contextmanager
def beside(site: Site) -> Iterator[Store]:
    """Open the state to give an order that also a pass that runs is to heed; it is not waited for. Raises StateUnusable."""
    from agent.lock import held

    _make_directories(site)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(StateUnusable):  # whoever holds it has made the database
            stack.enter_context(held(os.path.join(site.runtime_dir, "lock"), wait_seconds=0))
        yield stack.enter_context(Store(site.state_dir, writable=True))


def _make_directories(site: Site) -> None:
    for directory, mode in ((site.state_dir, 0o700), (site.runtime_dir, 0o755)):
        make_directory(directory, mode)


def _source(site: Site, clone: str) -> Source:
    known = read_status(site.status_path).get("source", {}).get("remotes", ())
    return Source(Contacts((site.remote, *site.fallbacks), known), clone, site.trust)


def _floor(site: Site, store: Store, source: Source, *, writable: bool) -> Floor:
    """The floor; a status file is in memory, and so outlives a state directory that is removed under a running agent."""

    def of_status() -> str:
        return str(read_status(site.status_path).get("source", {}).get("accepted", ""))

    witnesses = {"the clone": lambda: source.accepted, "the status file": of_status}
    return Floor(store, site.floor_path, witnesses, writable=writable)


def make_directory(path: str, mode: int) -> None:
    """Make a directory of the agent's own. Raises StateUnusable with what to do."""
    try:
        os.makedirs(path, mode=mode, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        hint = "run as root, or give --root DIR or --state-dir DIR"
        raise StateUnusable(f"{path} cannot be used: {error.strerror}", hint) from error
