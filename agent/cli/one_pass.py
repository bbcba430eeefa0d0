"""agentctl pass: one pass in a child process of the daemon; prints one JSON event a line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from agent.apply import Conduct, InHand, Outcome
from agent.cli.interruption import Stop
from agent.cli.parser import add_place
from agent.cli.passing import Asked, desired_for, make_pass, note_contact, note_lost_state, unmoved
from agent.cli.session import Session, site_of, writing
from agent.errors import AgentError, ConfigInvalid, FetchFailed, RevisionError
from agent.report import Report, outcome_to_json, report_to_json
from agent.settings import Settings

HELP = """Run one pass for the daemon, with the settings that it gives as JSON on standard input; prints one JSON event a line.
Not for people: use `agentctl sync` or `apply`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take why it runs."""
    add_place(parser)
    parser.add_argument("--reason", choices=("start", "poll", "drift", "retry", "sync"), default="sync")
    parser.add_argument("--force", action="store_true", help="change the host although it is suspended")


def run(options: argparse.Namespace) -> int:
    """Run the pass; whatever happens, the last line is a report."""
    started = time.time()
    stop = Stop()
    stop.listen()
    try:
        with writing(site_of(options, _given_settings())) as session:
            return _run(session, Asked(options.reason, force=options.force), stop, started)
    except AgentError as error:
        _fail(str(error), "could_not_run", error.retry.name)
        return 1
    except Exception as error:
        _fail(f"internal error, {type(error).__name__}: {error}; see journalctl -u gitops-agent", "crashed")
        raise


def _given_settings() -> Settings:
    try:
        return Settings(**json.load(sys.stdin))
    except (ValueError, TypeError) as error:
        raise ConfigInvalid(f"no settings on standard input: {error}", "use `agentctl sync` or `apply`") from error


def _run(session: Session, asked: Asked, stop: Stop, started: float) -> int:
    reason = asked.reason
    note_lost_state(session)
    if reason == "poll" and session.store.recall("in_force"):
        try:
            if unmoved(session):
                note_contact(session, None)
                _emit("unchanged", revision=session.store.recall("in_force"))
                return 0
        except FetchFailed as error:
            note_contact(session, error)
            _fail(str(error), "", error.retry.name, "WARNING")  # said already, and once
            return 1
    desired = desired_for(session, reason, None)
    revision = desired.revision.commit
    _emit("started", reason=reason, revision=revision, resources=len(desired.compiled.catalog.nodes))

    def tell(outcome: Outcome) -> None:
        _emit("step", revision=revision, **outcome_to_json(outcome))

    report = make_pass(session, asked, desired, Conduct(tell, stop, begin=_begin), started)
    retry = report.rejection.retry.name if isinstance(report.rejection, RevisionError) else ""
    again = {"again_at": _again_at(report, session.site.health_interval), "overtaken": report.overtaken}
    _emit("report", **{**report_to_json(report), **again, "retry": retry, "outcomes": []})
    return report.exit_status


def _again_at(report: Report, health_interval: int) -> float:
    """When the daemon looks again, before its timers do: to try what failed, and to watch what has to prove itself."""
    look = min(time.time() + health_interval, report.soak_until)
    moments = [report.retry_at, look]
    return min((moment for moment in moments if moment), default=0.0)


def _begin(in_hand: InHand) -> None:
    _emit("applying", **asdict(in_hand))


def _fail(summary: str, result: str, retry: str = "", verdict: str = "CRITICAL") -> None:
    """Report a pass that could not run; `result` is how the daemon says it in the journal, empty for not at all."""
    _emit("report", verdict=verdict, exit=1, summary=summary, result=result, retry=retry, revision="")


def _emit(event: str, **values: Any) -> None:  # noqa: ANN401  (JSON)
    print(json.dumps({"event": event, **values}), flush=True)
