"""Edits: what part of a file shall say, whatever the rest of it does; all edits of a file that are due are one write."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from modules.api import ANOTHER, SECRET, Drift, Host, HostView, Resource, ResourceError, Staged, State
from modules.fields import ABSOLUTE_PATH, BOOLEAN, NAME, STRINGS, choice, identity, option
from modules.modes import NEW_FILE, SECRET_FILE
from modules.paths import ancestors, unit_file_refreshes

_LIMIT = 16 << 20  # bytes of a file that is edited
_NO_FILE = "no file"
_MARK = "\ufeff"
_RAW_LINES = re.compile(r"[^\n]*\n|[^\n]+")


class Lines:
    """The lines of a text, each with the end that it has; new ones get the end of the first.

    A mark of the order of bytes (BOM) is no part of the first line, and stays before it.
    """

    def __init__(self, text: str) -> None:
        self._mark = _MARK if text.startswith(_MARK) else ""
        self.raw = _RAW_LINES.findall(text.removeprefix(_MARK))
        self.end = "\r\n" if self.raw and self.raw[0].endswith("\r\n") else "\n"

    @property
    def text(self) -> str:
        """All of it."""
        return self._mark + "".join(self.raw)

    @property
    def bare(self) -> list[str]:
        """The lines without their ends."""
        return [line.rstrip("\r\n") for line in self.raw]

    def put(self, at: int, lines: Sequence[str]) -> None:
        """Insert lines before the one at an index; a last line without an end gets one first."""
        if lines and at == len(self.raw) and self.raw and not self.raw[-1].endswith("\n"):
            self.raw[-1] += self.end
        self.raw[at:at] = [line + self.end for line in lines]

    def set(self, at: int, line: str) -> None:
        """Replace what a line says, not how it ends."""
        old = self.raw[at]
        self.raw[at] = line + old[len(old.rstrip("\r\n")) :]

    def cut(self, start: int, stop: int) -> None:
        """Remove lines."""
        del self.raw[start:stop]


@dataclass(frozen=True, kw_only=True)
class Edit(Resource, kind="", identity="path"):
    """Part of a file."""

    family: ClassVar[str] = "path"
    together: ClassVar[str] = "edits"
    missing: ClassVar[str] = "nothing of it"
    says: ClassVar[tuple[str, ...]] = ()  # the fields that hold what is edited

    path: str = identity(ABSOLUTE_PATH, "The file.")
    name: str | None = option(NAME, "Tells apart what is edited in one file; the id is `KIND:PATH:NAME` then.")
    ensure: str = option(choice("present", "absent"), "Whether it is in the file.", "present")
    create: bool = option(
        BOOLEAN,
        "Make the file when there is none; with `ensure: absent`, remove it when nothing is left in it.",
        default=False,
    )
    validate: tuple[str, ...] | None = option(
        STRINGS, "A command that must succeed before the file is replaced; `%s` in it is the path of the new one."
    )
    backup: bool = option(BOOLEAN, "Keep a copy of the file as it was, in the state directory.", default=False)
    sensitive: bool = option(BOOLEAN, "Show nowhere what is edited.", default=False)

    @property
    def label(self) -> str:
        """What tells it apart from other edits of the file; empty when it is the only one."""
        return self.name or ""

    @property
    def identity(self) -> str:
        """The path, and the name when there is one."""
        return f"{self.path}:{self.label}" if self.label else self.path

    @property
    def goal(self) -> str:
        """What is wanted, in words."""
        return self.missing

    def edited(self, text: str) -> str:
        """The text as it shall be; the same when it is so. Raises ResourceError."""
        raise TypeError(f"{type(self).__name__} does not edit {len(text)} characters")

    def found(self, text: str) -> str:
        """What the text says now, in words; `missing` when it says nothing of it."""
        raise TypeError(f"{type(self).__name__} finds nothing in {len(text)} characters")

    def edit_problems(self) -> list[str]:
        """What is wrong with the fields that all edits have."""
        if self.validate is not None and not any("%s" in word for word in self.validate):
            return ['validate must contain "%s", which becomes the path of the file to check']
        return []

    def claims(self) -> Sequence[str]:
        """That the file is there."""
        return (f"content:{self.path}",)

    def carries(self, host: HostView) -> Collection[str]:  # noqa: ARG002
        """The file, if it was made for this."""
        return (self.path,) if self.create else ()

    def excludes(self) -> Sequence[str]:
        """A resource that says all of its content."""
        return (f"content:{self.path}",)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The file, or the nearest managed directory above it."""
        return ((f"path:{self.path}", *ancestors(self.path)),)

    def host_refreshes(self) -> Sequence[str]:
        """A daemon-reload for a unit file or drop-in."""
        return unit_file_refreshes(self.path)

    def secret_fields(self) -> Sequence[str]:
        """What is edited, when it is sensitive."""
        return [name for name in self.says if getattr(self, name) is not None] if self.sensitive else ()

    def desired(self, observed: State) -> State:  # noqa: ARG002  (it was resolved when it was observed)
        """The edit in words."""
        return {"content": self._shown(self.goal)}

    def observe(self, host: HostView) -> State:
        """What the file says of it."""
        return {"content": self._shown(self._observed(self._read(host)))}

    def _observed(self, text: str | None) -> str:
        if text is None:
            return self.goal if self.ensure == "absent" else _NO_FILE
        if self.edited(text) == text:
            return self.goal
        found = self.found(text)
        return found if found != self.goal else f"{found}, in another place"

    def _shown(self, words: str) -> str:
        if not self.sensitive or words in (self.missing, _NO_FILE):
            return words
        return SECRET if words == self.goal else ANOTHER

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """Each file once, with all edits of it."""
        results: list[ResourceError | None] = [None] * len(steps)
        files: defaultdict[str, list[int]] = defaultdict(list)
        for index, (edit, _) in enumerate(steps):
            files[edit.path].append(index)
        staged: dict[str, Staged] = {}
        for path, indices in files.items():
            try:
                written = _staged(host, [steps[index][0] for index in indices])
                if written is not None:
                    staged[path] = written
            except ResourceError as error:
                for index in indices:
                    results[index] = error
        for path, result in zip(staged, host.files.publish(list(staged.values())), strict=True):
            for index in files[path]:
                results[index] = result
        return results

    def contents(self, host: HostView, drift: Drift) -> tuple[bytes, bytes] | None:  # noqa: ARG002
        """The file before and after this edit; None for secrets."""
        if self.sensitive:
            return None
        text = self._read(host) or ""
        return text.encode(errors="surrogateescape"), self.edited(text).encode(errors="surrogateescape")

    def undo(self, prior: State) -> Self | None:
        """What was not there before is taken out again; a file that was made for it goes when nothing is left in it."""
        if self.ensure == "present" and prior.get("content") in (self.missing, _NO_FILE):
            return replace(self, ensure="absent", create=prior.get("content") == _NO_FILE)
        return None

    def recover(self, host: Host) -> None:
        """Remove a temporary file."""
        host.files.sweep(self.path)

    def _read(self, host: HostView) -> str | None:
        found = host.files.lstat(self.path)
        if found is None:
            return None
        if found.type == "symlink":
            target = host.files.readlink(self.path)
            raise ResourceError(f"{self.path} is a link to {target}; edit the file that it leads to")
        if found.type != "file":
            raise ResourceError(f"{self.path} is a {found.type}, and only a file can be edited")
        data = host.files.read(self.path, _LIMIT)
        if b"\0" in data:
            raise ResourceError(f"{self.path} is no text that can be edited: it holds NUL bytes, or is UTF-16")
        return data.decode(errors="surrogateescape")


def _staged(host: Host, edits: Sequence[Edit]) -> Staged | None:
    """A file with all edits of it, valid for each of them; None when nothing is left of one that was made for them."""
    path, files = edits[0].path, host.files
    found = files.lstat(path)
    text = edits[0]._read(host)  # noqa: SLF001  (one of them)
    if found is None and not any(edit.create for edit in edits):
        raise ResourceError(f"there is no file {path} to edit; declare file:{path}, or set create: true")
    text = text or ""
    for edit in edits:
        text = edit.edited(text)
    if not text and all(edit.ensure == "absent" and edit.create for edit in edits):
        files.unlink(path)
        return None
    new_mode = SECRET_FILE if any(edit.sensitive for edit in edits) else NEW_FILE
    mode, owner = (new_mode, (-1, -1)) if found is None else (found.mode, (found.uid, found.gid))
    staged = files.stage(path, text.encode(errors="surrogateescape"), mode=mode, owner=owner)
    try:
        _check(host, staged, edits)
        if any(edit.backup for edit in edits):
            files.keep(path)
    except ResourceError:
        files.discard(staged)
        raise
    return staged


def _check(host: Host, staged: Staged, edits: Sequence[Edit]) -> None:
    temporary = host.root.rstrip("/") + staged.temporary
    for command in dict.fromkeys(edit.validate for edit in edits if edit.validate):
        try:
            host.run(*(word.replace("%s", temporary) for word in command))
        except ResourceError as error:
            secret = any(edit.sensitive for edit in edits)
            said = "what it said is not shown, for the content is sensitive" if secret else str(error)
            raise ResourceError(
                f"{staged.target} is left as it was, for its validate command failed: {said}"
            ) from error
