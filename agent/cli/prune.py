"""agentctl prune: what left Git and waits for approval, and the approval."""

from __future__ import annotations

import argparse
import time

from agent import orders
from agent.apply.approval import digest_of
from agent.cli.ordering import DEFAULT_SECONDS, follow_up, ordering
from agent.cli.parser import add_place
from agent.cli.session import Session, reading, site_of
from agent.cli.text import several, tell
from agent.errors import ConfigInvalid
from agent.host import LocalView
from agent.orders import Order
from agent.plan import Removal
from agent.reconcile import plan_desired

HELP = """Show what left Git and would be removed, with the digest that names exactly that set;
`agentctl prune approve DIGEST` removes it."""
EPILOG = "exit status: 0; after approve that of `agentctl sync`, which it asks for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the approval."""
    parser.add_argument("what", nargs="?", choices=("approve",), help="approve the removals")
    parser.add_argument("digest", nargs="?", metavar="DIGEST", help="which: as shown")
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Show, or approve."""
    if options.what is None:
        with reading(site_of(options)) as session:
            _show(_removals(session))
        return 0
    if not options.digest:
        raise ConfigInvalid("approve needs the digest of what is to be removed", "agentctl prune shows it")
    with ordering(options) as session:
        _approve(session, options.digest)
    return follow_up(options)


def _removals(session: Session) -> list[Removal]:
    """Everything that would be taken away."""
    desired = session.newest()
    host = LocalView(session.site.root, desired.read, session.site.engine)
    return [found for found in plan_desired(desired, host, session.store).removals if found.undo is not None]


def _show(removals: list[Removal]) -> None:
    if not removals:
        print("nothing that left Git waits to be removed")
        return
    tell(f"  - {removal.entry.id:<40} {removal.reason}" for removal in removals)
    confirmed = [removal for removal in removals if removal.confirm]
    print(f"all {several(len(removals), 'removal')}: {digest_of(removals)}")
    if confirmed and len(confirmed) < len(removals):
        print(f"only those that say `prune: confirm`: {digest_of(confirmed)}")


def _approve(session: Session, digest: str) -> None:
    removals = _removals(session)
    known = (digest_of(removals), digest_of([removal for removal in removals if removal.confirm]))
    if digest not in known:
        raise ConfigInvalid(f"{digest} is not what would be removed now", "agentctl prune shows the digest of that")
    now = int(time.time())
    orders.give(session.store, orders.REMOVE, Order("", orders.who(), now, now + DEFAULT_SECONDS, digest))
