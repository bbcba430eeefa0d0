"""Which passes are due, the one that runs, and what came of the last."""

from __future__ import annotations

import json
import selectors
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from agent.daemon.child import Child
from agent.daemon.clients import Clients
from agent.daemon.code import own_command
from agent.daemon.news import say
from agent.daemon.schedule import BackOff
from agent.daemon.wake import REASONS
from agent.settings import Settings

WHOLE = ("forced", "sync", "start")  # passes that ask the remote and look at everything, as a poll and a drift pass do


class Passes:
    """Passes one after another, each in a child process; its events go to the clients that wait for it."""

    def __init__(self, selector: selectors.BaseSelector, clients: Clients, again: Callable[[float], None]) -> None:
        """`again` is told when the next pass is due by what this one came to (seconds since the epoch; 0 for never)."""
        self._selector, self._clients, self._again = selector, clients, again
        self._due: set[str] = set()
        self._child: Child | None = None
        self._back_off = BackOff()
        self._stopping = False
        self._doing = self._step = ""
        self._verdict = "waiting for the first pass"  # of the last pass that ran
        self._trouble = ""  # of one after it that could not run
        self.problem = ""  # why the last pass could not run

    @property
    def running(self) -> bool:
        """Tell whether a pass runs."""
        return self._child is not None

    @property
    def status_line(self) -> str:
        """What is going on, or else what came of it."""
        return self._doing or self._trouble or self._verdict

    def ask(self, reason: str) -> None:
        """Ask for a pass; a poll is not asked for while the remote is to be left alone."""
        if not self._stopping and not (reason == "poll" and self._back_off.holds):
            self._due.add(reason)

    def stop(self) -> None:
        """Begin no other pass; the one that runs finishes its step."""
        self._stopping = True
        self._due.clear()
        if self._child is not None:
            self._child.ask_to_stop()

    def begin(self, settings: Settings) -> None:
        """Begin the most pressing pass that is due, unless one runs. It gets the settings in force, whatever is on disk."""
        if self._child is not None or not self._due:
            return
        reason = next(reason for reason in REASONS if reason in self._due)
        self._due -= set(REASONS) if reason in WHOLE else {reason}
        self._clients.watch()
        given = json.dumps(asdict(settings)).encode()
        try:
            child = Child(reason, own_command("pass", *_options(reason)), given, settings.pass_deadline)
        except OSError as error:
            self._broken("crashed", f"the {reason} pass cannot be started: {error.strerror}")
            return
        self._child, self._doing, self._step = child, f"{reason} pass running", ""
        self._selector.register(child.output, selectors.EVENT_READ, partial(self._listen, child))
        self._selector.register(child.exit, selectors.EVENT_READ, partial(self._end, child))

    def check(self) -> None:
        """See to it that the pass that runs keeps its deadline."""
        if self._child is not None:
            self._child.check()

    def seconds_left(self) -> float | None:
        """How long until `check` has something to do."""
        return self._child.seconds_left() if self._child is not None else None

    def _listen(self, child: Child, _events: int) -> None:
        if child is not self._child:
            return  # it ended in this very turn of the loop
        for event in child.events():
            self._tell(child, event)
        if child.silent:
            self._selector.unregister(child.output)

    def _tell(self, child: Child, event: dict[str, Any]) -> None:
        if event["event"] == "applying":
            self._step = f"applying {event['step']} of {event['steps']}: {event['id']}"
            self._doing = f"{child.reason} pass: {self._step}"
        self._clients.tell(event)

    def _end(self, child: Child, _events: int) -> None:
        if not child.silent:
            for event in child.last_events():
                self._tell(child, event)
            self._selector.unregister(child.output)
        self._selector.unregister(child.exit)
        self._child, self._doing = None, ""
        self._conclude(child, child.end())

    def _conclude(self, child: Child, status: int) -> None:
        report = child.report
        if child.overran:
            say("overran", self._overran(child))
        if not report:
            self._without_report(child, status)
        else:
            self._note(report)
        if not report or child.reason in ("drift", "retry"):
            return  # these do not ask the remote, so they say nothing of it
        if report.get("retry") == "BACK_OFF":
            self._back_off.failed()
        else:
            self._back_off.succeeded()

    def _note(self, report: Mapping[str, Any]) -> None:
        """Keep what a pass came to; one that could not run says nothing of the host, so the verdict before it stays."""
        before, self.problem, self._trouble = self.problem, "", ""
        if report["event"] == "unchanged":
            return
        summary = report["summary"]
        self._again(float(report.get("again_at", 0)))
        if report.get("overtaken"):
            self.ask("poll")
        if report["revision"]:
            self._verdict = f"{report['verdict']} {report['revision'][:7]}: {summary}"
        else:
            self.problem, self._trouble = summary, f"{report['verdict']}: {summary}"
            if report["result"] and summary != before:  # once, not with every pass
                say(report["result"], summary)

    def _without_report(self, child: Child, status: int) -> None:
        if child.overran:
            self._broken("", self._overran(child))
        else:
            said = f"the {child.reason} pass {_ended(status)} without a report{self._while()}"
            self._broken("" if self._stopping else "crashed", said)

    def _broken(self, result: str, summary: str) -> None:
        """Stand in for the report that a pass did not give; `result` says what it is in the journal, if it is news."""
        report = {"event": "report", "verdict": "CRITICAL", "exit": 1, "revision": "", "summary": summary, "retry": ""}
        self._note({**report, "result": result})
        self._clients.tell(report)

    def _overran(self, child: Child) -> str:
        return f"the {child.reason} pass overran its deadline and was ended{self._while()}"

    def _while(self) -> str:
        return f" while {self._step}" if self._step else ""


def _options(reason: str) -> tuple[str, ...]:
    return ("--reason", "sync", "--force") if reason == "forced" else ("--reason", reason)


def _ended(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
