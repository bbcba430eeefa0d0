"""agentctl retry: try again what failed or was rolled back."""

from __future__ import annotations

import argparse

from agent import track
from agent.cli.ordering import follow_up, ordering
from agent.cli.parser import add_place
from agent.cli.text import several

HELP = "Try again now what failed, and revisions that were rolled back on this host: they are forgotten as bad."
EPILOG = "exit status: as that of `agentctl sync`, which it asks for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the place."""
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Forget, and act."""
    with ordering(options) as session:
        count = track.forgive(session.store)
    print(f"{several(count, 'revision')} that had been rolled back may be tried again")
    return follow_up(options)
