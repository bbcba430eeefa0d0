"""A small machine in memory: files with times, and programs that change them. No list of expected calls.

It is a Host (modules.api); its clock only moves when something changes, and a probe may only run what is known to read.
"""
# Over 300 lines because it is the whole contract of a host once more, read in one piece.

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from agent.host.commands import reads_only
from modules.api import (
    NO_XATTRS,
    Completed,
    Content,
    Engine,
    Interrupted,
    Repair,
    ResourceError,
    Staged,
    Stat,
    Unsupported,
    Xattrs,
)
from tests.unit.fake_accounts import FakeAccounts

Program = Callable[[Sequence[str]], Completed]
_AGE_SECONDS = 3600  # how long ago the machine was made, until its clock is put to now
_DEFAULT_MODES = {"directory": 0o755, "symlink": 0o777}


@dataclass
class Entry:
    """What is at one path."""

    type: str = "file"
    data: bytes = b""  # of a link, its target
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0


@dataclass
class FakeFiles:
    """Files by path; every change takes a tick of the clock, as a real one has a time of its own."""

    now_ns: int = field(default_factory=lambda: time.time_ns() - _AGE_SECONDS * 10**9)
    entries: dict[str, Entry] = field(default_factory=lambda: {"/": Entry("directory", mode=0o755)})

    def tick(self, seconds: float = 0.001) -> int:
        """Let time pass; the new time."""
        self.now_ns += int(seconds * 1e9)
        return self.now_ns

    def put_clock_to_now(self) -> None:
        """End the making of the machine: what there is, is old."""
        self.tick(_AGE_SECONDS)

    def put(self, path: str, data: bytes | str = b"", *, kind: str = "file", mtime_ns: int | None = None) -> Entry:
        """Put something at a path, whatever was there; missing parents are made."""
        parent = path.rpartition("/")[0] or "/"
        if parent not in self.entries:
            self.put(parent, kind="directory")
        now = self.tick()
        raw = data.encode() if isinstance(data, str) else data
        entry = Entry(kind, raw, _DEFAULT_MODES.get(kind, 0o644), mtime_ns=mtime_ns or now, ctime_ns=now, inode=now)
        if path not in self.entries:
            self.entries[parent] = replace(self.entries[parent], mtime_ns=now, ctime_ns=now)
        self.entries[path] = entry
        return entry

    def drop(self, path: str) -> None:
        """Remove what is at a path, and all below it."""
        parent = path.rpartition("/")[0] or "/"
        now = self.tick()
        self.entries[parent] = replace(self.entries[parent], mtime_ns=now, ctime_ns=now)
        self.entries = {at: entry for at, entry in self.entries.items() if at != path and not at.startswith(path + "/")}

    # modules.api.FileView

    def lstat(self, path: str) -> Stat | None:
        entry = self.entries.get(path)
        if entry is None:
            return None
        uid, gid = entry.owner
        return Stat(
            entry.type, entry.mode, uid, gid, len(entry.data), 1, entry.inode, 1, entry.mtime_ns, entry.ctime_ns
        )

    def read(self, path: str, limit: int = 64 << 20) -> bytes:
        entry = self.entries.get(path)
        if entry is None or entry.type != "file" or len(entry.data) > limit:
            raise ResourceError(f"cannot read {path}")
        return entry.data

    def digest(self, path: str, found: Stat | None = None) -> str:
        return hashlib.sha256(self.read(path)).hexdigest()

    def xattr(self, path: str, name: str) -> bytes | None:
        raise Unsupported("this file system keeps no extended attributes")

    def default_label(self, path: str, form: str) -> str | None:
        return None

    def flags(self, path: str) -> int:
        raise Unsupported("this file system keeps no flags")

    def readlink(self, path: str) -> str:
        return self.entries[path].data.decode()

    def listdir(self, path: str) -> Sequence[str]:
        prefix = path.rstrip("/") + "/"
        return sorted(
            at[len(prefix) :] for at in self.entries if at.startswith(prefix) and "/" not in at[len(prefix) :]
        )

    def below(self, path: str, skip: Callable[[str], bool]) -> Iterator[tuple[str, Stat]]:
        prefix = path.rstrip("/") + "/"
        for at in sorted(at for at in self.entries if at.startswith(prefix) and at != prefix):
            parts = at[len(prefix) :].split("/")
            found = self.lstat(at)
            if found and not any(skip("/".join(parts[:count])) for count in range(1, len(parts) + 1)):
                yield "/".join(parts), found

    # modules.api.Files

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
        temporary = path + ".staged"
        self.put(temporary, data if isinstance(data, bytes) else b"".join(data))
        self.set_mode(temporary, mode)
        self.set_owner(temporary, *owner)
        return Staged(path, temporary, self.lstat(path))

    def discard(self, staged: Staged) -> None:
        self.drop(staged.temporary)

    def publish(self, staged: Sequence[Staged]) -> list[ResourceError | None]:
        for one in staged:
            self.entries[one.target] = self.entries.pop(one.temporary)
        return [None for _ in staged]

    def set_owner(self, path: str, uid: int, gid: int) -> None:
        self.entries[path] = replace(self.entries[path], owner=(uid, gid), ctime_ns=self.tick())

    def set_mode(self, path: str, mode: int) -> None:
        self.entries[path] = replace(self.entries[path], mode=stat.S_IMODE(mode), ctime_ns=self.tick())

    def set_xattr(self, path: str, name: str, value: bytes | None) -> None:
        raise Unsupported("this file system keeps no extended attributes")

    def set_flags(self, path: str, flags: int) -> None:
        raise Unsupported("this file system keeps no flags")

    def keep(self, path: str) -> None:
        raise Unsupported("this machine keeps no backups")

    def make_directory(self, path: str, *, mode: int, owner: tuple[int, int], xattrs: Xattrs = NO_XATTRS) -> None:
        self.put(path, kind="directory")
        self.set_mode(path, mode)
        self.set_owner(path, *owner)

    def make_symlink(self, path: str, target: str) -> None:
        self.put(path, target, kind="symlink")

    def unlink(self, path: str) -> None:
        if path in self.entries:
            self.drop(path)

    def remove_directory(self, path: str, *, recursive: bool = False) -> None:
        if self.listdir(path) and not recursive:
            raise ResourceError(f"{path} is not empty")
        self.drop(path)

    def sweep(self, path: str) -> None:
        self.unlink(path + ".staged")


class FakeHost:
    """The machine. Programs are added by what models them: fake_apt, fake_systemd."""

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self.files = FakeFiles()
        self.accounts = FakeAccounts()
        self.programs: dict[str, Program] = {"touch": self._touch}
        self.journals: dict[str, list[str]] = {}  # lines by unit
        self.written: dict[str, float] = {}  # when lines were written, by the monotonic clock
        self.inputs: list[str] = []  # what was given to the standard input of commands
        self.history: list[str] = []  # every command that was run, for counting them
        self.notices: list[str] = []
        self.endings: list[Callable[[], object]] = []  # what happens, one after another, while something is waited for
        self.environments: list[Mapping[str, str]] = []
        self.containers: Engine | None = None
        self.repairs: list[Repair] = []
        self.answers: dict[str, tuple[int, str]] = {}  # status and text, by URL
        self.listening: set[str] = set()  # HOST:PORT
        self.hangs: Callable[[], bool] = lambda: False  # whether the job that was begun has not ended yet
        self.given_up = ""  # why a job that hangs is not waited for
        self.read: Callable[[str], bytes] = dict[str, bytes]().__getitem__  # what is behind a content's `blob`

    @property
    def engine(self) -> Engine:
        if self.containers is None:
            raise Unsupported("no container engine on this machine")
        return self.containers

    def probe(self, *argv: str, accept: Sequence[int] = (0,), timeout_seconds: float = 60) -> Completed:
        assert reads_only(argv), f"{argv} does not only read"
        before = dict(self.files.entries)
        completed = self._execute(argv, accept)
        assert self.files.entries == before, f"{argv} changed files"
        return completed

    def journal(self, unit: str, *, since: float = 0, lines: int = 10) -> Sequence[str]:
        return [line for line in self.journals.get(unit, []) if since <= self.written.get(line, since)][-lines:]

    def run(self, *argv: str, accept: Sequence[int] = (0,), timeout_seconds: float = 300, stdin: str = "") -> Completed:
        self.inputs += [stdin] if stdin else []
        return self._execute(argv, accept)

    def run_job(self, *argv: str, timeout_seconds: float) -> None:
        self._execute(argv, (0,))
        if self.given_up and self.hangs():
            raise Interrupted(f"{' '.join(argv)} goes on: {self.given_up}")

    def wait_until(self, holds: Callable[[], bool], timeout_seconds: float) -> bool:
        if self.endings:
            self.endings.pop(0)()
        return any(holds() for _ in range(3))

    def run_detached(self, *argv: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
        self.environments.append(env)
        return self._execute(argv, range(256))

    def repair(self, what: str, *argv: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
        if any(repair.command == " ".join(argv) for repair in self.repairs):
            raise ResourceError(f"{what}, and it was mended already")
        completed = self._execute(argv, range(256))
        self.repairs.append(Repair(what, " ".join(argv), completed.status))
        return completed

    # modules.api.Watcher

    def http(self, url: str, timeout_seconds: float) -> tuple[int, str]:
        if url not in self.answers:
            raise ResourceError(f"{url} does not answer: connection refused")
        return self.answers[url]

    def connect(self, address: str, timeout_seconds: float) -> None:
        if address not in self.listening:
            raise ResourceError(f"nothing accepts connections at {address}: connection refused")

    def watch(self, *argv: str, timeout_seconds: float) -> None:
        self._execute(argv, (0,))

    def content(self, content: Content) -> bytes:
        if content.missing or not (content.data is not None or content.blob):
            raise ResourceError(content.missing or "this machine keeps no backups")
        return self.read(content.blob) if content.blob else content.data or b""

    def note(self, message: str) -> None:
        self.notices.append(message)

    def stream(self, content: Content) -> Iterator[bytes]:
        return iter((self.content(content),))

    @contextmanager
    def fetch(self, content: Content, name: str) -> Iterator[str]:
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, name)
            with open(path, "wb") as file:
                file.writelines(self.stream(content))
            yield path

    def count(self, words: str) -> int:
        """How many commands with these words were run."""
        return sum(words in line for line in self.history)

    def _execute(self, argv: Sequence[str], accept: Sequence[int]) -> Completed:
        self.history.append(" ".join(argv))
        program = self.programs.get(argv[0])
        if program is None:
            raise Unsupported(f"{argv[0]} is not installed on this host")
        completed = program(argv[1:])
        if completed.status not in accept:
            raise ResourceError(f"{' '.join(argv)} failed with status {completed.status}: {completed.stderr}")
        return completed

    def _touch(self, words: Sequence[str]) -> Completed:
        for path in words:
            if path != "--":
                self.files.put(path)
        return Completed(0, "", "")
