"""Regular files: how one is looked at, and how it gets its content without anybody ever seeing less than the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from modules.api import (
    ANOTHER,
    SECRET,
    Accounts,
    Content,
    Drift,
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
from modules.attributes import Attributed
from modules.fields import BOOLEAN, STRINGS, option
from modules.modes import SECRET_FILE
from modules.parents import PARENTS, PARENTS_DOC, parents
from modules.paths import ancestors, placed, remove, replaceable, unit_file_refreshes

READ_LIMIT = 64 << 20  # bytes; a larger file of another size than wanted differs, and is not read to know how
DIFF_LIMIT = 1 << 20  # bytes of either side
KEPT = "kept"  # what is compared with nothing: under which digest a secret content is found among the backups


@dataclass(frozen=True, kw_only=True)
class Regular(Attributed, kind="", identity="path"):
    """What is a regular file; kinds say where its content comes from."""

    content_field: ClassVar[str] = "source"  # the field for a content that is had from elsewhere

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
    backup: bool = option(
        BOOLEAN,
        "Keep a copy of what is replaced or removed, in the state directory; without one nothing is changed. A file "
        "that was there before gets its content back when it leaves Git.",
        default=False,
    )
    sensitive: bool = option(
        BOOLEAN,
        "Show its content nowhere, neither as itself nor as its digest, as if a secret went into it. A new file with such "
        "a content gets mode 0600 when none is given.",
        default=False,
    )
    show_diff: bool = option(
        BOOLEAN, "Whether its text is shown where it changes; with `false` only its digests are.", default=True
    )
    parents: str | None = option(PARENTS, PARENTS_DOC)

    @property
    def wanted(self) -> Content | None:
        """The content it shall have, its digest known; None when only its owner and the like are held."""
        return None

    @property
    def starts_with(self) -> Content | None:
        """The content it is made with when there is no file."""
        return self.wanted

    @property
    def secret(self) -> bool:
        """Whether its content is shown nowhere: Git says so, or a secret went into it."""
        given = self.starts_with
        return self.sensitive or (given is not None and given.secret)

    @property
    def hides_text(self) -> bool:
        """As Git says."""
        return not self.show_diff

    @property
    def new_mode(self) -> int:
        """As of any file; of a secret one, its owner's alone."""
        return SECRET_FILE if self.secret else super().new_mode

    def regular_problems(self) -> list[str]:
        """Fields that contradict each other."""
        found = list(self.attribute_problems())
        if self.path == "/":
            found.append("the path / is always a directory")
        if self.ensure == "absent" and self.parents is not None:
            found.append("parents has no meaning with ensure: absent")
        if self.ensure == "absent" and self.validate is not None:
            found.append("validate has no meaning with ensure: absent")
        elif self.validate is not None and self.starts_with is None:
            found.append("validate checks new content, so it needs content, source or template")
        if self.validate is not None and not any("%s" in word for word in self.validate):
            found.append('validate must contain "%s", which becomes the path of the file to check')
        return found

    def provides(self) -> Sequence[str]:
        """Its path, unless it is to be absent, an entry of its directory, and its content if it says what that is."""
        if self.ensure == "absent":
            return placed(self.path)[1:]
        return (*placed(self.path), f"content:{self.path}") if self.wanted is not None else placed(self.path)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The nearest managed directory above it."""
        return (ancestors(self.path),)

    def host_refreshes(self) -> Sequence[str]:
        """A daemon-reload for a unit file or drop-in."""
        return unit_file_refreshes(self.path)

    def expanded(self) -> tuple[Resource, Sequence[tuple[str, Mapping[str, object]]]]:
        """Itself, its contents marked when Git calls them sensitive: from here on they are secrets like any other."""
        above = tuple(parents(self.path, self.parents, self.owner, self.group))
        held = ((field.name, getattr(self, field.name)) for field in fields(self) if self.sensitive)
        marked: dict[str, Any] = {
            name: replace(value, secret=True, around=value.around or value.digest)
            for name, value in held
            if isinstance(value, Content)
        }
        return replace(self, parents=None, **marked) if above or marked else self, above

    def desired(self, observed: State) -> State:
        """Content as its digest, or as a secret; nothing but `ensure` for a file that is to be absent."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        wanted = self.wanted if observed.get("ensure") == "present" else self.starts_with
        content = None if wanted is None else SECRET if self.secret else wanted.digest
        return {"ensure": "present", "content": content, **self.desired_attributes(observed)}

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
            ended = steps[index][0]._end(host)  # noqa: SLF001
            results[index] = result or ended
        return results

    def contents(self, host: HostView, drift: Drift) -> tuple[bytes, bytes] | None:
        """The bytes now and wanted; None for secrets, and when either side is too large to be of use to a reader."""
        wanted = self.wanted or self.starts_with
        if wanted is None or wanted.url or self.secret or "content" not in drift or wanted.size > DIFF_LIMIT:
            return None
        found = host.files.lstat(self.path)
        if found is None or found.type != "file":
            return b"", host.content(wanted)
        if found.size > DIFF_LIMIT:
            return None
        return host.files.read(self.path, DIFF_LIMIT), host.content(wanted)

    def undo(self, prior: State) -> Self | None:
        """The file is removed; one that was there before gets back what it was, if `backup` kept a copy."""
        if self.ensure != "present":
            return None
        kept: dict[str, Any] = {"path": self.path, "backup": self.backup, "sensitive": self.secret}
        if prior.get("ensure") == "absent":
            return type(self)(ensure="absent", **kept)
        digest = prior.get(KEPT, prior.get("content"))
        if not self.backup or self.wanted is None or prior.get("ensure") != "present" or not isinstance(digest, str):
            return None
        held = {name: str(prior[name]) for name in ("owner", "group", "mode") if getattr(self, name) and name in prior}
        kept |= {self.content_field: Content(digest, -1), **held}
        return type(self)(**kept)

    def recover(self, host: Host) -> None:
        """Remove a temporary file."""
        host.files.sweep(self.path)

    def _look(self, files: FileView, accounts: Accounts) -> State:
        found = files.lstat(self.path)
        if found is None:
            return {"ensure": "absent", **self.observed_policy(files)}
        if found.type != "file":
            return {"ensure": found.type}
        state: dict[str, Value] = {"ensure": "present", **self.observed_attributes(files, accounts, found)}
        if self.ensure == "absent" or self.wanted is not None:
            state |= self._observed_content(files, found)
        return state

    def _observed_content(self, files: FileView, found: Stat) -> dict[str, Value]:
        digest = self._digest(files, found)
        if not self.secret:
            return {"content": digest}
        shown = SECRET if self.wanted is not None and digest == self.wanted.digest else ANOTHER
        return {"content": shown, KEPT: digest} if self.backup else {"content": shown}

    def _digest(self, files: FileView, found: Stat) -> str:
        size = -1 if self.wanted is None else self.wanted.size
        if found.size > READ_LIMIT and size != found.size and (size != -1 or self.ensure == "absent"):
            return f"{found.size} bytes, not read"
        return files.digest(self.path, None if self.secret else found)  # which keeps no digest of a secret

    def _begin(self, host: Host, drift: Drift) -> Staged | None:
        """Close the drift, up to a new content staged and found valid, which is returned."""
        if self.ensure == "absent":
            self._back_up(host)
            remove(host.files, self.path, self.force)
            return None
        if "ensure" not in drift and "content" not in drift:
            self.change_attributes(host, drift)
            return None
        found = replaceable(host.files, self.path, "file", self.force)
        wanted = self.wanted or self.starts_with
        if wanted is None:
            raise ResourceError(f"there is no file {self.path}, and nothing to make it from; give content, or a source")
        fresh = self.fresh(host, found if found is not None and found.type == "file" else None)
        parts = host.stream(wanted)
        staged = host.files.stage(
            self.path, parts, mode=fresh.mode, owner=fresh.owner, xattrs=fresh.xattrs, size=wanted.size
        )
        try:
            self._check(host, staged)
            self._back_up(host)
            return self._make_way(host, staged)
        except ResourceError:
            host.files.discard(staged)
            raise

    def _back_up(self, host: Host) -> None:
        if self.backup:
            host.files.keep(self.path)

    def _check(self, host: Host, staged: Staged) -> None:
        if self.validate is None:
            return
        path = host.root.rstrip("/") + staged.temporary
        try:
            host.run(*(word.replace("%s", path) for word in self.validate))
        except ResourceError as error:
            said = "what it said is not shown, for the content is sensitive" if self.sensitive else str(error)
            raise ResourceError(f"{self.path} is left as it was, for its validate command failed: {said}") from error

    def _make_way(self, host: Host, staged: Staged) -> Staged:
        """What cannot be renamed over goes when its successor is complete and valid: a directory, or a lock."""
        if staged.found is None:
            return staged
        if staged.found.type == "directory":
            host.files.remove_directory(staged.target, recursive=True)
            return replace(staged, found=None)
        unlocked = host.files.lstat(self.path) if staged.found.type == "file" and self.unlock(host) else None
        return replace(staged, found=replace(staged.found, ctime_ns=unlocked.ctime_ns)) if unlocked else staged

    def _end(self, host: Host) -> ResourceError | None:
        """Set again what could only be set on what has its name."""
        try:
            self.lock(host)
        except ResourceError as error:
            return error
        return None


def from_url(content: Content | None, checksum: str | None) -> Content | None:
    """A content as it is known before it is fetched: one from a URL is what its checksum names."""
    return content if content is None or content.url is None else replace(content, digest=checksum or "")
