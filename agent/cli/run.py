"""agentctl run: be the daemon."""

from __future__ import annotations

import argparse
import sys

NOT_CONFIGURED = 78  # EX_CONFIG of sysexits(3); the unit does not start again after it
HELP = "Be the daemon, in the foreground: poll the repository, converge the host, keep it there. What the unit starts."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where the settings are."""
    parser.add_argument(
        "--config", default="/etc/gitops-agent", metavar="DIR", help="the agent's settings (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    from agent.daemon import Daemon
    from agent.errors import ConfigInvalid

    try:
        return Daemon(options.config).run()
    except ConfigInvalid as error:
        print(f"agentctl: {error}", file=sys.stderr)
        return NOT_CONFIGURED
