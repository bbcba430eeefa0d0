"""The host: what it shows, and what may be done to it.

`LocalView` has no way to change anything, so a plan made with it is honest by type; `LocalHost` adds the ways.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from agent.host.accounts import LocalAccounts
from agent.host.files import LocalFiles, LocalFileView
from agent.host.walk import Walk
from modules.api import Completed, Content, Engine, EngineView, ResourceError

_LOOK_SECONDS = 0.2  # how often what is waited for is looked at


def no_blob(blob: str) -> bytes:
    """The reader of a host that has no repository behind it."""
    raise ResourceError(f"the content {blob} is not at hand: this host was opened without a repository")


class LocalView:
    """This machine, or another root on it, to be looked at (modules.api.HostView)."""

    def __init__(self, root: str = "/", read_blob: Callable[[str], bytes] = no_blob, engine_socket: str = "") -> None:
        """`read_blob` gives the bytes of an object of the repository; `engine_socket` is empty for the usual ones."""
        self._prefix = os.path.realpath(root).rstrip("/")
        self._read_blob = read_blob
        self._engine_socket = engine_socket
        self._walk = Walk(self._prefix)
        self._view = LocalFileView(self._walk)
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

    def content(self, content: Content) -> bytes:
        """The bytes of a content."""
        if content.missing:
            raise ResourceError(content.missing)
        if content.data is not None:
            return content.data
        if content.blob is None:
            raise ResourceError(f"only the digest {content.digest} is remembered of this content, not its bytes")
        return self._read_blob(content.blob)

    @cached_property
    def _engine(self) -> Engine:
        from agent.host.engine import open_engine

        return open_engine(self._engine_socket)


class LocalHost(LocalView):
    """The same, to be changed (modules.api.Host)."""

    def __init__(self, root: str = "/", read_blob: Callable[[str], bytes] = no_blob, engine_socket: str = "") -> None:
        super().__init__(root, read_blob, engine_socket)
        self._files = LocalFiles(self._walk)

    @property
    def files(self) -> LocalFiles:
        """Its files, writable; asking for them again looks again where each directory is."""
        self._walk.renew()
        return self._files

    @property
    def engine(self) -> Engine:
        """Its container engine; raises Unsupported when there is none."""
        return self._engine

    def run(self, *argv: str, accept: Sequence[int] = (0,), timeout_seconds: float = 300, stdin: str = "") -> Completed:
        """Run a command that may change the host. Raises ResourceError when its status is not accepted."""
        from agent.host import commands

        try:
            return commands.run(commands.Command(argv, accept, timeout_seconds, stdin))
        finally:
            self._accounts.forget()

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
