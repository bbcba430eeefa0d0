"""Units on a small machine whose systemd acts by the unit files that lie there; the real one is met in tests/system."""

from __future__ import annotations

import pytest

from modules.systemd import paths_of
from modules.unit import Unit

# What is written in Git


@pytest.mark.parametrize(
    "name", ["nginx.service", "getty@tty1.service", r"dev-disk-by\x2duuid-1.mount", "-.mount", "a:b.timer", "x.slice"]
)
def test_full_unit_names_are_taken(name: str) -> None:
    assert not Unit(name=name, enabled=True).problems()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nginx", "such as nginx.service"),
        ("php8.2-fpm", "such as php8.2-fpm.service"),
        (".service", "no suffix"),
        ("nginx*.service", "no globs"),
        ("/etc/systemd/system/a.service", "no paths"),
        ("a b.service", "not the name"),
        ("sda.device", "device is not held"),
        ("session-1.scope", "scope is not held"),
    ],
)
def test_what_is_not_the_name_of_one_unit_is_refused(name: str, says: str) -> None:
    [problem] = Unit(name=name, active=True).problems()
    assert says in problem


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        (Unit(name="a.service"), "says nothing"),
        (Unit(name="a.service", masked=True, enabled=True), "`masked: true` keeps it"),
        (Unit(name="a.service", masked=True, active=True), "`masked: true` keeps it"),
        (Unit(name="a@.service", active=True), "such as a@NAME.service"),
        (Unit(name="a@.service", enabled=True, restart_on=("file:/x",)), "is a template"),
        (Unit(name="gitops-agent.service", active=False), "does not stop"),
        (Unit(name="a.service", active=True, timeout=0), "at least 1 second"),
        (Unit(name="systemd-logind.service", masked=True), "does not stop or mask"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(unit: Unit, says: str) -> None:
    [problem] = unit.problems()
    assert says in problem


@pytest.mark.parametrize(
    "unit",
    [
        Unit(name="a.service", restart_on=("file:/x",)),
        Unit(name="a.service", masked=True, enabled=False, active=False),
        Unit(name="a@.service", enabled=True),
        Unit(name="gitops-agent.service", enabled=True, active=True),
    ],
)
def test_wishes_that_make_sense_are_taken(unit: Unit) -> None:
    assert not unit.problems()


# Edges


def test_a_unit_comes_after_its_files_drop_ins_template_and_package() -> None:
    needs = Unit(name="app-web@blue.service", active=True).needs()
    for key in (
        "path:/etc/systemd/system/app-web@blue.service",
        "path:/etc/systemd/system/app-web@.service",
        "in:/etc/systemd/system/app-web@blue.service.d",
        "in:/etc/systemd/system/app-web@.service.d",
        "in:/etc/systemd/system/app-.service.d",
        "in:/etc/systemd/system/service.d",
        "path:/usr/local/lib/systemd/system/app-web@.service",
        "package:app-web",
    ):
        assert (key,) in needs
    assert ("path:/etc/systemd/system/backup.service",) in Unit(name="backup.timer", active=True).needs()
    assert Unit(name="a.service").provides() == ("unit:a.service",)


def test_the_names_of_a_units_files() -> None:
    assert paths_of("a-b-c.service") == [
        "a-b-c.service", "a-b-c.service.d", "a-b-.service.d", "a-.service.d", "service.d",
    ]  # fmt: skip
