"""agentctl plan: show what would change, and change nothing."""

from __future__ import annotations

import argparse
import json

from agent.cli.parser import add_json, add_place
from agent.cli.plan_text import plan_lines, plan_to_json
from agent.cli.progress import Progress, observing
from agent.cli.session import reading, site_of
from agent.cli.text import tell
from agent.host import LocalView
from agent.host.ledger import Ledger
from agent.reconcile import plan_desired

HELP = "Show what applying the newest revision would change on this host. Nothing is changed."
EPILOG = "exit status: 0 in sync, 2 changes are pending, 1 error"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the options that say which repository, host and root."""
    add_place(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Plan, and show it."""
    with Progress() as progress, reading(site_of(options)) as session:
        progress.say(f"asking {session.site.remote.shown}")
        desired = session.newest(options.ref)
        progress.say(observing(len(desired.compiled.catalog.nodes)))
        site = session.site
        ledger = Ledger(site.ledger_path, site.verify_content_every)
        host = LocalView(site.root, desired.read, site.engine, ledger)
        with progress.ticking():
            plan = plan_desired(desired, host, session.store)
        progress.clear()
        if options.json:
            print(json.dumps(plan_to_json(plan, desired, host), indent=2))
        else:
            tell(plan_lines(plan, desired, host, session.store.recall("in_force")))
    return 2 if plan.pending else 0
