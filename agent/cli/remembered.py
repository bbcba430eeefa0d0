"""What the verbs share that only read the state of this host: where it is, and the nearest of what it knows."""

from __future__ import annotations

import argparse
import os

from agent.cli.session import inside
from agent.errors import ConfigInvalid, StateUnusable
from agent.settings import load
from agent.store import Store


def add_state(parser: argparse.ArgumentParser) -> None:
    """Options that say where the state is."""
    parser.add_argument(
        "--config", default="/etc/gitops-agent", metavar="DIR", help="the agent's settings (default: %(default)s)"
    )
    parser.add_argument("--root", default="/", metavar="DIR", help="the history of a host whose files are under DIR")
    parser.add_argument(
        "--state-dir", metavar="DIR", help="where state is kept (default: /var/lib/gitops-agent under --root)"
    )


def add_limit(parser: argparse.ArgumentParser) -> None:
    """`--limit`."""
    parser.add_argument(
        "--limit", type=_count, default=20, metavar="N", help="show the newest N (default: %(default)s)"
    )


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return count


def remembered(options: argparse.Namespace) -> Store:
    """Open the state to read it. Raises StateUnusable when it may not be read, ConfigInvalid when there is none."""
    root = os.path.abspath(options.root)
    directory = options.state_dir or inside(root, load(options.config).state_dir)
    path = os.path.join(directory, "state.db")
    try:
        os.stat(path)
    except FileNotFoundError:
        raise ConfigInvalid(f"there is no history in {directory}", "the first pass begins it: agentctl apply") from None
    except OSError:
        readable = False
    else:
        readable = os.access(path, os.R_OK)
    if not readable:
        raise StateUnusable(f"{path} cannot be read", "run as root, or give --root DIR or --state-dir DIR")
    return Store(directory, writable=False)
