"""agentctl unpin: go on with the newest revision."""

from __future__ import annotations

import argparse

from agent import orders
from agent.cli.ordering import follow_up, ordering
from agent.cli.parser import add_place

HELP = "Go on with the newest revision after a rollback."
EPILOG = "exit status: as that of `agentctl sync`, which it asks for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the place."""
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Take the pin back, and act."""
    with ordering(options) as session:
        order = orders.lift(session.store, orders.PIN)
    print(f"unpinned from {order.about[:7]}" if order else "nothing was pinned here")
    return follow_up(options) if order else 0
