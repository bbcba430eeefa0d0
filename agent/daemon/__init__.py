"""The daemon decides only when: timers, signals and requests ask for passes; each pass is a child process.

One loop waits for everything. What is alive is the loop: the watchdog is fed by its turns and by nothing else.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from agent.daemon.child import Child, own_command
from agent.daemon.control import MAX_CLIENTS, Client, listen
from agent.daemon.notify import Notifier
from agent.daemon.schedule import BackOff, Schedule
from agent.errors import AgentError, ConfigInvalid
from agent.settings import Settings, load

PRIORITY = ("sync", "start", "drift", "poll")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def load_apart(directory: str) -> Settings:
    """Read the settings in a child process: the YAML library would stay in ours for ever. Raises ConfigInvalid."""
    from agent.source.isolated import Died, Overdue, run_isolated

    def read(_alive: Callable[[], None]) -> dict[str, Any]:
        try:
            return {"settings": asdict(load(directory))}
        except AgentError as error:
            return {"error": str(error)}

    try:
        answer = run_isolated(read, 30)
    except (Died, Overdue) as error:
        raise ConfigInvalid(f"the settings in {directory} cannot be read: {error}") from error
    if "error" in answer:
        raise ConfigInvalid(answer["error"])
    return Settings(**answer["settings"])


class Daemon:
    """The loop and what it waits for."""

    def __init__(self, config: str) -> None:
        self._config = config
        self.settings = load_apart(config)
        self._notifier = Notifier()
        self._back_off = BackOff()
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._schedule = Schedule(self._post)
        self._due: set[str] = set()
        self._child: Child | None = None
        self._stopping = False
        self._state: dict[str, Any] = {"pid": os.getpid(), "started_at": round(time.time(), 3), "last_error": ""}
        self._code = _code()

    def run(self) -> int:
        """Run until SIGTERM; the exit status."""
        if not self.settings.repository:
            raise ConfigInvalid(
                f"no repository is configured in {self._config}", "write `repository: URL` into agent.yaml there"
            )
        server = self._open()
        self._request("start")
        while not self._stopping or self._child is not None:
            self._next_pass()
            self._say()
            for key, _ in self._selector.select(self._wait_seconds()):
                self._turn(key, server)
            if self._child is not None:
                self._child.check_deadline()
        self._close(server)
        return 0

    # Start and end

    def _open(self) -> socket.socket:
        os.makedirs(self.settings.runtime_dir, mode=0o755, exist_ok=True)
        server = listen(os.path.join(self.settings.runtime_dir, "control.sock"))
        for part in (self._wake_reader, self._wake_writer):
            part.setblocking(False)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda _number, _frame: None)  # the wake-up descriptor carries the number
        self._selector.register(server, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._schedule.start(self.settings.poll_interval, self.settings.drift_interval)
        self._notifier.say("READY=1")
        return server

    def _close(self, server: socket.socket) -> None:
        self._notifier.say("STOPPING=1")
        self._schedule.stop()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, Client):
                key.fileobj.close()
        server.close()
        for name in ("control.sock", "daemon.json"):
            _remove(os.path.join(self.settings.runtime_dir, name))

    # One turn

    def _turn(self, key: selectors.SelectorKey, server: socket.socket) -> None:
        if key.fileobj is server:
            self._accept(server)
        elif key.fileobj is self._wake_reader:
            self._wake()
        elif isinstance(key.fileobj, Child):
            self._listen(key.fileobj)
        elif isinstance(key.fileobj, Client):
            self._serve(key.fileobj)

    def _wait_seconds(self) -> float | None:
        bounds = [self._notifier.watchdog_seconds / 2] if self._notifier.watchdog_seconds else []
        if self._child is not None:
            bounds.append(self._child.seconds_left())
        return min(bounds) if bounds else None

    def _post(self, reason: str) -> None:
        """Called by a timer in its own thread: only wakes the loop."""
        self._wake_writer.send(bytes([128 + PRIORITY.index(reason)]))

    def _wake(self) -> None:
        for number in self._wake_reader.recv(4096):
            if number >= 128:
                self._timer(PRIORITY[number - 128])
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP:
                self._reload()

    def _timer(self, reason: str) -> None:
        if reason == "poll" and self._back_off.holds:
            return
        self._request(reason)

    def _request(self, reason: str) -> None:
        if not self._stopping:
            self._due.add(reason)

    def _stop(self) -> None:
        self._stopping = True
        self._due.clear()
        if self._child is not None:
            self._child.ask_to_stop()

    def _reload(self) -> None:
        self._notifier.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = load_apart(self._config)
        except ConfigInvalid as error:
            _log(f"the settings are not taken: {error}; the old ones stay")
            self._state["last_error"] = str(error)
        else:
            self.settings = settings
            self._schedule.set(settings.poll_interval, settings.drift_interval)
            _log("the settings were read again")
            self._request("start")
        self._notifier.say("READY=1")

    # Passes

    def _next_pass(self) -> None:
        if self._child is not None or self._stopping:
            return
        if not self._due:
            self._exec_when_replaced()
            return
        reason = next(reason for reason in PRIORITY if reason in self._due)
        self._due -= {"poll", "drift", "start", "sync"} if reason in ("sync", "start") else {reason}
        command = own_command("pass", "--reason", reason, "--config", self._config)
        self._child = Child(reason, command, self.settings.pass_deadline)
        self._selector.register(self._child, selectors.EVENT_READ)
        for client in self._clients():
            client.watching = client.waiting

    def _listen(self, child: Child) -> None:
        events, ended = child.events()
        for event in events:
            self._tell(event)
        if ended:
            self._selector.unregister(child)
            self._conclude(child, child.wait())
            self._child = None

    def _conclude(self, child: Child, status: int) -> None:
        report = child.report
        if not report:
            what = (
                "overran its deadline and was ended" if child.overran else f"ended with status {status} and no report"
            )
            report = {
                "event": "report",
                "verdict": "CRITICAL",
                "exit": 1,
                "summary": f"the {child.reason} pass {what}",
                "retry": "",
            }
            _log(report["summary"])
            self._tell(report)
        if report.get("retry") == "BACK_OFF":
            self._back_off.failed()
        elif child.reason != "drift":
            self._back_off.succeeded()
        failed = report["event"] == "report" and report.get("exit") == 1
        self._state["last_error"] = str(report["summary"]) if failed else ""
        self._state["last_error_at"] = round(time.time(), 3) if failed else 0
        if report["event"] == "report":
            self._state["summary"] = f"{report['verdict']}: {report['summary']}"

    def _exec_when_replaced(self) -> None:
        """Go on as the new code after an upgrade: between passes, and with nobody waiting."""
        if _code() != self._code and not self._clients():
            _log("the agent's code was replaced; going on as the new one")
            self._schedule.stop()
            os.execv(sys.executable, own_command(*sys.argv[1:]))  # noqa: S606  (our own command again)

    # Clients

    def _clients(self) -> list[Client]:
        return [key.fileobj for key in self._selector.get_map().values() if isinstance(key.fileobj, Client)]

    def _accept(self, server: socket.socket) -> None:
        client = Client(server.accept()[0])
        if not client.allowed or len(self._clients()) >= MAX_CLIENTS or self._stopping:
            client.close()
            return
        self._selector.register(client, selectors.EVENT_READ)

    def _serve(self, client: Client) -> None:
        try:
            request = client.request()
            if client.lagging:
                client.flush()
            if request is None:
                return
            if request.get("verb") != "sync":
                client.send({"event": "refused", "message": "the only request is sync"})
                self._drop(client)
                return
            client.waiting = True
            self._request("sync")
        except OSError:
            self._drop(client)

    def _tell(self, event: dict[str, Any]) -> None:
        """Pass an event on to those who asked for the pass it is of, and let them go at its end."""
        for client in self._clients():
            if not client.watching:
                continue
            try:
                client.send(event)
            except OSError:
                self._drop(client)
                continue
            if event["event"] == "report":
                self._drop(client)

    def _drop(self, client: Client) -> None:
        self._selector.unregister(client)
        client.close()

    # What others see

    def _say(self) -> None:
        """Feed the watchdog and write the daemon's own state, once a turn."""
        self._state |= {"next_poll": self._schedule.next("poll"), "next_drift": self._schedule.next("drift")}
        doing = (
            f"{self._child.reason} pass running"
            if self._child
            else self._state.get("summary", "waiting for the first pass")
        )
        self._notifier.say("WATCHDOG=1", f"STATUS={doing}")
        path = os.path.join(self.settings.runtime_dir, "daemon.json")
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(self._state, file)
        os.rename(f"{path}.new", path)


def _code() -> tuple[int, int]:
    """Identify the code on disk: its version file is replaced by every upgrade."""
    import agent

    try:
        found = os.stat(str(agent.__file__))
    except FileNotFoundError:
        return (0, 0)  # in the middle of an upgrade; the next turn sees more
    return (found.st_mtime_ns, found.st_ino)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _log(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
