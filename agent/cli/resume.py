"""agentctl resume: change this host again."""

from __future__ import annotations

import argparse

from agent import orders
from agent.cli.ordering import take_back
from agent.cli.parser import add_place

HELP = "End a suspension that a person gave here, and go on with the newest revision. One that the repository declares ends there."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the place."""
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Take the order back, and act."""
    said = "resumed; it was suspended by {0.by}: {0.reason}"
    return take_back(options, orders.SUSPEND, said, otherwise="nothing was suspended here")
