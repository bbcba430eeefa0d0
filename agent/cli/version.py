"""agentctl version."""

from __future__ import annotations

import argparse

from agent import __version__

HELP = "Show the version."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take nothing."""


def run(_options: argparse.Namespace) -> int:
    """Print it."""
    print(f"gitops-agent {__version__}")
    return 0
