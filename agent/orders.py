"""Orders: what a person told this host until further notice: change nothing, stay at a revision, remove what left Git."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.catalog import Suspension
from agent.errors import ConfigInvalid
from agent.store import Store

SUSPEND, PIN, REMOVE = "suspend", "pin", "remove"
KINDS = (SUSPEND, PIN, REMOVE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Order:
    """One order, by whom and why; it runs out by itself."""

    reason: str
    by: str
    at: int  # seconds since the epoch
    until: int = 0  # 0: for ever
    about: str = ""  # the commit that is pinned, or the digest of the removals that are approved

    def holds(self, now: float) -> bool:
        """Tell whether it has not run out."""
        return not self.until or now < self.until


def given(store: Store, kind: str, now: float | None = None) -> Order | None:
    """The order of a kind that holds; None when there is none, or it ran out."""
    text = store.recall(f"order_{kind}")
    order = Order(**json.loads(text)) if text else None
    return order if order and order.holds(time.time() if now is None else now) else None


def give(store: Store, kind: str, order: Order) -> None:
    """Give an order, in the place of the last of its kind."""
    store.remember(**{f"order_{kind}": json.dumps(asdict(order))})


def lift(store: Store, kind: str) -> Order | None:
    """Take an order back; the one that there was."""
    order = given(store, kind)
    store.remember(**{f"order_{kind}": ""})
    return order


def suspension(store: Store, declared: Suspension | None) -> str:
    """Why the host is to be left alone, by a person here or by the repository; empty when it is not."""
    order = given(store, SUSPEND)
    if order is not None:
        until = f" until {_moment(order.until)}" if order.until else ""
        return f"suspended by {order.by}{until}: {order.reason} (agentctl resume)"
    if declared is not None and (not declared.until or time.time() < declared.until):
        until = f" until {_moment(declared.until)}" if declared.until else ""
        return f"suspended by the repository{until}: {declared.reason}"
    return ""


def _moment(seconds_since_epoch: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds_since_epoch))


def to_json(store: Store) -> Mapping[str, Any]:
    """Every order that holds, by kind, for the status."""
    found = {kind: given(store, kind) for kind in KINDS}
    return {kind: asdict(order) for kind, order in found.items() if order is not None}


def who() -> str:
    """Who gives an order: the user behind sudo, or whoever runs this."""
    import pwd

    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return os.environ.get("SUDO_USER") or name


def seconds(text: str) -> int:
    """A duration such as 30m, 24h or 7d. Raises ConfigInvalid."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})([smhd])", text)
    if found is None:
        raise ConfigInvalid(f"{text!r} is no duration", "give one such as 30m, 24h or 7d")
    return int(found[1]) * _UNITS[found[2]]
