"""The kinds of checks: what each sees, how they are declared, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import pytest

from agent.errors import ManifestInvalid
from agent.reconcile import WatchedHost
from modules.api import Completed, ResourceError
from modules.checks import (
    CHECKS,
    Check,
    CommandCheck,
    ContainerCheck,
    FileAge,
    Health,
    Http,
    Tcp,
    UnitCheck,
    built_in,
)
from modules.container import Container
from modules.file import File
from modules.unit import Unit
from tests.unit.fake_engine import FakeEngine
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import FAILING, ONESHOT, FakeSystemd
from tests.unit.following import Branch, compiler
from tests.unit.world import file

WELL, ILL, UNKNOWN = Health.HEALTHY, Health.DEGRADED, Health.UNKNOWN


def ask(check: Check, host: FakeHost) -> tuple[Health, str]:
    (seen,) = type(check).ask_all(cast("WatchedHost", host), [check])
    return seen.health, seen.message


def test_http(host: FakeHost) -> None:
    check = Http(url="http://a/", contains="fine")
    assert ask(check, host) == (ILL, "http://a/ does not answer: connection refused")
    host.answers["http://a/"] = (503, "fine")
    assert ask(check, host) == (ILL, "http://a/ answers with status 503, not 200")
    host.answers["http://a/"] = (200, "broken")
    assert ask(check, host) == (ILL, "http://a/ answers without 'fine'")
    host.answers["http://a/"] = (200, "all is fine")
    assert ask(check, host) == (WELL, "")
    assert ask(dataclasses.replace(check, status=204), host)[0] is ILL


def test_tcp(host: FakeHost) -> None:
    assert ask(Tcp(address="a:1"), host) == (ILL, "nothing accepts connections at a:1: connection refused")
    host.listening.add("a:1")
    assert ask(Tcp(address="a:1"), host) == (WELL, "")


def test_command(host: FakeHost) -> None:
    host.programs |= {"true": lambda _: Completed(0, "", ""), "false": lambda _: Completed(1, "", "no")}
    assert ask(CommandCheck(name="a", argv=("true",)), host) == (WELL, "")
    assert ask(CommandCheck(name="a", argv=("false", "x")), host) == (ILL, "false x failed with status 1: no")


def test_file_age(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 10_000.0)
    check = FileAge(path="/a", max_seconds=60)
    assert ask(check, host) == (ILL, "/a is not there")
    host.files.put("/a", mtime_ns=9_000 * 10**9)
    assert ask(check, host) == (ILL, "/a was written 1000 s ago, more than 60 s")
    host.files.put("/a", mtime_ns=9_940 * 10**9)
    assert ask(check, host) == (WELL, "")


def test_unit(host: FakeHost, systemd: FakeSystemd) -> None:
    assert ask(UnitCheck(name="a.service"), host) == (ILL, "a.service does not exist")
    systemd.unit("a.service")
    assert ask(UnitCheck(name="a.service"), host)[0] is ILL
    systemd.active["a.service"] = "active"
    assert ask(UnitCheck(name="a.service"), host) == (WELL, "")
    systemd.active["a.service"] = "deactivating"
    assert ask(UnitCheck(name="a.service"), host)[0] is Health.PROGRESSING
    systemd.active["a.service"] = "activating"
    assert "started again" in ask(UnitCheck(name="a.service"), host)[1], "in auto-restart it is not about to be well"
    systemd.unit("b.service", FAILING)
    host.run("systemctl", "start", "--", "b.service", accept=range(256))
    assert ask(UnitCheck(name="b.service"), host) == (ILL, "b.service is failed (exit-code)")


def test_a_oneshot_that_is_done_is_well(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", ONESHOT)
    assert ask(UnitCheck(name="a.service"), host) == (WELL, "")


def test_many_units_are_asked_at_once(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", active=True)
    checks = [UnitCheck(name="a.service"), UnitCheck(name="b.service")]
    seen = UnitCheck.ask_all(cast("WatchedHost", host), checks)
    assert [found.health for found in seen] == [WELL, ILL]
    assert host.count("systemctl") == 1


def test_units_that_cannot_be_asked_are_unknown(host: FakeHost) -> None:
    assert ask(UnitCheck(name="a.service"), host) == (UNKNOWN, "systemctl is not installed on this host")
    host.programs["systemctl"] = lambda _: Completed(0, "ActiveState=active\n\nActiveState=active\n", "")
    assert ask(UnitCheck(name="a*"), host) == (UNKNOWN, "systemd tells of 2 units, not of 1")


def test_container(host: FakeHost) -> None:
    check = ContainerCheck(name="web")
    assert ask(check, host)[0] is UNKNOWN, "there is no engine"
    entries: dict[str, Any] = {}
    host.containers = FakeEngine("app:1")
    host.containers.containers = lambda _names: entries  # type: ignore[method-assign, assignment]
    assert ask(check, host) == (ILL, "container web does not exist")
    for state, status, expected in [
        ("exited", "Exited (1)", ILL),
        ("running", "Up 3 s (unhealthy)", ILL),
        ("running", "Up 3 s (health: starting)", Health.PROGRESSING),
        ("running", "Up 3 s (healthy)", WELL),
        ("running", "Up 3 s", WELL),
    ]:
        entries["web"] = {"State": state, "Status": status}
        assert ask(check, host)[0] is expected, status


def test_one_list_answers_for_all_containers(host: FakeHost) -> None:
    asked: list[Sequence[str]] = []
    entries = {"web": {"State": "running"}, "db": {"State": "exited"}}
    host.containers = FakeEngine("app:1")
    host.containers.containers = lambda names: asked.append(names) or entries  # type: ignore[method-assign, func-returns-value]
    seen = ContainerCheck.ask_all(host, [ContainerCheck(name=name) for name in ("web", "db", "gone")])
    assert [each.health for each in seen] == [WELL, ILL, ILL]
    assert asked == [["web", "db", "gone"]]


def test_one_that_breaks_is_unknown_and_alone(host: FakeHost) -> None:
    def http(url: str, timeout_seconds: float) -> tuple[int, str]:
        if "bad" in url:
            raise KeyError("x")
        return 200, ""

    host.http = http  # type: ignore[method-assign]
    seen = Http.ask_all(cast("WatchedHost", host), [Http(url="http://bad/"), Http(url="http://good/")])
    assert [found.health for found in seen] == [UNKNOWN, WELL]
    assert seen[0].message == "it cannot be asked: KeyError: 'x'"


def test_what_cannot_be_looked_at_is_unknown(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def lstat(_path: str) -> None:
        raise ResourceError("/a: permission denied")

    monkeypatch.setattr(host.files, "lstat", lstat)
    assert ask(FileAge(path="/a"), host) == (UNKNOWN, "/a: permission denied")


def test_what_resources_bring() -> None:
    assert built_in(Unit(name="a.service", active=True)) == (UnitCheck(name="a.service"),)
    assert built_in(Container(name="web", image="app:1")) == (ContainerCheck(name="web"),)
    for none in (Unit(name="a.service", active=False), Unit(name="a.service", enabled=True), File(path="/a")):
        assert built_in(none) == ()
    assert built_in(Container(name="web", image="app:1", ensure="stopped")) == ()


# As declared


def declared(*checks: str) -> tuple[Check, ...]:
    branch = Branch()
    branch.push(file("/etc/a"), checks)
    return compiler(branch.fetch(None)).catalog.checks


def test_they_are_read_with_values_and_conditions() -> None:
    found = declared(
        "http: 'http://{{ host }}/'\n    timeout: 9\n    contains: ok\n",
        "tcp: localhost:1\n    when: \"host == 'other'\"\n",
        "command: ready\n    argv: [test, -e, /ready]\n    required: false\n",
        "file_age: /srv/backup\n    max_seconds: 60\n",
        "unit: a.service\n",
        "container: web\n",
        "unit: a.service\n",
    )
    assert found == (
        Http(url="http://web-01/", timeout=9, contains="ok"),
        CommandCheck(name="ready", argv=("test", "-e", "/ready"), required=False),
        FileAge(path="/srv/backup", max_seconds=60),
        UnitCheck(name="a.service"),
        ContainerCheck(name="web"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("htpp: http://a/\n", 'unknown check "htpp"; did you mean http?'),
        ("http: http://a/\n    staus: 200\n", "did you mean status?"),
        ("http: http://a/\n    timeout: 301\n", "must be a whole number of seconds from 1 to 300"),
        ("http: http://a/\n    timeout: true\n", "must be a whole number of seconds"),
        ("http: http://a/\n    required: maybe\n", "must be true or false"),
        ("file_age: etc/a\n", "must be an absolute path"),
        ("file_age: /a/../b\n", "must not contain '..'"),
        ("file_age: /a\n    max_seconds: 0\n", "must be a whole number of seconds from 1 to "),
        ("file_age: /a\n    max_seconds: 1h\n", "must be a whole number of seconds from 1 to "),
        ("http: localhost/ready\n", "must be an http or https URL such as http://localhost:8080/health, not "),
        ("http: ftp://a/\n", "must be an http or https URL"),
        ("http: 'http://'\n", "must be an http or https URL"),
        ("http: http://a:0/\n", "must be an http or https URL"),
        ("http: http://a:80000/\n", "must be a URL, not 'http://a:80000/': Port out of range"),
        ("http: http://a:web/\n", "must be a URL, not "),
        ("http: 'http://[::1/'\n", "must be a URL, not "),
        ("http: http://me:secret@a/\n", "must not have a password"),
        ("http: 'http://a/#top'\n", "must not have a `#`"),
        ("http: 'http://a/b c'\n", "must have what is not ASCII, and spaces, in percent signs"),
        ("http: http://bücher.example/\n", "must have what is not ASCII"),
        ("http: http://a/\n    status: 20\n", "must be a status of HTTP from 100 to 599, not 20"),
        ("tcp: localhost\n", "must be HOST:PORT such as localhost:5432"),
        ("tcp: ':80'\n", "must be HOST:PORT"),
        ("tcp: a b:80\n", "must be HOST:PORT"),
        ("tcp: http://a:80\n", "must be HOST:PORT"),
        ("tcp: a:http\n", "must have a port from 1 to 65535"),
        ("tcp: a:0\n", "must have a port from 1 to 65535"),
        ("tcp: a:65536\n", "must have a port from 1 to 65535"),
        ("tcp: a:²\n", "must have a port from 1 to 65535"),
        ("tcp: '::1:80'\n", "must have an IPv6 address in brackets"),
        ("command: ready\n", "command:ready: argv is missing"),
        ("command: ready\n    argv: []\n", "must be a list of texts, the program first"),
        ("command: ready\n    argv: test -e /a\n", "must be a list of texts, the program first, not text"),
        ("command: ready\n    argv: ['']\n", "must begin with a program"),
        ("command: ready\n    argv: [bin/ready]\n", "must begin with a program, by its name or its absolute path"),
        ("command: ready\n    argv: [test, 1]\n", "must be text, not the number 1"),
        ("unit: nginx\n", "`nginx` has no suffix"),
        ("unit: 'web-*.service'\n", "no globs"),
        ("unit: getty@.service\n", "is a template, which never runs; name an instance such as getty@NAME.service"),
        ("container: web/1\n", "must be 2 to 200 letters"),
        ("unit: a.service\n    requires: file:/etc/a\n", 'unknown field "requires"'),
        ("just text\n", "a check is a mapping such as"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ManifestInvalid) as error:
        declared(text)
    assert message in str(error.value)
    assert "hosts/web-01.yaml:" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "http: 'https://[::1]:8443/ready?deep=1'\n",
        "tcp: '[::1]:80'\n",
        "tcp: db-1.example.org:5432\n",
        "unit: dev-sda.device\n",
        "unit: getty@tty1.service\n",
        "command: ready\n    argv: [/usr/bin/test, -e, '']\n",
    ],
)
def test_what_is_right_is_taken(text: str) -> None:
    assert len(declared(text)) == 1


def test_what_is_wrong_with_checks_is_told_with_what_is_wrong_with_resources() -> None:
    branch = Branch()
    branch.push(file("/etc/a", moda="644"), ["tcp: a\n", "http: a\n"])
    with pytest.raises(ManifestInvalid) as error:
        compiler(branch.fetch(None))
    assert [found.place.line for found in error.value.problems] == [4, 6, 7], str(error.value)


def test_every_kind_says_what_it_is_for() -> None:
    for name, kind in CHECKS.items():
        assert kind.kind == name
        assert (kind.__doc__ or "").partition("\n")[0].endswith(".")
        assert all(field.metadata["doc"].endswith(".") for field in dataclasses.fields(kind)), name
