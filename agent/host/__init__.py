"""The host: what it shows, and what may be done to it.

`LocalView` has no way to change anything, so a plan made with it is honest by type; `LocalHost` adds the ways.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property

from agent.host.accounts import LocalAccounts
from agent.host.backups import Backups
from agent.host.engine_choice import EngineChoice
from agent.host.files import LocalFiles, LocalFileView
from agent.host.ledger import Ledger
from agent.host.walk import Walk
from modules.api import Completed, Content, Engine, EngineView, Repair, ResourceError

_LOOK_SECONDS = 0.2  # how often what is waited for is looked at
_ANY = EngineChoice()


def no_blob(blob: str) -> bytes:
    """The reader of a host that has no repository behind it."""
    raise ResourceError(f"the content {blob} is not at hand: this host was opened without a repository")


class LocalView:
    """This machine, or another root on it, to be looked at (modules.api.HostView)."""

    def __init__(
        self,
        root: str = "/",
        read_blob: Callable[[str], bytes] = no_blob,
        engine: EngineChoice = _ANY,
        ledger: Ledger | None = None,
    ) -> None:
        """`read_blob` gives the bytes of an object of the repository."""
        self._prefix = os.path.realpath(root).rstrip("/")
        self._read_blob = read_blob
        self._engine_choice = engine
        self._walk = Walk(self._prefix)
        self._ledger = ledger or Ledger()
        self._view = LocalFileView(self._walk, self._ledger)
        self._accounts = LocalAccounts(self._prefix, self._view)

    @property
    def root(self) -> str:
        """The root all paths are in."""
        return self._prefix or "/"

    @property
    def files(self) -> LocalFileView:
        """Its files; asking for them again looks again where each directory is."""
        self._walk.renew()
        return self._view

    @property
    def accounts(self) -> LocalAccounts:
        """Its users and groups."""
        return self._accounts

    @property
    def engine(self) -> EngineView:
        """Its container engine; raises Unsupported when there is none."""
        return self._engine

    def probe(self, *argv: str, accept: Sequence[int] = (0,), timeout_seconds: float = 60) -> Completed:
        """Run a command that only reads. Raises ResourceError when its status is not accepted or it overruns."""
        from agent.host import commands

        return commands.probe(commands.Command(argv, accept, timeout_seconds))

    def journal(self, unit: str, *, since: float = 0, lines: int = 10) -> Sequence[str]:
        """The last lines of a unit's journal. Raises ResourceError."""
        from agent.host.journal import last_lines

        return last_lines(unit, since, lines)

    def content(self, content: Content) -> bytes:
        """The bytes of a content; looking fetches nothing, so one from a URL raises ResourceError."""
        if content.missing:
            raise ResourceError(content.missing)
        if content.data is not None:
            return content.data
        if content.url is not None:
            raise ResourceError(f"{content.url} is not fetched before it is applied")
        if content.blob is None:
            raise ResourceError(f"only the digest {content.digest} is remembered of this content, not its bytes")
        return self._read_blob(content.blob)

    @cached_property
    def _engine(self) -> Engine:
        from agent.host.engine import open_engine

        return open_engine(self._engine_choice)


class LocalHost(LocalView):
    """The same, to be changed (modules.api.Host)."""

    def __init__(
        self,
        root: str = "/",
        read_blob: Callable[[str], bytes] = no_blob,
        engine: EngineChoice = _ANY,
        ledger: Ledger | None = None,
        state_dir: str = "",
        given_up: Callable[[], str] = lambda: "",
    ) -> None:
        """As a view; `state_dir` is where backups and what is being fetched are kept private (empty: nowhere).

        `given_up` is asked while others are waited for: why that is to end, or nothing.
        """
        super().__init__(root, read_blob, engine, ledger)
        self._state_dir, self._given_up = state_dir, given_up
        self._backups = Backups(os.path.join(state_dir, "backups") if state_dir else "")
        self._repaired: set[tuple[str, ...]] = set()
        self.repairs: list[Repair] = []  # those of this pass that nobody has told yet
        self.notices: list[str] = []
        self._files = LocalFiles(self._walk, self._ledger, self._backups, self.notices.append)

    @property
    def files(self) -> LocalFiles:
        """Its files, writable; asking for them again looks again where each directory is."""
        self._walk.renew()
        return self._files

    @property
    def engine(self) -> Engine:
        """Its container engine; raises Unsupported when there is none."""
        return self._engine

    def note(self, message: str) -> None:
        """Say what a person should know of a pass, though nothing failed."""
        self.notices.append(message)

    def stream(self, content: Content) -> Iterator[bytes]:
        """The bytes of a content in parts; ResourceError at the end at the latest when they are not what was named."""
        if not (content.url or content.data is not None or content.blob or content.missing):
            return self._backups.parts(content.digest)
        if content.url is None:
            return iter((self.content(content),))
        from agent.host import downloads

        local = downloads.local_path(content.url)
        parts = self.files.chunks(local) if local else downloads.download(content.url)
        return downloads.verified(parts, content)

    def fetch(self, content: Content, name: str) -> AbstractContextManager[str]:
        """A private file of this machine with the bytes of a content, complete and verified; gone after the `with`."""
        from agent.host import downloads

        return downloads.fetched(self.stream(content), self._state_dir, name)

    def run(self, *argv: str, accept: Sequence[int] = (0,), timeout_seconds: float = 300, stdin: str = "") -> Completed:
        """Run a command that may change the host. Raises ResourceError when its status is not accepted."""
        from agent.host import commands

        try:
            return commands.run(commands.Command(argv, accept, timeout_seconds, stdin))
        finally:
            self._accounts.forget()

    def run_job(self, *argv: str, timeout_seconds: float) -> None:
        """Run a command that has another program do something and waits for it. Raises ResourceError, also Interrupted."""
        from agent.host import commands

        try:
            commands.run_job(commands.Command(argv, (0,), timeout_seconds), self._given_up)
        finally:
            self._accounts.forget()

    def http(self, url: str, timeout_seconds: float) -> tuple[int, str]:
        """The status and the first 64 KiB that a URL answers with."""
        from agent.host import reach

        return reach.http(url, timeout_seconds)

    def connect(self, address: str, timeout_seconds: float) -> None:
        """Open a connection to `HOST:PORT` and close it."""
        from agent.host import reach

        reach.connect(address, timeout_seconds)

    def watch(self, *argv: str, timeout_seconds: float) -> None:
        """Run a command that somebody declared as a check."""
        from agent.host import commands

        commands.run(commands.Command(argv, (0,), timeout_seconds))

    def repair(self, what: str, *argv: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
        """Repair the host itself by a command, once in the life of this object (a pass); see `repairs`."""
        if argv in self._repaired:
            raise ResourceError(f"{what}, and {' '.join(argv)} has not mended it in this pass; look at it by hand")
        self._repaired.add(argv)
        completed = self.run_detached(*argv, env=env, timeout_seconds=timeout_seconds)
        self.repairs.append(Repair(what, " ".join(argv), completed.status))
        return completed

    def wait_until(self, holds: Callable[[], bool], timeout_seconds: float) -> bool:
        """Ask again and again until it holds or the time is over; tell which."""
        deadline = time.monotonic() + timeout_seconds
        while not (found := holds()) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return found

    def run_detached(self, *argv: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
        """Run a command that must end even when the agent is stopped or upgraded meanwhile (a package transaction)."""
        from agent.host import commands

        scope = not self._prefix and os.geteuid() == 0 and os.path.isdir("/run/systemd/system")
        try:
            return commands.run_detached(argv, env, timeout_seconds, scope=scope)
        finally:
            self._accounts.forget()
