"""The daemon decides only when: timers, signals and requests ask for passes; each pass is a child process.

One loop waits for everything. What is alive is the loop: the watchdog is fed by its turns and by nothing else.
"""

from __future__ import annotations

import os
import selectors
import signal
import time

from agent import __version__
from agent.daemon.clients import Clients
from agent.daemon.code import Code
from agent.daemon.control import listen
from agent.daemon.edits import Edits
from agent.daemon.news import say
from agent.daemon.notify import Notifier, one_line
from agent.daemon.passes import Passes
from agent.daemon.reading import load_apart
from agent.daemon.schedule import Schedule
from agent.daemon.wake import Wake
from agent.errors import ConfigInvalid
from agent.settings import Settings
from agent.status import write_status


class Daemon:
    """The loop and what it waits for."""

    def __init__(self, config: str) -> None:
        self._config, self._edits = config, Edits(config)
        self.settings = self._read_settings()
        self._runtime_dir = self.settings.runtime_dir
        self._selector = selectors.DefaultSelector()
        self._notifier = Notifier()
        self._wake = Wake()
        self._schedule = Schedule(self._wake.post)
        self._clients = Clients(self._selector, self._serve)
        self._passes = Passes(self._selector, self._clients, self._schedule.once)
        self._code = Code()
        self._started_at = round(time.time(), 3)
        self._stopping = False
        self._shown: dict[str, object] = {}

    def run(self) -> int:
        """Run until SIGTERM; the exit status."""
        self._open()
        self._passes.ask("start")
        while not self._stopping or self._passes.running:
            self._go_on_as_new_code()
            if self._edits.changed():
                self._reload()
            self._passes.begin(self.settings)
            self._say()
            for key, events in self._selector.select(self._wait_seconds()):
                key.data(events)
            self._passes.check()
            self._clients.check()
            self._schedule.check()
        self._close()
        return 0

    def _wait_seconds(self) -> float | None:
        watchdog = self._notifier.watchdog_seconds
        bounds = [watchdog / 2 if watchdog else None, self._passes.seconds_left(), self._clients.seconds_left()]
        return min((bound for bound in bounds if bound is not None), default=None)

    # Start and end

    def _open(self) -> None:
        os.makedirs(self._runtime_dir, mode=0o755, exist_ok=True)
        path = self._path("control.sock")
        self._server = self._code.inherited_socket(path) or listen(path)
        self._selector.register(self._server, selectors.EVENT_READ, lambda _: self._clients.accept(self._server))
        self._selector.register(self._wake, selectors.EVENT_READ, lambda _: self._turn_to_signals())
        self._wake.listen_to_signals()
        self._schedule.start(self.settings.poll_interval, self.settings.drift_interval)
        self._notifier.say("READY=1")

    def _close(self) -> None:
        self._notifier.say("STOPPING=1")
        self._schedule.stop()
        self._clients.close()
        self._server.close()
        for name in ("control.sock", "daemon.json"):
            if os.path.lexists(self._path(name)):
                os.unlink(self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._runtime_dir, name)

    # What asks for something

    def _turn_to_signals(self) -> None:
        for asked in self._wake.taken():
            if isinstance(asked, str):
                self._passes.ask(asked)
            elif asked in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif asked == signal.SIGHUP:
                self._reload()

    def _serve(self, forced: bool) -> None:
        """A client asks for a pass."""
        self._passes.ask("forced" if forced else "sync")

    def _stop(self) -> None:
        self._stopping = True
        self._clients.refuse("the agent is stopping")
        self._passes.stop()

    def _reload(self) -> None:
        self._notifier.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._edits.note()
        try:
            self.settings = self._read_settings()
        except ConfigInvalid as error:
            self._code.held_back = True
            self._passes.problem = str(error)
            say("settings_refused", f"the settings are not taken, the old ones stay: {error}")
        else:
            self._code.held_back = False
            self._schedule.set(self.settings.poll_interval, self.settings.drift_interval)
            say("settings_taken", "the settings were read again")
            self._passes.ask("start")
        self._notifier.say("READY=1")

    def _read_settings(self) -> Settings:
        """Raises ConfigInvalid, also when there is no repository to follow."""
        settings = load_apart(self._config)
        if not settings.repository:
            raise ConfigInvalid(
                f"no repository is configured in {self._config}", "write `repository: URL` into agent.yaml there"
            )
        return settings

    def _go_on_as_new_code(self) -> None:
        """After an upgrade, between passes and with nobody waiting: nothing is lost but what the first pass looks at anyway."""
        if self._stopping or self._passes.running or self._clients.present or not self._code.replaced():
            return
        try:
            self._read_settings()  # what replaces us would end on bad ones
        except ConfigInvalid as error:
            self._code.held_back = True
            say("settings_refused", f"the agent was upgraded, but goes on as the old one: {error}")
            return
        say("replaced", "the agent's code was replaced; going on as the new one")
        self._schedule.stop()
        self._code.go_on_as_new(self._server)

    # What others see

    def _say(self) -> None:
        """Feed the watchdog and show the daemon's own state, once a turn."""
        self._notifier.say("WATCHDOG=1", f"STATUS={self._passes.status_line}")
        shown = {
            "pid": os.getpid(),
            "version": __version__,
            "started_at": self._started_at,
            "next_poll": self._schedule.next("poll"),
            "next_drift": self._schedule.next("drift"),
            "last_error": one_line(self._passes.problem),
        }
        if shown != self._shown:
            write_status(self._path("daemon.json"), shown)
            self._shown = shown
