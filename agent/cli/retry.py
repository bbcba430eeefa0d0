"""agentctl retry: try again what failed or was rolled back, and forget what a failed script left to a person."""

from __future__ import annotations

import argparse

from agent import track
from agent.apply.refreshes import ACTIONS
from agent.cli.ordering import follow_up, ordering
from agent.cli.parser import add_place
from agent.cli.text import printable, several

HELP = (
    "Try again now what failed, and revisions that were rolled back on this host: they are forgotten as bad. "
    "So are scripts of packages that failed: whoever says this has put right what they left undone."
)
EPILOG = "exit status: as that of `agentctl sync`, which it asks for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the place."""
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Forget, and act."""
    with ordering(options) as session:
        count = track.forgive(session.store)
        scripts = [item for item in session.store.owed() if item.withheld and item.action not in ACTIONS]
        session.store.delivered(scripts)
    print(f"{several(count, 'revision')} that had been rolled back may be tried again")
    for item in scripts:
        print(printable(f"{item.consumer}: that a script of it failed is forgotten"))
    return follow_up(options)
