"""Published ports in the short syntax of compose files: `[IP:][HOST[-HOST]:]PORT[-PORT][/PROTOCOL]`."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

MAX_PORTS = 1000  # of one container; each costs the engine a proxy process and packet filter rules
_PORT = re.compile(r"(?:(?P<host>[^:]*):)?(?P<port>[^:]+)")
_RANGE = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?")


class Binding(NamedTuple):
    """One published port."""

    address: str  # of the host; empty: every address
    host_port: str  # empty: one the engine chooses
    port: str  # of the container, with its protocol: `80/tcp`


def all_bindings(entries: Sequence[str]) -> tuple[str, ...]:
    """Each port of the entries in the canonical form `IP:HOST:PORT/PROTOCOL`, sorted. Raises ValueError."""
    found: list[str] = []
    for entry in entries:
        try:
            found += _bindings(entry)
        except ValueError as error:
            raise ValueError(f"has {entry!r}: {error}") from error
        if len(found) > MAX_PORTS:
            raise ValueError(f"publishes more than {MAX_PORTS} ports")
    taken = Counter(_place_on_host(canonical) for canonical in found)
    if twice := [place for place, count in taken.items() if count > 1]:
        raise ValueError(f"publishes {twice[0]} twice")
    return tuple(sorted(found))


def binding(canonical: str) -> Binding:
    """Take the canonical form apart; an IPv6 address keeps no brackets."""
    address, host_port, port = canonical.rsplit(":", 2)
    return Binding(address.strip("[]"), host_port, port)


def _place_on_host(canonical: str) -> str:
    found = binding(canonical)
    return f"{found.address}:{found.host_port}/{found.port.split('/')[1]}" if found.host_port else canonical


def _bindings(text: str) -> list[str]:
    body, _, protocol = text.partition("/")
    if protocol not in ("", "tcp", "udp", "sctp"):
        raise ValueError(f"the protocol must be tcp, udp or sctp, not {protocol!r}")
    address, body = _split_address(body)
    match = _PORT.fullmatch(body)
    if match is None:
        raise ValueError("must be [IP:][HOST_PORT:]PORT[/PROTOCOL]")
    inside = _ports(match["port"])
    outside = _ports(match["host"]) if match["host"] else [""] * len(inside)
    if len(outside) != len(inside):
        raise ValueError(f"{len(outside)} ports of the host cannot stand for {len(inside)} of the container")
    pairs = zip(outside, inside, strict=True)
    return [f"{address}:{host_port}:{port}/{protocol or 'tcp'}" for host_port, port in pairs]


def _split_address(body: str) -> tuple[str, str]:
    if body.startswith("["):
        address, bracket, rest = body[1:].partition("]:")
        if not bracket:
            raise ValueError("an IPv6 address stands in brackets before the ports: [::1]:8080:80")
        return f"[{_address(address, 6)}]", rest
    if body.count(":") > 2:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8080:80")
    if body.count(":") < 2:
        return "", body
    address, _, rest = body.partition(":")
    return _address(address, 4), rest


def _address(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"the host's address must be an IP address, not {text!r}") from None
    if address.version != version or "%" in text:
        raise ValueError(f"{text!r} is not an IPv{version} address")
    return str(address)


def _ports(text: str) -> list[str]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a port, nor a range such as 8000-8010")
    first, last = int(match["first"]), int(match["last"] or match["first"])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{text!r} must be from 1 to 65535, the lower first")
    if last - first >= MAX_PORTS:
        raise ValueError(f"{text!r} is more than {MAX_PORTS} ports")
    return [str(port) for port in range(first, last + 1)]
