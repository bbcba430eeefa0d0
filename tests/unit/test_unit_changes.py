"""What is done to units on a small machine: each step once for all, refreshes, and undoing; the real one is in tests/system."""

from __future__ import annotations

import pytest

from modules.api import ResourceError, Unsupported, Withheld
from modules.unit import Unit, daemon_reload
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import ETC, FAILING, LIB, SERVICE, STATIC, FakeSystemd
from tests.unit.units import apply_all, converge, drift_of, state_of

# What is applied


def test_each_step_is_done_once_for_all_units(host: FakeHost, systemd: FakeSystemd) -> None:
    for number in range(3):
        systemd.unit(f"on{number}.service")
        systemd.unit(f"off{number}.service", active=True)
    host.history.clear()
    converge(
        host,
        *(Unit(name=f"on{number}.service", enabled=True, active=True) for number in range(3)),
        *(Unit(name=f"off{number}.service", active=False) for number in range(3)),
    )
    for verb in (" enable ", " start ", " stop "):
        assert host.count(verb) == 1
    assert sorted(systemd.active) == ["on0.service", "on1.service", "on2.service"]


def test_masking_disables_first_and_unmasking_comes_before_the_rest(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", active=True)
    host.run("systemctl", "enable", "--", "a.service")
    converge(host, Unit(name="a.service", masked=True, active=False))
    assert f"{ETC}/multi-user.target.wants/a.service" not in host.files.entries
    converge(host, Unit(name="a.service", enabled=True, active=True))
    assert systemd.file_state("a.service") == "enabled"


def test_a_unit_that_does_not_exist_can_be_masked(host: FakeHost, systemd: FakeSystemd) -> None:
    converge(host, Unit(name="a.service", masked=True))
    assert systemd.file_state("a.service") == "masked"
    converge(host, Unit(name="a.service", masked=False))
    assert systemd.file_state("a.service") == ""


def test_a_unit_file_in_etc_cannot_be_masked_and_stays_as_it_is(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", where=ETC)
    host.run("systemctl", "enable", "--", "a.service")
    [said] = apply_all(host, Unit(name="a.service", masked=True))
    assert "cannot be masked, for its unit file is in /etc/systemd/system" in said
    assert systemd.file_state("a.service") == "enabled"


def test_a_mask_that_is_not_systemctls_is_said(host: FakeHost, systemd: FakeSystemd) -> None:
    host.files.put(f"{LIB}/a.service", "/dev/null", kind="symlink")
    systemd.daemon_reload()
    [said] = apply_all(host, Unit(name="a.service", masked=False))
    assert "is still masked" in said


def test_a_unit_that_does_not_exist_fails_alone_with_the_next_step(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service")
    said = apply_all(host, Unit(name="nope.service", enabled=True, active=True), Unit(name="a.service", enabled=True))
    assert said == [
        "unit nope.service does not exist on this host; declare the file or the package that brings it, or check the name",
        "",
    ]


def test_a_unit_file_that_just_came_is_found_after_a_daemon_reload(host: FakeHost, systemd: FakeSystemd) -> None:
    unit = Unit(name="a.service", enabled=True, active=True)
    assert "loaded" in drift_of(unit, host)
    systemd.loaded["a.service"] = systemd.load("a.service")  # remembered as missing
    host.files.put(f"{ETC}/a.service", SERVICE)
    converge(host, unit)


def test_a_unit_file_that_systemd_cannot_load_is_said(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", "[Servce]\n")
    [said] = apply_all(host, Unit(name="a.service", active=True))
    assert "systemd cannot load a.service: bad unit file setting" in said


def test_a_unit_that_fails_says_why_and_fails_alone(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("bad.service", FAILING)
    systemd.unit("good.service")
    names = ("bad.service", "good.service")
    said = apply_all(host, *(Unit(name=name, active=True) for name in names))
    assert said[0] == "start of bad.service failed: exit status 1; its journal ends:\ncannot find my configuration"
    assert said[1] == ""
    assert systemd.active == {"bad.service": "failed", "good.service": "active"}


def test_what_failed_before_is_reset_and_started(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service")
    systemd.active["a.service"] = "failed"
    converge(host, Unit(name="a.service", active=True))
    assert host.count("reset-failed -- a.service") == 1


# Refreshes


@pytest.mark.parametrize("action", ["restart", "reload"])
def test_a_refresh_never_starts_what_is_stopped(host: FakeHost, systemd: FakeSystemd, action: str) -> None:
    systemd.unit("a.service")
    Unit(name="a.service").refresh(host, action)
    systemd.active["a.service"] = "failed"
    with pytest.raises(ResourceError, match=f"a.service has failed and is not started by a {action}"):
        Unit(name="a.service").refresh(host, action)
    assert systemd.starts["a.service"] == 0


def test_a_restart_restarts_and_a_reload_reloads_or_restarts(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", STATIC + "ExecReload=/bin/true\n", active=True)
    systemd.unit("b.service", STATIC, active=True)
    Unit(name="a.service").refresh(host, "restart")
    assert systemd.starts["a.service"] == 1
    Unit(name="a.service").refresh(host, "reload")
    assert (systemd.starts["a.service"], systemd.reloads["a.service"]) == (1, 1)
    Unit(name="b.service").refresh(host, "reload")
    assert systemd.starts["b.service"] == 1


def test_a_refresh_that_fails_says_why(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", STATIC + "ExecReload=/bin/false\n", active=True)
    with pytest.raises(
        ResourceError, match=r"reload of a.service failed: Job for a.service failed(.|\n)*unknown cipher"
    ):
        Unit(name="a.service").refresh(host, "reload")
    systemd.unit("b.service", FAILING, active=True)
    with pytest.raises(ResourceError, match=r"restart of b.service failed: exit status 1(.|\n)*cannot find"):
        Unit(name="b.service").refresh(host, "restart")
    with pytest.raises(ResourceError, match="does not exist on this host"):
        Unit(name="nope.service").refresh(host, "restart")


def test_a_refresh_under_an_alias_does_not_restart_the_bus(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("dbus.service", STATIC, active=True)
    host.files.put(f"{LIB}/messagebus.service", f"{LIB}/dbus.service", kind="symlink")
    systemd.daemon_reload()
    with pytest.raises(Withheld, match=r"does not restart dbus.service under itself"):
        Unit(name="messagebus.service").refresh(host, "restart")
    assert systemd.starts["dbus.service"] == 0


def test_what_asks_for_refreshes_is_told() -> None:
    unit = Unit(name="a.service", restart_on=("file:/a",), reload_on=("file:/b/*",))
    assert unit.refresh_on() == {"restart": ("file:/a",), "reload": ("file:/b/*",)}
    assert Unit.awaits == ("daemon-reload",)
    assert Unit.restarted_by == ("active",)


def test_daemon_reload_is_for_a_running_systemd_only(host: FakeHost) -> None:
    daemon_reload(host)
    daemon_reload(FakeHost("/mnt"))
    assert host.history == []
    FakeSystemd(host)
    daemon_reload(host)
    assert host.history == ["systemctl daemon-reload"]


# Another root


def test_in_another_root_units_are_enabled_and_masked_but_not_run() -> None:
    host = FakeHost("/mnt")
    systemd = FakeSystemd(host)
    systemd.unit("a.service")
    converge(host, Unit(name="a.service", enabled=True), Unit(name="b.service", masked=True))
    assert systemd.file_state("a.service") == "enabled"
    assert systemd.file_state("b.service") == "masked"
    assert all("--root=/mnt" in line for line in host.history)
    with pytest.raises(Unsupported, match="no unit runs in the root /mnt"):
        state_of(Unit(name="a.service", active=True), host)
    Unit(name="a.service").refresh(host, "restart")
    assert host.count("restart") == 0


# What is left behind


def undone(host: FakeHost, unit: Unit) -> Unit:
    prior = state_of(unit, host)
    converge(host, unit)
    undo = unit.undo(prior)
    assert undo is not None
    converge(host, undo)
    return undo


def test_a_unit_goes_back_to_how_it_was(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", active=True)
    assert undone(host, Unit(name="a.service", enabled=True)) == Unit(name="a.service", enabled=False, masked=False)
    assert systemd.active == {"a.service": "active"}
    undone(host, Unit(name="a.service", active=False))
    assert systemd.active == {"a.service": "active"}
    host.run("systemctl", "mask", "--", "a.service")
    undone(host, Unit(name="a.service", enabled=True))
    assert systemd.file_state("a.service") == "masked"


def test_a_unit_whose_file_comes_and_leaves_with_git_is_stopped(host: FakeHost, systemd: FakeSystemd) -> None:
    unit = Unit(name="a.service", enabled=True, active=True)
    prior = state_of(unit, host)
    systemd.unit("a.service", where=ETC)
    converge(host, unit)
    assert unit.undo(prior) == Unit(name="a.service", enabled=False, active=False, masked=False)


def test_what_says_nothing_has_nothing_to_undo(host: FakeHost, systemd: FakeSystemd) -> None:
    unit = Unit(name="a.service", restart_on=("file:/x",))
    assert unit.undo(state_of(unit, host)) is None
    systemd.unit("b.service", STATIC)
    static = Unit(name="b.service", enabled=False)
    assert static.undo(state_of(static, host)) is None
