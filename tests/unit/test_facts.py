"""Facts: gathered one by one, the same between passes, and what the platform itself says."""

from __future__ import annotations

import json
import os
import platform
import socket

import psutil
import pytest

from agent import facts
from agent.facts import GATHERERS, Facts


def test_a_fact_is_gathered_when_it_is_asked_for_and_once() -> None:
    asked: list[str] = []

    def gather(name: str) -> str:
        asked.append(name)
        return name.upper()

    found = Facts({"a": lambda: gather("a"), "b": lambda: gather("b")})
    assert sorted(found) == ["a", "b"]
    assert len(found) == 2
    assert (found["a"], found["a"]) == ("A", "A")
    assert asked == ["a"]
    assert found.asked == {"a": "A"}
    with pytest.raises(KeyError):
        found["c"]


def test_to_ask_whether_there_is_a_fact_gathers_it_so_that_a_cache_knows() -> None:
    found = Facts({"a": lambda: 1})
    assert found.get("a") == 1
    assert found.get("c") is None


def test_all_facts_are_plain_and_the_same_a_second_time() -> None:
    assert json.loads(json.dumps(dict(Facts()))) == dict(Facts())


def test_facts_are_what_the_platform_says() -> None:
    found = Facts()
    assert found["arch"] == os.uname().machine
    assert found["kernel"] == os.uname().release
    assert found["hostname"] == socket.gethostname().partition(".")[0]
    assert found["memory"]["total"] == psutil.virtual_memory().total
    assert found["cpu"]["count"] == os.cpu_count()
    with open("/etc/os-release", encoding="utf-8") as file:
        release = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    assert found["os"]["id"] == release["ID"].strip('"')
    assert found["os"]["version"] == release.get("VERSION_ID", "").strip('"')
    assert found["network"]["lo"]["ipv4"] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("hostname", "hosts", "fqdn"),
    [
        ("web-01", "127.0.1.1 web-01.example.com web-01\n", "web-01.example.com"),
        ("web-01", "127.0.1.1 web-01 # web-01.comment.example\n", "web-01"),
        ("web-01", "127.0.1.1 web-012.example.com web-012\n", "web-01"),
        ("web-01", "", "web-01"),
        ("web-01.example.org", "127.0.1.1 web-01.example.com web-01\n", "web-01.example.org"),
    ],
)
def test_the_full_name_is_the_hosts_own_word(
    monkeypatch: pytest.MonkeyPatch, hostname: str, hosts: str, fqdn: str
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "gethostname", lambda: hostname)
    for name in ("getfqdn", "getaddrinfo", "gethostbyname", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, never)
    monkeypatch.setattr(facts, "_read", lambda _path: hosts)
    assert Facts()["fqdn"] == fqdn


@pytest.mark.parametrize(
    ("container", "cpuinfo", "virtual"),
    [("systemd-nspawn", "", "container"), ("", "flags : fpu hypervisor lm", "vm"), ("", "flags : fpu", "none")],
)
def test_what_kind_of_machine_it_is(
    monkeypatch: pytest.MonkeyPatch, container: str, cpuinfo: str, virtual: str
) -> None:
    texts = {"/run/systemd/container": container, "/proc/cpuinfo": cpuinfo}
    monkeypatch.setattr(facts, "_read", texts.__getitem__)
    assert Facts()["virtual"] == virtual


def test_a_host_that_lacks_a_file_still_has_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_read", lambda _path: "")

    def missing() -> dict[str, str]:
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr(platform, "freedesktop_os_release", missing)
    assert set(dict(Facts())) == set(GATHERERS)
    assert Facts()["os"]["id"] == "linux"
