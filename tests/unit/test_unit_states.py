"""Units in each state that systemd has, and what is said of those that do not do what they are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modules.api import ResourceError, Value, Withheld
from modules.systemd import Shown, entered_since
from modules.unit import Unit
from modules.unit_state import properties
from tests.unit.convergence import difference
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import SERVICE, STATIC, FakeSystemd
from tests.unit.units import drift_of

# Whether they start at boot (reference: systemctl(1), is-enabled)

ON, OFF, MASK, UNMASK = (
    Unit(name="a.service", enabled=True),
    Unit(name="a.service", enabled=False),
    Unit(name="a.service", masked=True),
    Unit(name="a.service", masked=False),
)
MATRIX = [  # the unit file's state; LoadState; what drifts when it shall be enabled, disabled, masked, not masked
    ("enabled", "loaded", {}, {"enabled"}, {"masked"}, {}),
    ("enabled-runtime", "loaded", {"enabled"}, {"enabled"}, {"masked"}, {}),
    ("linked", "loaded", {"enabled"}, {}, {"masked"}, {}),
    ("linked-runtime", "loaded", {"enabled"}, {}, {"masked"}, {}),
    ("disabled", "loaded", {"enabled"}, {}, {"masked"}, {}),
    ("static", "loaded", {}, {}, {"masked"}, {}),
    ("indirect", "loaded", {}, {}, {"masked"}, {}),
    ("generated", "loaded", {}, {}, {"masked"}, {}),
    ("transient", "loaded", {}, {}, {"masked"}, {}),
    ("", "loaded", {}, {}, {"masked"}, {}),
    ("masked", "masked", {"enabled", "masked"}, {}, {}, {"masked"}),
    ("masked-runtime", "masked", {"enabled", "masked"}, {}, {}, {"masked"}),
    ("bad", "bad-setting", {"enabled", "loaded"}, {}, {"masked"}, {}),
    ("", "not-found", {"enabled", "loaded"}, {}, {"masked"}, {}),
]


@pytest.mark.parametrize(("file_state", "load", "on", "off", "mask", "unmask"), MATRIX)
def test_each_unit_file_state_has_its_rule(
    file_state: str, load: str, on: set[str], off: set[str], mask: set[str], unmask: set[str]
) -> None:
    shown = Shown("a.service", load, "inactive", file_state, details={})
    for unit, expected in ((ON, on), (OFF, off), (MASK, mask), (UNMASK, unmask)):
        assert set(difference(unit, unit.state(shown))) == set(expected), unit


@pytest.mark.parametrize("file_state", ["static", "indirect", "generated", "transient", ""])
def test_what_cannot_be_enabled_is_remarked(file_state: str) -> None:
    seen = properties(Shown("a.service", "loaded", "active", file_state), "a.service")
    assert "`enabled: true` does nothing" in ON.remark(seen)
    assert OFF.remark(seen) == ""
    assert ON.remark({**seen, "enabled": True}) == ""


# Whether they run

ACTIVE = [  # ActiveState, SubState, Type, Result, ExecMainStartTimestamp; whether it is as good as running, and as stopped
    ("active", "running", "simple", "success", "x", True, False),
    ("active", "exited", "oneshot", "success", "x", True, False),
    ("reloading", "reload", "notify", "success", "x", True, False),
    ("refreshing", "refresh", "notify", "success", "x", True, False),
    ("activating", "start-pre", "simple", "success", "", False, False),
    ("activating", "auto-restart", "simple", "exit-code", "x", False, False),
    ("deactivating", "stop-sigterm", "simple", "success", "x", False, False),
    ("maintenance", "x", "simple", "success", "x", False, False),
    ("inactive", "dead", "simple", "success", "x", False, True),
    ("inactive", "dead", "oneshot", "success", "x", True, True),
    ("inactive", "dead", "oneshot", "success", "", False, True),
    ("failed", "failed", "oneshot", "exit-code", "x", False, True),
    ("failed", "failed", "simple", "exit-code", "x", False, True),
]


@pytest.mark.parametrize("case", ACTIVE, ids=lambda case: " ".join(case[:4]))
def test_each_active_state_has_its_rule(case: tuple[str, str, str, str, str, bool, bool]) -> None:
    active, sub, kind, result, started, as_running, as_stopped = case
    details = {
        "SubState": sub, "Type": kind, "Result": result, "ExecMainStartTimestamp": started, "RemainAfterExit": "no",
        "WantedBy": "multi-user.target",
    }  # fmt: skip
    shown = Shown("a.service", "loaded", active, "enabled", details=details)
    run, stop = Unit(name="a.service", active=True), Unit(name="a.service", active=False)
    assert (difference(run, run.state(shown)) == {}) is as_running
    assert (difference(stop, stop.state(shown)) == {}) is as_stopped


def test_a_unit_that_its_condition_keeps_from_running_is_left_and_remarked(
    host: FakeHost, systemd: FakeSystemd
) -> None:
    systemd.unit("a.service", STATIC + "ConditionPathExists=/etc/a.conf\n")
    unit = Unit(name="a.service", active=True)
    assert drift_of(unit, host) == {}
    assert "a condition in its unit file is not met" in unit.remark(unit.observe(host))
    host.files.put("/etc/a.conf")
    assert set(drift_of(unit, host)) == {"active"}
    assert Unit.apply_all(host, [(unit, drift_of(unit, host))]) == [None]
    assert systemd.active == {"a.service": "active"}
    host.files.drop("/etc/a.conf")
    assert drift_of(unit, host) == {}


def test_a_condition_that_stops_holding_while_it_is_started_is_no_failure(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", STATIC + "ConditionPathExists=/etc/a.conf\n")
    unit = Unit(name="a.service", active=True)
    assert Unit.apply_all(host, [(unit, {})]) == [None]
    assert systemd.starts["a.service"] == 0


# What is never restarted under the agent

OURS = ["gitops-agent.service", "dbus.service", "dbus-broker.service", "systemd-logind.service", "user@1000.service",
        "systemd-networkd.service", "NetworkManager.service", "networking.service"]  # fmt: skip


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("action", ["restart", "reload"])
def test_what_the_agent_stands_on_is_left_to_a_person(
    host: FakeHost, systemd: FakeSystemd, name: str, action: str
) -> None:
    systemd.unit(name, STATIC, active=True)
    unit = Unit(name=name, restart_on=("file:/x",))
    assert not unit.problems()
    assert (
        unit.withholds(action)
        == f"the agent does not {action} {name} under itself; when it suits: systemctl {action} {name}"
    )
    with pytest.raises(Withheld, match="under itself"):
        unit.refresh(host, action)
    assert systemd.starts[name] == 0


def test_report_leaves_a_unit_alone_and_says_how_it_is_done(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", STATIC, active=True)
    unit = Unit(name="a.service", restart_on=("file:/x",), on_change="report")
    with pytest.raises(Withheld, match=r"left to you by `on_change: report`: systemctl restart a\.service"):
        unit.refresh(host, "restart")
    assert systemd.starts["a.service"] == 0


def test_a_restart_by_anyone_is_noticed(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", SERVICE)
    assert entered_since(host, "a.service", "restart", 0), "what does not run reads all when it is started"
    host.run("systemctl", "start", "--", "a.service")
    entered = systemd.entered["a.service"]
    unit = Unit(name="a.service", on_change="report")
    assert unit.refreshed_since(host, "restart", entered - 1)
    assert not unit.refreshed_since(host, "restart", entered)
    assert not unit.refreshed_since(host, "reload", entered + 1)


# What a change of its text does


@pytest.mark.parametrize(
    ("on_change", "action", "verb"),
    [
        ("restart", "restart", "try-restart"),
        ("try-restart", "restart", "try-restart"),
        ("reload-or-restart", "reload", "try-reload-or-restart"),
        ("try-reload-or-restart", "reload", "try-reload-or-restart"),
        ("reload", "reload", "reload"),
    ],
)
def test_a_change_of_its_text_does_what_is_chosen(
    host: FakeHost, systemd: FakeSystemd, on_change: str, action: str, verb: str
) -> None:
    systemd.unit("a.service", STATIC + "ExecReload=/bin/true\n", active=True)
    unit = Unit(name="a.service", on_change=on_change)
    assert (unit.refreshed_for, unit.own_refresh) == (("content", "dropins"), action)
    unit.refresh(host, unit.own_refresh)
    assert host.count(f"systemctl {verb} -- a.service") == 1


@pytest.mark.parametrize("on_change", ["restart", "reload-or-restart", "reload"])
def test_one_that_has_failed_is_an_error(host: FakeHost, systemd: FakeSystemd, on_change: str) -> None:
    systemd.unit("a.service", STATIC + "ExecReload=/bin/true\n")
    systemd.active["a.service"] = "failed"
    unit = Unit(name="a.service", on_change=on_change)
    with pytest.raises(ResourceError, match=r"a\.service has failed and is not started by a"):
        unit.refresh(host, unit.own_refresh)


@pytest.mark.parametrize("on_change", ["try-restart", "try-reload-or-restart"])
@pytest.mark.parametrize("active", ["failed", "inactive"])
def test_with_try_only_what_runs_is_refreshed(
    host: FakeHost, systemd: FakeSystemd, on_change: str, active: str
) -> None:
    systemd.unit("a.service", STATIC + "ExecReload=/bin/true\n")
    systemd.active["a.service"] = active
    unit = Unit(name="a.service", on_change=on_change)
    unit.refresh(host, unit.own_refresh)
    assert (systemd.starts["a.service"], systemd.reloads["a.service"]) == (0, 0)
    assert systemd.active["a.service"] == active


def test_reload_never_restarts_what_cannot_reload(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", STATIC, active=True)
    with pytest.raises(ResourceError, match=r"not applicable for unit a\.service"):
        Unit(name="a.service", on_change="reload").refresh(host, "reload")
    assert systemd.starts["a.service"] == 0


def test_the_wish_alone_can_be_asked_for() -> None:
    wishes: dict[str, Value] = dict(replace(ON, active=False).desired({}))
    assert {name: value for name, value in wishes.items() if value is not None} == {
        "enabled": True, "active": False, "masked": False, "loaded": "current",
    }  # fmt: skip
