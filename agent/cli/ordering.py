"""What the verbs share that give this host an order: the store, the note in the status, and the pass that follows."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agent import orders
from agent.cli.parser import add_place
from agent.cli.session import Session, Site, beside, site_of, writing
from agent.cli.text import printable
from agent.errors import ConfigInvalid
from agent.orders import Order
from agent.status import read_status, write_status
from agent.store import Store

DEFAULT_SECONDS = 86_400


def add_order(parser: argparse.ArgumentParser, *, reason: bool) -> None:
    """Options that say why and for how long."""
    add_place(parser)
    parser.add_argument("--reason", required=reason, default="", metavar="TEXT", help="why; status shows it")
    parser.add_argument("--for", dest="lasts", metavar="TIME", help="how long: 30m, 24h or 7d (default: 24h)")
    parser.add_argument("--forever", action="store_true", help="until somebody takes it back")


def order_of(options: argparse.Namespace, about: str = "") -> Order:
    """Make the order that the options ask for. Raises ConfigInvalid."""
    if options.forever and options.lasts:
        raise ConfigInvalid("--for and --forever contradict each other", "give one of them")
    lasts = orders.seconds(options.lasts) if options.lasts else DEFAULT_SECONDS
    now = int(time.time())
    return Order(options.reason, orders.who(), now, 0 if options.forever else now + lasts, about)


@contextmanager
def ordering(options: argparse.Namespace) -> Iterator[Session]:
    """Open the site to give it an order; at the end the status says what orders there are."""
    with writing(site_of(options)) as session:
        yield session
        _show(session.site, session.store)


@contextmanager
def ordering_at_once(options: argparse.Namespace) -> Iterator[Store]:
    """The same for an order that a pass that runs is to heed, and which does not wait for its end."""
    site = site_of(options)
    with beside(site) as store:
        yield store
        _show(site, store)


def _show(site: Site, store: Store) -> None:
    status = read_status(site.status_path)
    if status:
        write_status(site.status_path, {**status, "orders": orders.to_json(store)})


def take_back(options: argparse.Namespace, kind: str, said: str, *, otherwise: str) -> int:
    """Take an order back, say so (`said` is a format of the order), and act on it; the exit status of the verb."""
    with ordering(options) as session:
        order = orders.lift(session.store, kind)
    print(printable(said.format(order)) if order else otherwise)
    return follow_up(options) if order else 0


def follow_up(options: argparse.Namespace) -> int:
    """Have the daemon act on the order now, and show what it does; without one, say what does."""
    socket = "/run/gitops-agent/control.sock"
    if options.root != "/" or not os.path.exists(socket):
        print("the daemon is not running here; agentctl apply acts on it")
        return 0
    from agent.cli import sync
    from agent.cli.parser import parse

    return sync.run(parse("sync", sync, []))


def until(order: Order) -> str:
    """Until when an order holds, in words."""
    return (
        time.strftime("until %Y-%m-%d %H:%M", time.localtime(order.until)) if order.until else "until it is taken back"
    )
