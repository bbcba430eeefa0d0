"""The daemon's own code on disk: an upgrade replaces it, and the daemon goes on as the new one, its socket still open."""

from __future__ import annotations

import os
import socket
import sys
import time

import agent
from agent.daemon.wake import hold_signals

SETTLED_SECONDS = 3.0  # an upgrade replaces file by file; after this long it is through
_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3), whose convention this is


def own_command(*arguments: str) -> list[str]:
    """The command that runs another verb with the interpreter, flags and code that we run with."""
    return [*sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1], *arguments]


class Code:
    """Which code we run, and whether it is still the one on disk."""

    def __init__(self) -> None:
        self._path = str(agent.__file__)
        self._running = self._identity(os.stat(self._path))
        self.held_back = False  # the new code could not start; it is not tried again until the settings are read again

    def replaced(self) -> bool:
        """Tell whether other code is there, whole."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return False  # in the middle of an upgrade, or of a removal
        settled = time.time() - found.st_ctime > SETTLED_SECONDS
        return not self.held_back and settled and self._identity(found) != self._running

    @staticmethod
    def _identity(found: os.stat_result) -> tuple[int, int]:
        """Every upgrade replaces the file that has the version."""
        return found.st_mtime_ns, found.st_ino

    def go_on_as_new(self, server: socket.socket) -> None:
        """Execute our own command again; who connects meanwhile waits in the socket, and signals wait for us."""
        hold_signals()
        os.dup2(server.fileno(), _FIRST_INHERITED)
        os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        os.execv(sys.executable, own_command(*sys.argv[1:]))  # noqa: S606  (our own command again)

    @staticmethod
    def inherited_socket(path: str) -> socket.socket | None:
        """The control socket at this path of the daemon that we were before; None in one that was just started."""
        if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
            return None
        del os.environ["LISTEN_FDS"]
        os.set_inheritable(_FIRST_INHERITED, False)
        server = socket.socket(fileno=_FIRST_INHERITED)
        if server.getsockname() != path:
            server.close()  # the settings say another place now
            return None
        server.setblocking(False)
        return server
