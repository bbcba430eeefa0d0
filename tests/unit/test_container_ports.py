"""Published ports: the short syntax of compose files."""

from __future__ import annotations

import re

import pytest

from modules.container_ports import MAX_PORTS, Binding, all_bindings, binding


@pytest.mark.parametrize(
    ("entry", "bindings"),
    [
        ("80", [("", "", "80/tcp")]),
        ("8080:80", [("", "8080", "80/tcp")]),
        ("8080:80/udp", [("", "8080", "80/udp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", "8080", "80/tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", "", "80/tcp")]),
        ("[::1]:8080:80/sctp", [("[::1]", "8080", "80/sctp")]),
        ("[0:0::1]:8080:80", [("[::1]", "8080", "80/tcp")]),
        ("8000-8001:90-91", [("", "8000", "90/tcp"), ("", "8001", "91/tcp")]),
        ("80-81", [("", "", "80/tcp"), ("", "", "81/tcp")]),
        ("080:080", [("", "80", "80/tcp")]),
    ],
)
def test_taken(entry: str, bindings: list[tuple[str, str, str]]) -> None:
    assert [binding(found) for found in all_bindings([entry])] == [Binding(*expected) for expected in bindings]


@pytest.mark.parametrize("entry", ["80", "127.0.0.1:8080:80/udp", "[::1]:8080:80"])
def test_the_canonical_form_is_its_own(entry: str) -> None:
    (canonical,) = all_bindings([entry])
    assert all_bindings([canonical]) == (canonical,)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("", "must be [IP:]"),
        ("web", "'web' is not a port"),
        ("0", "from 1 to 65535"),
        ("65536:80", "from 1 to 65535"),
        ("99999999:80", "is not a port"),
        ("82-80", "the lower first"),
        ("8000-8002:80", "8000-8002 of the host and 80 of the container must be as many"),
        ("8000:80-81", "must be as many"),
        ("1-2000", f"more than {MAX_PORTS} ports"),
        ("80/icmp", "tcp, udp or sctp"),
        ("localhost:8080:80", "must be an IP address, not 'localhost'"),
        ("::1:8080:80", "stands in brackets"),
        ("[::1]", "stands in brackets"),
        ("[127.0.0.1]:8080:80", "not an IPv6 address"),
        ("[fe80::1%eth0]:8080:80", "not an IPv6 address"),
        ("1.2.3:8080:80", "must be an IP address"),
        ("8080: 80", "is not a port"),
        ("٣:80", "is not a port"),
    ],
)
def test_refused_with_the_reason(entry: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"has {entry!r}: ") + ".*" + re.escape(reason)):
        all_bindings([entry])


def test_one_port_of_the_host_cannot_be_two_of_the_container() -> None:
    with pytest.raises(ValueError, match="twice"):
        all_bindings(["8080:80", "8080:81"])
    assert len(all_bindings(["8080:80", "8080:80/udp", "127.0.0.1:8080:81"])) == 3


def test_many_entries_are_bounded_as_one_range_is() -> None:
    with pytest.raises(ValueError, match=f"more than {MAX_PORTS}"):
        all_bindings(["1-600", "1001-1600"])


def test_a_range_is_the_same_as_its_ports_in_any_order() -> None:
    assert all_bindings(["8000-8001:80-81"]) == all_bindings(["8001:81", "8000:80"])
