"""agentctl suspend: change nothing on this host for a while."""

from __future__ import annotations

import argparse

from agent import orders
from agent.cli.ordering import add_order, order_of, ordering_at_once, until

HELP = """Change nothing on this host for a while: drift and new revisions are still looked at and reported.
A pass that runs ends with the step in hand. `agentctl resume` lifts it; `agentctl sync --force` makes one pass that changes
the host all the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take why and for how long."""
    add_order(parser, reason=True)


def run(options: argparse.Namespace) -> int:
    """Give the order."""
    order = order_of(options)
    with ordering_at_once(options) as store:
        orders.give(store, orders.SUSPEND, order)
    print(f"suspended {until(order)}: {order.reason}")
    return 0
