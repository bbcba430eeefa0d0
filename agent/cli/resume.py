"""agentctl resume: change this host again."""

from __future__ import annotations

import argparse

from agent import orders
from agent.cli.ordering import follow_up, ordering
from agent.cli.parser import add_place

HELP = "End a suspension that a person gave here, and go on with the newest revision. One that the repository declares ends there."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the place."""
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Take the order back, and act."""
    with ordering(options) as session:
        order = orders.lift(session.store, orders.SUSPEND)
    print(f"resumed; it was suspended by {order.by}: {order.reason}" if order else "nothing was suspended here")
    return follow_up(options) if order else 0
