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

    address: str  # of the host, IPv6 in brackets; empty: every address
    host_port: str  # empty: one the engine chooses
    port: str  # of the container, with its protocol: `80/tcp`

    def __str__(self) -> str:
        """The canonical form, `[IP:][HOST:]PORT/PROTOCOL`."""
        before = f"{self.address}:" if self.address else ""
        return f"{before}{self.host_port}:{self.port}" if before or self.host_port else self.port

    @property
    def place(self) -> str:
        """What of the host it takes; itself when the engine chooses."""
        return f"{self.address}:{self.host_port}/{self.port.split('/')[1]}" if self.host_port else str(self)


def all_bindings(entries: Sequence[str]) -> tuple[str, ...]:
    """Each port of the entries in its canonical form, sorted. Raises ValueError saying what is wrong."""
    found: list[Binding] = []
    for entry in entries:
        try:
            found += _bindings(entry)
        except ValueError as error:
            raise ValueError(f"has {entry!r}: {error}") from error
        if len(found) > MAX_PORTS:
            raise ValueError(f"publishes more than {MAX_PORTS} ports")
    taken = Counter(published.place for published in found)
    if twice := [place for place, count in taken.items() if count > 1]:
        raise ValueError(f"publishes {twice[0]} twice")
    return tuple(sorted(map(str, found)))


def binding(canonical: str) -> Binding:
    """Take the canonical form apart."""
    address, host_port, port = ["", "", *canonical.rsplit(":", 2)][-3:]
    return Binding(address, host_port, port)


def _bindings(text: str) -> list[Binding]:
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
        raise ValueError(f"{match['host']} of the host and {match['port']} of the container must be as many")
    pairs = zip(outside, inside, strict=True)
    return [Binding(address, host_port, f"{port}/{protocol or 'tcp'}") for host_port, port in pairs]


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
