"""agentctl pass: one pass in a child process of the daemon; prints one JSON event a line."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from agent.apply import Conduct, Outcome
from agent.cli.parser import add_place
from agent.cli.passing import Stop, desired_for, make_pass, note_contact, unmoved
from agent.cli.session import Session, site_of, writing
from agent.errors import AgentError, FetchFailed, RevisionError
from agent.report import outcome_to_json, report_to_json

HELP = "Run one pass for the daemon; prints one JSON event a line. Not for people: use `agentctl sync` or `apply`."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take why it runs."""
    add_place(parser)
    parser.add_argument("--reason", choices=("start", "poll", "drift", "sync"), default="sync")


def run(options: argparse.Namespace) -> int:
    """Run the pass; whatever happens, the last line is a report."""
    started = time.time()
    stop = Stop()
    stop.listen()
    try:
        with writing(site_of(options)) as session:
            return _run(session, options.reason, stop, started)
    except AgentError as error:
        _emit("report", verdict="CRITICAL", exit=1, summary=str(error), retry=error.retry.name, revision="")
        return 1


def _run(session: Session, reason: str, stop: Stop, started: float) -> int:
    if reason == "poll" and session.store.recall("in_force"):
        try:
            if unmoved(session):
                note_contact(session, None)
                _emit("unchanged", revision=session.store.recall("in_force"))
                return 0
        except FetchFailed as error:
            note_contact(session, error)
            _emit("report", verdict="WARNING", exit=1, summary=str(error), retry=error.retry.name, revision="")
            return 1
    desired = desired_for(session, reason, None)
    revision = desired.revision.commit
    _emit("started", reason=reason, revision=revision, resources=len(desired.compiled.catalog.nodes))

    def tell(outcome: Outcome) -> None:
        _emit("step", revision=revision, **outcome_to_json(outcome))

    report = make_pass(session, reason, desired, Conduct(tell, stop), started)
    retry = report.rejection.retry.name if isinstance(report.rejection, RevisionError) else ""
    status = 1 if report.rejection is not None else report.exit_status
    _emit("report", **{**report_to_json(report), "exit": status, "retry": retry, "outcomes": []})
    return status


def _emit(event: str, **values: Any) -> None:  # noqa: ANN401  (JSON)
    print(json.dumps({"event": event, **values}), flush=True)
