"""agentctl apply: converge this host now, without the daemon."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from functools import partial

from agent.apply import Conduct, Outcome
from agent.cli.interruption import Stop
from agent.cli.parser import add_json, add_place
from agent.cli.passing import Asked, desired_for, make_pass, note_lost_state
from agent.cli.progress import Progress, applying, observing
from agent.cli.session import site_of, writing
from agent.cli.text import by_author, one_line, outcome_line, paint, printable
from agent.report import Report, outcome_to_json, report_to_json, summary

HELP = "Converge this host to the newest revision now. Prints a line for each resource that is not in sync."
EPILOG = """exit status: 0 converged, 4 something failed, is blocked or pending, or was rolled back,
1 could not run or the newest revision is refused"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the options that say which repository, host and root."""
    add_place(parser)
    parser.add_argument("--confirm-removals", action="store_true", help="remove even an unusual share of what is owned")
    parser.add_argument("--force", action="store_true", help="change the host this once although it is suspended")
    parser.add_argument(
        "--verify-content", action="store_true", help="read every file, also where its status shows no change"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Apply, and say what came of it."""
    started = time.time()
    stop = Stop()
    stop.listen()
    with Progress() as progress, writing(site_of(options)) as session:
        progress.say(f"asking {session.site.remote.shown}")
        note_lost_state(session)
        desired = desired_for(session, "apply", options.ref)
        progress.say(observing(len(desired.compiled.catalog.nodes)))
        tell = _silent if options.json else partial(_tell, progress)
        conduct = Conduct(tell, stop, begin=lambda now: progress.say(applying(asdict(now))))
        asked = Asked("apply", force=options.force, confirm_removals=options.confirm_removals)
        with progress.ticking():
            report = make_pass(session, asked, desired, conduct, started)
    if options.json:
        print(json.dumps(report_to_json(report), indent=2))
    else:
        _conclude(report)
    return report.exit_status


def _silent(_outcome: Outcome) -> None:
    """Say nothing: `--json` prints all at the end."""


def _tell(progress: Progress, outcome: Outcome) -> None:
    progress.clear()
    print(outcome_line(outcome_to_json(outcome)), flush=True)


def _conclude(report: Report) -> None:
    revision = report.revision
    said = printable(revision.summary)
    name = f'{revision.commit[:7]} "{said}"{by_author(revision.author)}' if revision.commit else said
    for notice in report.notices:
        print(f"notice: {printable(notice)}", file=sys.stderr)
    for item in report.owed:
        print(f"owed: {one_line(item['id'])}: {one_line(item['text'])}", file=sys.stderr)
    print(f"{report.host}: {name}: {summary(report.counts)} in {report.seconds:.1f} s")
    if report.held_back:
        what = "the rest was left" if report.changed else "nothing was changed"
        print(f"{what}: {printable(report.held_back)}; --force changes it this once")
    if report.rejection is not None:
        print(
            paint(f"the newest revision is refused, {revision.commit[:7]} stays in force:", "red", sys.stderr),
            file=sys.stderr,
        )
        print(printable(str(report.rejection)), file=sys.stderr)
