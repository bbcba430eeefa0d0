"""All that a module may know: what a resource is, what a host shows, and what may be done to it.

A module is one frozen dataclass. Its fields are the schema, the documentation and the desired state;
`observe` reads through a `HostView` that cannot write; `apply` gets a `Host` and the drift to close.
Comparing, diffing, ordering, verifying and reporting belong to the agent.
"""
# Over 600 lines because it is the whole contract of modules, read in one piece.

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, Self

Value = str | int | bool | None | tuple[str, ...]
State = Mapping[str, Value]
"""Properties as observed or desired. Large content appears as its digest; of secret content only the words below."""
SECRET, ANOTHER = "secret", "another"  # the secret that Git wants, and something else


@dataclass(frozen=True)
class Change:
    """One property that differs: what the host shows, and what Git says."""

    before: Value
    after: Value


Drift = Mapping[str, Change]
"""The properties that differ; empty means in sync."""


class ResourceError(Exception):
    """One resource cannot be observed or applied; the message says what failed and what to do next."""


class Withheld(ResourceError):
    """A refresh is owed and left to a person; the message says why, and what to do."""


class Interrupted(ResourceError):
    """What was begun goes on without the agent, which does not wait for its end; the message says why."""


class Unsupported(ResourceError):
    """This host cannot do what is asked (no such package manager, no engine, another root)."""


class Unrestorable(ResourceError):
    """What something was before is kept no longer, so it can only be left as it is."""


Observation = State | ResourceError

AS_UNIT = "as unit:"
"""The beginning of a key that a container, network or volume provides: the unit that it is where systemd holds it."""


@dataclass(frozen=True)
class Content:
    """The bytes a resource wants, named by digest and read only when they are needed.

    `blob` is an object id in the repository, `url` a place outside of it; `data` holds what was rendered or written
    inline. At most one is set, and none when only the digest is remembered (an inventory entry). What is `secret` is
    never shown, nor kept anywhere but where Git wants it; `missing` says why a secret that it needs cannot be had, and
    then it has no digest.
    """

    digest: str  # sha256, hexadecimal
    size: int  # bytes; -1 when it is not known before it is fetched
    blob: str | None = None
    data: bytes | None = None
    url: str | None = None  # http, https or file
    secret: bool = False
    missing: str = ""
    origin: str = field(default="", compare=False)  # the file of the repository that it came from
    around: str = ""  # of a secret one, a digest of what is no secret in it; empty when that is not known


@dataclass(frozen=True)
class Stat:
    """What lstat shows of one path."""

    type: str  # file, directory, symlink, fifo, socket, block, char
    mode: int  # permission bits only, 0 to 0o7777
    uid: int
    gid: int
    size: int  # bytes
    device: int
    inode: int
    links: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class Completed:
    """A command that ended: its status and what it printed (bounded, decoded with replacement)."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Repair:
    """Something wrong with the host itself that stood in the way, and what was run to mend it."""

    what: str
    command: str
    status: int


@dataclass(frozen=True)
class Staged:
    """A complete file beside its target: owner, mode and bytes are final, only the name is not."""

    target: str
    temporary: str
    found: Stat | None  # what stood at the target when it was staged; publish refuses if that changed


Xattrs = Mapping[str, bytes | None]
"""Extended attributes by name; None is one that shall not be there."""
NO_XATTRS: Xattrs = {}


class FileView(Protocol):
    """Files of the host, read only; every method raises ResourceError.

    Paths are absolute in the host's root; no link in a path's parents is followed unless root (or the agent's own
    user) made it.
    """

    def lstat(self, path: str) -> Stat | None:
        """What is at `path`, not following a link there; None when nothing is (also when a parent is missing)."""

    def read(self, path: str, limit: int = 64 << 20) -> bytes:
        """The bytes of the regular file at `path`; never follows a link there; over `limit` bytes is an error."""

    def digest(self, path: str, found: Stat | None = None) -> str:
        """The sha256 of the regular file at `path`, in hexadecimal, streamed.

        With what `lstat` just found, it is not read again when nothing changed since it was last read.
        """

    def xattr(self, path: str, name: str) -> bytes | None:
        """An extended attribute of the file or directory at `path`; None when it has none of that name.

        Raises Unsupported when its file system keeps none.
        """

    def default_label(self, path: str, form: str) -> str | None:
        """The SELinux context that the host's policy has for a `form` (file, directory, symlink) at `path`, there or not.

        Empty when it names none; None where no policy is in use, or the file system keeps no labels.
        """

    def flags(self, path: str) -> int:
        """The inode flags (ioctl_iflags(2)) of the file or directory at `path`. Raises Unsupported likewise."""

    def readlink(self, path: str) -> str:
        """The target text of the link at `path`."""

    def listdir(self, path: str) -> Sequence[str]:
        """The names in the directory at `path`, sorted; empty when there is no directory."""

    def below(self, path: str, skip: Callable[[str], bool]) -> Iterator[tuple[str, Stat]]:
        """All that is below the directory at `path`, by its path relative to that; a directory before what is in it.

        No link is followed, and no other file system entered; what `skip` says of is left out with all below it.
        """


class Files(FileView, Protocol):
    """Files of the host, writable. Every change is atomic and never more readable than its result."""

    def stage(
        self,
        path: str,
        data: bytes | Iterable[bytes],
        *,
        mode: int,
        owner: tuple[int, int],
        xattrs: Xattrs = NO_XATTRS,
        size: int = -1,
    ) -> Staged:
        """Write a complete temporary file beside `path`, owned by (uid, gid) and with `mode`, not yet visible as it.

        What comes in parts (`Host.stream`) is never held in memory as a whole; its `size` in bytes, where it is
        known, is told when there is no room for it. Extended attributes that are not given
        are those of the file it replaces; without one, the SELinux label is that of the policy.
        """

    def discard(self, staged: Staged) -> None:
        """Remove a staged file that will not be published."""

    def publish(self, staged: Sequence[Staged]) -> list[ResourceError | None]:
        """Flush all once, then rename each over its target; one result for each."""

    def set_owner(self, path: str, uid: int, gid: int) -> None:
        """Own what is at `path`, never through a link (-1 leaves one of them)."""

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits of the file or directory at `path`, never through a link."""

    def set_xattr(self, path: str, name: str, value: bytes | None) -> None:
        """Set or (None) remove an extended attribute of what is at `path`, never through a link."""

    def set_flags(self, path: str, flags: int) -> None:
        """Set the inode flags (ioctl_iflags(2)) of the file or directory at `path`."""

    def keep(self, path: str) -> None:
        """Keep a copy of the file at `path`, or of each below a directory, by its digest, before it is changed."""

    def make_directory(self, path: str, *, mode: int, owner: tuple[int, int], xattrs: Xattrs = NO_XATTRS) -> None:
        """Make one directory whose parent exists, never more open than `mode`."""

    def make_symlink(self, path: str, target: str) -> None:
        """Put a link at `path`, replacing a link or file there in one step."""

    def unlink(self, path: str) -> None:
        """Remove the file, link, fifo or socket at `path`; nothing there is fine."""

    def remove_directory(self, path: str, *, recursive: bool = False) -> None:
        """Remove the directory at `path`; with `recursive` all in it, without crossing into another file system."""

    def sweep(self, path: str) -> None:
        """Remove what an interrupted `stage` of `path` left beside it."""


class Accounts(Protocol):
    """User and group names of the host's root."""

    def user_name(self, uid: int) -> str:
        """The name of `uid`, or its number as text."""

    def group_name(self, gid: int) -> str:
        """The name of `gid`, or its number as text."""

    def user_id(self, name: str) -> int:
        """The uid of a name or of a number as text. Raises ResourceError when the host has no such user."""

    def group_id(self, name: str) -> int:
        """The gid of a name or of a number as text. Raises ResourceError when the host has no such group."""

    def home_at(self, path: str, uid: int) -> str:
        """The name of whoever has the directory at `path`, which `uid` owns, as home; empty when nobody has."""


Json = Mapping[str, Any]


class EngineView(Protocol):
    """A container engine, read only. Every method raises ResourceError, naming the engine and what to do next."""

    def containers(self, names: Sequence[str]) -> Mapping[str, Json]:
        """Those of these containers that exist, running or not, by name: entries of `GET /containers/json`, one call."""

    @property
    def program(self) -> str:
        """What an admin talks to it with: `docker` or `podman`."""

    @property
    def quadlet(self) -> bool:
        """Whether systemd holds its containers, as units that Quadlet generates."""

    def inspect(self, name: str) -> Json | None:
        """The inspection (`GET /containers/NAME/json`) of a container, or None when there is none of that name."""

    def image(self, reference: str) -> Json | None:
        """The inspection of a local image, by name or id, or None when it is not here."""

    def newest(self, reference: str) -> str:
        """The digest (`sha256:...`) that a reference stands for in its registry now; nothing is pulled."""

    def network(self, name: str) -> Json | None:
        """The inspection of a network, or None when there is none of that name."""

    def volume(self, name: str) -> Json | None:
        """The inspection of a volume, or None when there is none of that name."""

    def users(self, *, network: str = "", volume: str = "", image: str = "") -> Sequence[str]:
        """The names of all containers, running or not, that use one of these."""


class Engine(EngineView, Protocol):
    """A container engine, writable, and watched while it changes."""

    def settled(self, name: str, *, steady_seconds: float, healthy_seconds: float) -> Json:
        """Its inspection once it has run for `steady_seconds` and its health check, if any, has said something.

        Earlier when it stops or restarts; at the latest after `healthy_seconds`, with the check still undecided.
        """

    def was_stopped(self, name: str) -> bool:
        """Whether one that does not run was stopped by a request to the engine, or with the engine, and did not end by itself.

        It is asked of the events that the engine remembers; when it remembers none of the start, it has started later
        itself, or so much has happened since that nobody can tell, which counts as an end by itself.
        """

    def ran_out_of_memory(self, name: str) -> bool:
        """Whether the kernel ended it, or something in it, for lack of memory: the last time, or lately by the engine's events."""

    def logs(self, name: str, lines: int) -> str:
        """The last lines a container wrote, to both streams; bounded."""

    def pull(self, reference: str) -> None:
        """Fetch an image that names a tag or a digest."""

    def remove_image(self, reference: str) -> str:
        """Remove a local image; when something still needs it, it stays, and the engine's reason is returned."""

    def tag(self, image: str, name: str) -> None:
        """Give an image one more name, `REPOSITORY:TAG`, which no other has then."""

    def create(self, name: str, options: Json) -> None:
        """Make a container, not yet started, from options in the words of `POST /containers/create`."""

    def connect(self, network: str, name: str, endpoint: Json) -> None:
        """Put a container into one more network, in the words of `POST /networks/NAME/connect`."""

    def disconnect(self, network: str, name: str) -> None:
        """Take a container out of a network."""

    def start(self, name: str) -> None:
        """Start it; it may run already."""

    def unpause(self, name: str) -> None:
        """Let a paused one go on."""

    def stop(self, name: str, timeout_seconds: int) -> None:
        """Stop it, killing it after the time-out; it may have stopped already."""

    def restart(self, name: str, timeout_seconds: int) -> None:
        """Stop and start it."""

    def rename(self, name: str, new_name: str) -> None:
        """Give it another name."""

    def retire(self, name: str) -> None:
        """Set its restart policy to `no`, so that a restart of the engine does not bring it back."""

    def remove(self, name: str, *, anonymous_volumes: bool) -> None:
        """Remove it, stopped or not; named volumes stay, those that the engine named go if asked for."""

    def create_network(self, options: Json) -> None:
        """Make a network, in the words of `POST /networks/create`."""

    def remove_network(self, name: str) -> None:
        """Remove a network, which nothing may be in."""

    def create_volume(self, options: Json) -> None:
        """Make a volume, in the words of `POST /volumes/create`."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume with all in it; nothing may use it."""


class HostView(Protocol):
    """A host that can be looked at and not changed."""

    @property
    def root(self) -> str:
        """The root all paths are in: `/`, or another root's absolute path."""

    @property
    def files(self) -> FileView:
        """Its files."""

    @property
    def accounts(self) -> Accounts:
        """Its users and groups."""

    @property
    def engine(self) -> EngineView:
        """Its container engine; raises Unsupported when there is none."""

    def probe(self, *argv: str, accept: Sequence[int] = (0,), timeout_seconds: float = 60) -> Completed:
        """Run a command that only reads. Raises ResourceError when its status is not accepted or it overruns."""

    def journal(self, unit: str, *, since: float = 0, lines: int = 10) -> Sequence[str]:
        """The last lines of a unit's journal, each bounded, none before a time (monotonic clock, seconds)."""

    def content(self, content: Content) -> bytes:
        """The bytes of a content; looking fetches nothing, so one from a URL raises ResourceError."""


class Watcher(HostView, Protocol):
    """A host whose services can be asked whether they do their work. Every method raises ResourceError when they do not."""

    def http(self, url: str, timeout_seconds: float) -> tuple[int, str]:
        """The status and the first 64 KiB that a URL answers with; redirects are not followed."""

    def connect(self, address: str, timeout_seconds: float) -> None:
        """Open a connection to `HOST:PORT` and close it."""

    def watch(self, *argv: str, timeout_seconds: float) -> None:
        """Run a command that somebody declared as a check: it ends well, and changes nothing."""


class Host(HostView, Protocol):
    """A host that can be changed; only `apply` ever holds one."""

    @property
    def files(self) -> Files:
        """Its files."""

    @property
    def engine(self) -> Engine:
        """Its container engine; raises Unsupported when there is none."""

    def note(self, message: str) -> None:
        """Say what a person should know of a pass, though nothing failed."""

    def stream(self, content: Content) -> Iterator[bytes]:
        """The bytes of a content in parts; ResourceError at the end at the latest when they are not what was named.

        One of which only the digest is remembered is looked for among the copies that `Files.keep` made; Unrestorable
        when it is not there.
        """

    def fetch(self, content: Content, name: str) -> AbstractContextManager[str]:
        """A file of this machine with the bytes of a content, complete and verified; gone after the `with`.

        `name` is its base name, for tools that judge by it (`x.deb`); the directory is private to the agent.
        """

    def run(self, *argv: str, accept: Sequence[int] = (0,), timeout_seconds: float = 300, stdin: str = "") -> Completed:
        """Run a command that may change the host. Raises ResourceError when its status is not accepted."""

    def run_job(self, *argv: str, timeout_seconds: float) -> None:
        """Run a command that has another program do something and waits for it (systemd, its jobs).

        Raises ResourceError when it fails or overruns, and Interrupted when the pass is to end and it has been waited for
        long enough; then the other program goes on.
        """

    def wait_until(self, holds: Callable[[], bool], timeout_seconds: float) -> bool:
        """Ask again and again until it holds or the time is over; tell which."""

    def run_detached(self, *argv: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
        """Run a command that must end even when the agent is stopped or upgraded meanwhile (a package transaction).

        Any status is returned; the command is never killed, and ResourceError says so when it overruns.
        """

    @property
    def repairs(self) -> list[Repair]:
        """The repairs that nobody has told yet; who tells them takes them out."""

    def repair(self, what: str, *argv: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
        """Mend the host itself, detached, once a pass (or ResourceError), told as an event; `what` was wrong."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One thing Git says about this host."""

    kind: ClassVar[str]
    identity_field: ClassVar[str]
    restarted_by: ClassVar[tuple[str, ...]] = ()  # properties whose convergence already delivers an owed refresh
    refreshed_for: ClassVar[tuple[str, ...]] = ()  # its own properties whose change owes it its own refresh
    diffed: ClassVar[tuple[str, ...]] = ("content",)  # properties that `contents` shows, so a digest says nothing more
    family: ClassVar[str] = ""  # kinds that only depend on each other by edges, so that batches may look past them
    together: ClassVar[str] = ""  # kinds of the same word are applied at once, by the `apply_all` of any of them
    gathers: ClassVar[bool] = False  # one transaction for every step of the kind that is ready, however far down
    prune: ClassVar[str] = (
        "delete"  # what is done when it leaves Git, unless Git says otherwise: delete, release, confirm
    )
    one_way: ClassVar[bool] = False  # what applying it does cannot be undone (the scripts of a package)
    runtime: ClassVar[tuple[str, ...]] = ()  # properties of what runs: a change by hand does not make the thing theirs
    awaits: ClassVar[tuple[str, ...]] = ()  # host refreshes to deliver before this kind is observed or applied

    def __init_subclass__(cls, *, kind: str, identity: str) -> None:
        """File the kind's name, and the field that identifies a resource of it."""
        cls.kind, cls.identity_field = kind, identity

    @property
    def identity(self) -> str:
        """What identifies it among its kind."""
        return str(getattr(self, self.identity_field))

    @property
    def id(self) -> str:
        """`kind:identity`, unique on a host."""
        return f"{self.kind}:{self.identity}"

    def problems(self) -> Sequence[str]:
        """What is wrong with this combination of fields, each a sentence; found before anything is touched."""
        return ()

    def provides(self) -> Sequence[str]:
        """Keys of what it brings into being, for the implicit edges of others, such as `path:/etc/motd`."""
        return ()

    def claims(self) -> Sequence[str]:
        """Keys of what it says something of, present or not: a resource that another brings along gives way to it."""
        return tuple(key for key in self.provides() if not key.startswith("in:"))

    def excludes(self) -> Sequence[str]:
        """Keys that no other resource may provide beside this one."""
        return ()

    def expanded(self) -> tuple[Resource, Sequence[tuple[str, Mapping[str, object]]]]:
        """Itself, and the resources (kind, fields) that it brings along; asked once, when a catalog is compiled."""
        return self, ()

    def informed(self, paths: Collection[str]) -> Resource:  # noqa: ARG002  (few kinds need to know)
        """Itself, told every path that a resource of the host claims; asked once, when a catalog is compiled."""
        return self

    def needs(self) -> Sequence[tuple[str, ...]]:
        """Implicit edges: of each tuple of keys the first that any resource provides is required."""
        return ()

    def refresh_on(self) -> Mapping[str, tuple[str, ...]]:
        """For each refresh action (`restart`, `reload`), the resource ids (globs) whose change asks for it."""
        return {}

    def text_of(self) -> Sequence[str]:
        """Whose text it runs with, by id: a change of what `refreshed_for` names of them asks for its own refresh."""
        return [self.id] if self.refreshed_for else []

    @property
    def own_refresh(self) -> str:
        """The action that a change of what `refreshed_for` names asks for."""
        return "restart"

    def withholds(self, action: str) -> str:  # noqa: ARG002  (a kind may never refresh some resources)
        """Why an owed refresh is left to a person; empty when the agent delivers it."""
        return ""

    def refreshed_since(self, host: HostView, action: str, since: float) -> bool:  # noqa: ARG002
        """Tell whether somebody has delivered a refresh that was withheld since a time. Raises ResourceError."""
        return False

    def is_refreshed_by(self, observed: State, drift: Drift) -> bool:  # noqa: ARG002
        """Whether closing this drift of what was observed has delivered every refresh that was owed, too."""
        return not set(drift).isdisjoint(self.restarted_by)

    def is_under_way(self, observed: State) -> bool:  # noqa: ARG002
        """Whether the host is bringing it there already, by what it read when it began (a unit that is still starting)."""
        return False

    def remark(self, observed: State) -> str:  # noqa: ARG002
        """What an admin should know of it though it is in sync; empty when there is nothing."""
        return ""

    def unmet(self, observed: State) -> str:  # noqa: ARG002
        """What of it was never done, since it was found in sync when Git first said it so; empty when nothing."""
        return ""

    def host_refreshes(self) -> Sequence[str]:
        """Host-wide refreshes that a change of this resource owes, such as `daemon-reload`."""
        return ()

    def desired(self, observed: State) -> State:  # noqa: ARG002  (a kind may resolve a relative wish against it)
        """The properties Git wants; None leaves one unmanaged.

        A wish that is relative (a version glob, a symbolic mode) is resolved against what is observed, which is
        empty when only the wish itself matters.
        """
        skipped = (self.identity_field,)
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in skipped}

    def observe(self, host: HostView) -> State:
        """What the host shows of it. Only reads. Raises ResourceError. A kind has this or `observe_all`, each by the other."""
        (found,) = self.observe_all(host, [self])
        if isinstance(found, ResourceError):
            raise found
        return found

    def apply(self, host: Host, drift: Drift) -> None:
        """Close the drift, which is never empty. Raises ResourceError. A kind has this or `apply_all`, each by the other."""
        (error,) = self.apply_all(host, [(self, drift)])
        if error is not None:
            raise error

    def refresh(self, host: Host, action: str) -> None:
        """Deliver an owed refresh if it runs; what is stopped stays stopped. Raises ResourceError, also Withheld."""
        raise TypeError(f"{type(self).__name__} cannot {action}; host {host.root}")

    def secret_fields(self) -> Sequence[str]:
        """The fields whose values nobody is shown: secret contents."""
        held = ((field.name, getattr(self, field.name)) for field in fields(self))
        return [name for name, value in held if isinstance(value, Content) and value.secret]

    @property
    def hides_text(self) -> bool:
        """Whether the text of its contents is shown nowhere where they change, though they are no secrets."""
        return False

    def contents(self, host: HostView, drift: Drift) -> tuple[bytes, bytes] | None:  # noqa: ARG002
        """Before and after of content that the drift names by digest, for a diff; None when there is none."""
        return None

    def undo(self, prior: State) -> Self | None:  # noqa: ARG002  (kinds that cannot be undone are forgotten)
        """The resource that takes the host back to `prior` when this one leaves Git; None when it is only forgotten.

        A kind that can says here, for the documentation, what becomes of what was not there before.
        """
        return None

    def carries(self, host: HostView) -> Collection[str]:  # noqa: ARG002  (few kinds have to look)
        """The paths that are gone with it when it left Git. Raises ResourceError."""
        return [key.removeprefix("path:") for key in self.provides() if key.startswith("path:")]

    def bears(self, host: HostView, leaving: Collection[str]) -> str:  # noqa: ARG002  (few kinds hold what is not ours)
        """Why a person would miss it: it holds what the agent did not make; empty when nobody would.

        Asked when it is to go because it left Git; `leaving` are the paths that go along. Raises ResourceError.
        """
        return ""

    def recover(self, host: Host) -> None:
        """Clear away what an interrupted apply of this resource may have left."""

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """Observe many at once; a kind overrides this when one read answers for all."""
        return [observed(resource, host) for resource in wanted]

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """Apply many at once, each failing on its own; a kind overrides this when they share one transaction."""
        return [applied(resource, host, drift) for resource, drift in steps]


def observed(resource: Resource, host: HostView) -> Observation:
    """One observation, its error as a value."""
    try:
        return resource.observe(host)
    except ResourceError as error:
        return error


def applied(resource: Resource, host: Host, drift: Drift) -> ResourceError | None:
    """One apply, its error as a value."""
    try:
        resource.apply(host, drift)
    except ResourceError as error:
        return error
    return None
