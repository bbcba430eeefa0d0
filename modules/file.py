"""file: hold one regular file to its content, owner and mode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from modules.api import (
    Accounts,
    Content,
    Drift,
    Files,
    FileView,
    Host,
    HostView,
    Observation,
    Resource,
    ResourceError,
    Staged,
    Stat,
    State,
    Value,
)
from modules.fields import (
    ABSOLUTE_PATH,
    BOOLEAN,
    CHECKSUM,
    NAME,
    OCTAL_MODE,
    SOURCE_CONTENT,
    STRINGS,
    TEMPLATE_CONTENT,
    TEXT_CONTENT,
    checksum_problems,
    choice,
    identity,
    option,
)
from modules.paths import Attributes, ancestors, placed, remove, replaceable, unit_file_refreshes

_READ_LIMIT = 64 << 20  # bytes; a larger file of another size than wanted differs, and is not read to know how
_DIFF_LIMIT = 1 << 20  # bytes of either side


@dataclass(frozen=True, kw_only=True)
class File(Resource, kind="file", identity="path"):
    """A regular file.

    It is replaced in one step: nobody ever sees it half written, with another owner, or readable for more than its
    mode allows. A change of only owner or mode leaves the file and its hard links in place. A field that is left out
    is not managed; with none of `content`, `source` and `template` the file must exist already.
    """

    path: str = identity(ABSOLUTE_PATH, "Where the file is.")
    ensure: str = option(choice("present", "absent"), "Whether it exists.", "present")
    content: Content | None = option(TEXT_CONTENT, "Its text, as it is written here; nothing is added at its end.")
    source: Content | None = option(
        SOURCE_CONTENT, "What it is a copy of: a file of the repository, or a URL, with `checksum`."
    )
    checksum: str | None = option(CHECKSUM, "What its content must be: required with a URL, else one more check.")
    template: Content | None = option(TEMPLATE_CONTENT, "A template of the repository that it is rendered from.")
    owner: str | None = option(NAME, "The user who owns it: a name, or a number in quotes.")
    group: str | None = option(NAME, "The group it belongs to: a name, or a number in quotes.")
    mode: str | None = option(OCTAL_MODE, "Its permissions. A new file gets 0644 when none are given.")
    validate: tuple[str, ...] | None = option(
        STRINGS,
        "A command that must succeed before the file is replaced; `%s` in it is the path of the new file, complete "
        "with owner and mode. When it fails, the old file stays.",
    )
    force: bool = option(
        BOOLEAN,
        "Replace a link, a directory with all in it, a named pipe or a socket that stands at the path; with `ensure: "
        "absent`, remove a directory that is not empty.",
        default=False,
    )

    def problems(self) -> Sequence[str]:
        """Fields that contradict each other."""
        given = [name for name in ("content", "source", "template") if getattr(self, name) is not None]
        found = []
        if self.path == "/":
            found.append("the path / is always a directory")
        found += checksum_problems(self._given, self.checksum)
        if len(given) > 1:
            found.append(f"give only one of {' and '.join(given)}")
        if self.ensure == "absent":
            other = [name for name in ("owner", "group", "mode", "validate") if getattr(self, name) is not None]
            found += [f"{name} has no meaning with ensure: absent" for name in (*given, *other)]
        elif self.validate is not None and not given:
            found.append("validate checks new content, so it needs content, source or template")
        if self.validate is not None and not any("%s" in word for word in self.validate):
            found.append('validate must contain "%s", which becomes the path of the file to check')
        return found

    def provides(self) -> Sequence[str]:
        """Its path, unless it is to be absent, and an entry of its directory."""
        return placed(self.path)[self.ensure == "absent" :]

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The nearest managed directory above it."""
        return (ancestors(self.path),)

    def host_refreshes(self) -> Sequence[str]:
        """A daemon-reload for a unit file or drop-in."""
        return unit_file_refreshes(self.path)

    def desired(self, observed: State) -> State:  # noqa: ARG002  (no wish is relative)
        """Content as its digest; nothing but `ensure` for a file that is to be absent."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        wanted = self._wanted
        return {
            "ensure": "present",
            "content": None if wanted is None else wanted.digest,
            "owner": self.owner,
            "group": self.group,
            "mode": self.mode,
        }

    def observe(self, host: HostView) -> State:
        """`ensure` is `present` for a regular file, else what stands there (`directory`, `symlink`, ...)."""
        return self._look(host.files, host.accounts)

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """One tight loop over open directories."""
        files, accounts = host.files, host.accounts
        observations: list[Observation] = []
        for resource in wanted:
            try:
                observations.append(resource._look(files, accounts))  # noqa: SLF001  (its own class)
            except ResourceError as error:
                observations.append(error)
        return observations

    def apply(self, host: Host, drift: Drift) -> None:
        """As a batch of one."""
        for error in self.apply_all(host, [(self, drift)]):
            if error is not None:
                raise error

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """All new contents are written beside their targets, flushed together, and renamed."""
        results: list[ResourceError | None] = [None] * len(steps)
        staged: dict[int, Staged] = {}
        for index, (resource, drift) in enumerate(steps):
            try:
                written = resource._begin(host, drift)  # noqa: SLF001  (its own class)
            except ResourceError as error:
                results[index] = error
            else:
                if written is not None:
                    staged[index] = written
        for index, result in zip(staged, host.files.publish(list(staged.values())), strict=True):
            results[index] = result
        return results

    def contents(self, host: HostView, drift: Drift) -> tuple[bytes, bytes] | None:
        """The bytes now and wanted; None when either side is too large to be of use to a reader."""
        wanted = self._wanted
        if wanted is None or wanted.url or "content" not in drift or wanted.size > _DIFF_LIMIT:
            return None
        found = host.files.lstat(self.path)
        if found is None or found.type != "file":
            return b"", host.content(wanted)
        if found.size > _DIFF_LIMIT:
            return None
        return host.files.read(self.path, _DIFF_LIMIT), host.content(wanted)

    def undo(self, prior: State) -> Self | None:
        """A file that was not there before is removed; one that was is left as it is, for its old bytes are gone."""
        if self.ensure == "present" and prior.get("ensure") == "absent":
            return type(self)(path=self.path, ensure="absent")
        return None

    def recover(self, host: Host) -> None:
        """Remove a temporary file."""
        host.files.sweep(self.path)

    @property
    def _given(self) -> Content | None:
        return self.content or self.source or self.template

    @property
    def _wanted(self) -> Content | None:
        given = self._given
        return given if given is None or given.url is None else replace(given, digest=self.checksum or "")

    @property
    def _attributes(self) -> Attributes:
        return Attributes(self.owner, self.group, self.mode)

    def _look(self, files: FileView, accounts: Accounts) -> State:
        found = files.lstat(self.path)
        if found is None:
            return {"ensure": "absent"}
        if found.type != "file":
            return {"ensure": found.type}
        state: dict[str, Value] = {"ensure": "present", **self._attributes.observed(accounts, found)}
        if self._wanted is not None or self.ensure == "absent":
            state["content"] = self._digest(files, found)
        return state

    def _digest(self, files: FileView, found: Stat) -> str:
        wanted = self._wanted
        if found.size > _READ_LIMIT and (wanted is None or wanted.size != found.size):
            return f"{found.size} bytes, not read"
        return files.digest(self.path)

    def _begin(self, host: Host, drift: Drift) -> Staged | None:
        """Close the drift, up to a new content staged and found valid, which is returned."""
        if self.ensure == "absent":
            remove(host.files, self.path, self.force)
            return None
        if "ensure" not in drift and "content" not in drift:
            self._attributes.apply(host, self.path, drift)
            return None
        found = replaceable(host.files, self.path, "file", self.force)
        wanted = self._wanted
        if wanted is None:
            raise ResourceError(f"there is no file {self.path}, and nothing to make it from; give content, or a source")
        staged = self._stage(host, host.stream(wanted), found)
        try:
            self._check(host, staged)
            return _make_room(host.files, staged)
        except ResourceError:
            host.files.discard(staged)
            raise

    def _stage(self, host: Host, data: Iterable[bytes], found: Stat | None) -> Staged:
        uid, gid = self._attributes.ids(host.accounts)
        mode = 0o644
        if found is not None and found.type == "file":
            uid, gid = found.uid if uid == -1 else uid, found.gid if gid == -1 else gid
            stripped = 0 if (uid, gid) == (found.uid, found.gid) else 0o6000  # as chown(2) does
            mode = found.mode & ~stripped
        if self.mode is not None:
            mode = int(self.mode, 8)
        return host.files.stage(self.path, data, mode=mode, owner=(uid, gid))

    def _check(self, host: Host, staged: Staged) -> None:
        if self.validate is None:
            return
        path = host.root.rstrip("/") + staged.temporary
        try:
            host.run(*(word.replace("%s", path) for word in self.validate))
        except ResourceError as error:
            raise ResourceError(f"{self.path} is left as it was, for its validate command failed: {error}") from error


def _make_room(files: Files, staged: Staged) -> Staged:
    """A directory cannot be renamed over: it goes when its successor is complete and valid."""
    if staged.found is None or staged.found.type != "directory":
        return staged
    files.remove_directory(staged.target, recursive=True)
    return replace(staged, found=None)
