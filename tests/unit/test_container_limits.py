"""What containers may use and do, and their networks: one canonical form of each spelling, and reasons for the rest."""

from __future__ import annotations

from typing import Any

import pytest

from modules import container_limits as limits
from modules import container_networks as networks
from modules.fields import FieldType
from modules.sizes import size_text
from tests.unit.test_container_fields import parse

TAKEN: list[tuple[FieldType, object, object]] = [
    (limits.SIZE, "512m", 512 << 20),
    (limits.SIZE, "1GB", 1 << 30),
    (limits.SIZE, 4096, 4096),
    (limits.CPUS, 1, "1"),
    (limits.CPUS, "0.50", "0.5"),
    (limits.CPUS, 10.0, "10"),
    (limits.ULIMITS, {"nofile": 5, "core": {"soft": 0, "hard": -1}}, ("core=0:-1", "nofile=5:5")),
    (limits.CAPABILITIES, ["cap_net_admin", "ALL"], ("ALL", "NET_ADMIN")),
    (limits.DEVICES, ["/dev/a", "/dev/b:/dev/c", "/dev/d:/dev/e:r"], ("/dev/a:/dev/a:rwm", "/dev/b:/dev/c:rwm", "/dev/d:/dev/e:r")),
    (limits.SECURITY, ["seccomp:unconfined", "no-new-privileges"], ("no-new-privileges", "seccomp=unconfined")),
    (limits.SYSCTLS, {"net.core.somaxconn": 1}, ("net.core.somaxconn=1",)),
    (limits.SYSCTLS, ["net.core.somaxconn=1"], ("net.core.somaxconn=1",)),
    (limits.TMPFS, ["/run/", "/tmp:size=1m,mode=1777"], ("/run", "/tmp:size=1m,mode=1777")),
    (limits.SIGNAL, "int", "SIGINT"),
    (limits.SIGNAL, "15", "15"),
    (limits.LOGGING, {"driver": "journald", "options": {}}, {"driver": "journald"}),
    (limits.GROUPS, ["b", "a", "b"], ("a", "b")),
    (networks.NETWORKS, ["n2", "n1"], {"n1": {}, "n2": {}}),
    (networks.NETWORKS, {"n1": {"aliases": ["y", "x"], "ipv4_address": "10.0.0.1"}, "n2": None},
     {"n1": {"aliases": ("x", "y"), "ipv4_address": "10.0.0.1"}, "n2": {}}),
    (networks.DNS, ["10.0.0.2", "::1"], ("10.0.0.2", "::1")),
    (networks.EXTRA_HOSTS, {"b": "10.0.0.1", "a": "host-gateway"}, ("a:host-gateway", "b:10.0.0.1")),
    (networks.EXTRA_HOSTS, ["a:::1"], ("a:::1",)),
    (networks.SUBNET, "172.30.0.0/24", "172.30.0.0/24"),
]  # fmt: skip
REFUSED: list[tuple[FieldType, object, str]] = [
    (limits.SIZE, "lots", "must be a size such as 512m"),
    (limits.SIZE, True, "must be a size"),
    (limits.SIZE, 0, "must be a size"),
    (limits.CPUS, "NaN", "must be a number of processors"),
    (limits.CPUS, -1, "must be a number of processors"),
    (limits.COUNT, "5", "must be a whole number"),
    (limits.ULIMITS, {"files": 1}, "does not know 'files'"),
    (limits.ULIMITS, {"nofile": {"soft": 1}}, "nofile must be a whole number, or"),
    (limits.CAPABILITIES, ["NET ADMIN"], "no capability"),
    (limits.CAPABILITIES, ["NET_RAW", "cap_net_raw"], "has NET_RAW twice"),
    (limits.DEVICES, ["/dev/a:/dev/b:x"], "no device"),
    (limits.DEVICES, ["/dev/a:/dev/b:r:w"], "no device"),
    (limits.SECURITY, ["seccomp=/etc/profile.json"], "it takes no-new-privileges"),
    (limits.SYSCTLS, ["somaxconn"], "no NAME=VALUE"),
    (limits.SYSCTLS, {"Bad name": "1"}, "no kernel setting"),
    (limits.TMPFS, ["/run:size 1"], "after the path come options"),
    (limits.SIGNAL, "SIG TERM", "must be a signal"),
    (limits.LOGGING, {"options": {}}, "must be a mapping with driver"),
    (limits.GROUPS, ["a b"], "no group"),
    (networks.NETWORKS, ["host"], "no network of your own; see network_mode"),
    (networks.NETWORKS, {"n1": {"alias": "x"}}, "n1 must be a mapping that takes aliases"),
    (networks.NETWORKS, {"n1": {"ipv4_address": "::1"}}, "no IPv4 address"),
    (networks.DNS, ["dns.example.com"], "no IP address"),
    (networks.DNS, ["10.0.0.1"] * 4, "at most 3"),
    (networks.EXTRA_HOSTS, ["db"], "no NAME:VALUE"),
    (networks.SUBNET, "172.30.0.1/24", "must be a range"),
]


@pytest.mark.parametrize(("kind", "value", "canonical"), TAKEN)
def test_taken_in_one_form(kind: FieldType, value: Any, canonical: object) -> None:
    assert parse(kind, value) == canonical


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED)
def test_refused_with_the_reason(kind: FieldType, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(kind, value)


@pytest.mark.parametrize(("size", "text"), [(1 << 24, "16m"), (3 << 30, "3g"), (1536 << 10, "1536k"), (1001, "1001")])
def test_a_size_is_said_as_it_may_be_written(size: int, text: str) -> None:
    assert size_text(size) == text
    assert parse(limits.SIZE, text) == size
