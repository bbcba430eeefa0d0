"""agentctl rollback: go back to an earlier revision and stay there."""

from __future__ import annotations

import argparse

from agent import orders, track
from agent.cli.ordering import add_order, follow_up, order_of, ordering, until
from agent.cli.session import Session
from agent.errors import ConfigInvalid

HELP = """Go back to an earlier revision and stay there: the last good one, or REV. Newer ones are fetched and wait.
Git stays the truth: status says that this host is pinned behind it. `agentctl unpin` goes on with the newest."""
EPILOG = "exit status: as that of `agentctl sync`, which it asks for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the revision, why and for how long."""
    parser.add_argument("rev", nargs="?", metavar="REV", help="a commit (default: the last good one before this)")
    add_order(parser, reason=False)


def run(options: argparse.Namespace) -> int:
    """Pin the revision, and act."""
    options.reason = options.reason or "rolled back by hand"
    with ordering(options) as session:
        commit = session.source.revision(options.rev).commit if options.rev else _last_good(session)
        order = order_of(options, commit)
        orders.give(session.store, orders.PIN, order)
    print(f"pinned to {commit[:7]} {until(order)}")
    return follow_up(options)


def _last_good(session: Session) -> str:
    """The good revision before the one that is held."""
    held = session.store.recall("in_force")
    found = next((commit for commit in track.good_ones(session.store) if commit != held), "")
    if not found:
        raise ConfigInvalid("no other revision has proved good on this host", "name one: agentctl rollback REV")
    return found
