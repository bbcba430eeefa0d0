"""agentctl unpin: go on with the newest revision."""

from __future__ import annotations

import argparse

from agent import orders
from agent.cli.ordering import take_back
from agent.cli.parser import add_place

HELP = "Go on with the newest revision after a rollback."
EPILOG = "exit status: as that of `agentctl sync`, which it asks for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the place."""
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Take the pin back, and act."""
    return take_back(options, orders.PIN, "unpinned from {0.about:.7}", otherwise="nothing was pinned here")
