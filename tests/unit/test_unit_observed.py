"""What a unit shows on a small machine, and what of that is in sync with which wish."""

from __future__ import annotations

import pytest

from modules.api import Change, ResourceError, Unsupported
from modules.systemd import look, look_closely
from modules.unit import Unit
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import ETC, FAILING, LIB, ONESHOT, RUN, SERVICE, STATIC, FakeSystemd
from tests.unit.units import apply_all, converge, drift_of, state_of

# What is observed

ENABLED_MATRIX = [  # how it is, what is in sync with `enabled: true`, and with `enabled: false`
    ("enabled", True, False),
    ("enabled-runtime", False, False),
    ("disabled", False, True),
    ("static", True, True),
    ("indirect", True, True),
    ("masked", False, True),
    ("masked-runtime", False, True),
    ("not-found", False, True),
]


def bring(systemd: FakeSystemd, state: str, name: str = "a.service") -> None:
    """Have a unit whose file state is this one."""
    texts = {"static": STATIC, "indirect": "[Service]\nExecStart=/bin/sleep\n[Install]\nAlso=b.service\n"}
    if state != "not-found":
        systemd.unit(name, texts.get(state, SERVICE))
    runtime = ["--runtime"] if state.endswith("-runtime") else []
    if state.startswith(("enabled", "masked")):
        systemd.host.run("systemctl", {"e": "enable", "m": "mask"}[state[0]], *runtime, "--", name)


@pytest.mark.parametrize(("state", "as_enabled", "as_disabled"), ENABLED_MATRIX)
def test_each_unit_file_state_is_brought_to_each_wish(
    host: FakeHost, systemd: FakeSystemd, state: str, as_enabled: bool, as_disabled: bool
) -> None:
    for enabled in (True, False):
        if state == "not-found" and enabled:
            continue
        bring(systemd, state)
        unit = Unit(name="a.service", enabled=enabled)
        converge(host, unit)
        good = ("enabled",) if enabled else ("", "disabled", "masked", "masked-runtime")
        assert systemd.file_state("a.service") in (*good, "static", "indirect")
        for place in (ETC, RUN):
            host.files.unlink(f"{place}/a.service")
            host.files.unlink(f"{place}/multi-user.target.wants/a.service")


def test_the_plan_says_what_differs(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service")
    assert drift_of(Unit(name="a.service", enabled=True, active=True), host) == {
        "enabled": Change(False, True),
        "active": Change(False, True),
    }
    bring(systemd, "masked")
    assert drift_of(Unit(name="a.service", active=True), host) == {
        "masked": Change(True, False),
        "active": Change(False, True),
    }


def test_a_unit_that_an_earlier_step_may_bring_does_not_break_the_plan(host: FakeHost, systemd: FakeSystemd) -> None:
    assert drift_of(Unit(name="a.service", enabled=True, active=True), host) == {
        "enabled": Change(False, True),
        "active": Change(False, True),
        "loaded": Change("not-found", "current"),
    }
    assert drift_of(Unit(name="a.service", enabled=False, active=False, masked=False), host) == {}


def test_an_alias_is_the_unit_behind_it(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("httpd.service", active=True)
    host.files.put(f"{LIB}/web.service", f"{LIB}/httpd.service", kind="symlink")
    systemd.daemon_reload()
    web = Unit(name="web.service", enabled=True, active=True)
    assert state_of(web, host)["alias_of"] == "httpd.service"
    [error] = apply_all(host, Unit(name="web.service", masked=True))
    assert error == "web.service is another name of httpd.service; declare that one as masked"
    disabled = Unit(name="web.service", enabled=False)
    assert disabled.undo({"enabled": True, "alias_of": "httpd.service"}) == Unit(name="httpd.service", enabled=True)
    assert drift_of(web, host) == {"enabled": Change(False, True)}
    converge(host, web)
    assert systemd.file_state("httpd.service") == "enabled"


def test_templates_and_instances(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("worker@.service")
    assert drift_of(Unit(name="worker@.service", enabled=False), host) == {}
    converge(host, Unit(name="worker@1.service", enabled=True, active=True))
    assert systemd.active == {"worker@1.service": "active"}
    converge(host, Unit(name="worker@.service", masked=True))
    assert systemd.file_state("worker@.service") == "masked"


def test_enabled_is_read_from_disk_and_not_from_what_systemd_remembers(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", active=True)
    unit = Unit(name="a.service", enabled=True, active=True)
    converge(host, unit)
    host.files.unlink(f"{ETC}/multi-user.target.wants/a.service")
    assert drift_of(unit, host) == {"enabled": Change(False, True)}


def test_many_running_units_cost_one_call(host: FakeHost, systemd: FakeSystemd) -> None:
    names = [f"u{number}.service" for number in range(40)]
    for name in names:
        systemd.unit(name, active=True)
    host.run("systemctl", "enable", "--", *names)
    host.history.clear()
    units = [Unit(name=name, enabled=True, active=True) for name in names]
    assert Unit.observe_all(host, units) == [
        {"enabled": True, "active": True, "masked": False, "loaded": "current", "content": "absent", "dropins": ()}
        for _ in units
    ]
    assert len(host.history) == 1
    assert look(host, names).keys() == look_closely(host, names).keys()
    assert [unit.observe(host) for unit in units] == Unit.observe_all(host, units)


def test_a_short_look_and_a_close_one_come_to_the_same(host: FakeHost, systemd: FakeSystemd) -> None:
    for number, (state, _, _) in enumerate(ENABLED_MATRIX):
        bring(systemd, state, f"u{number}.service")
        host.run("systemctl", "start", "--", f"u{number}.service", accept=(0, 1))
    systemd.unit("failing.service", FAILING)
    host.run("systemctl", "start", "--", "failing.service", accept=(1,))
    names = [*(f"u{number}.service" for number in range(len(ENABLED_MATRIX))), "failing.service"]
    short, close = look(host, names), look_closely(host, names)
    assert sum(shown.details is None for shown in short.values()) == 1
    for name in names:
        unit = Unit(name=name, enabled=True, active=True)
        assert unit.state(short[name]) == unit.state(close[name])


@pytest.mark.parametrize("change", ["unit file", "drop-in", "new drop-in", "template drop-in", "link"])
def test_files_that_systemd_has_not_read_again_are_noticed(host: FakeHost, systemd: FakeSystemd, change: str) -> None:
    unit = Unit(name="a@1.service", enabled=True, active=True)
    systemd.unit("a@.service")
    host.files.put(f"{ETC}/a@1.service.d/old.conf", "Environment=X=1\n")
    host.files.put("/opt/target.conf", "Environment=X=1\n")
    converge(host, unit)
    if change == "unit file":
        host.files.put(f"{LIB}/a@.service", SERVICE + "# edited\n")
    elif change == "drop-in":
        host.files.drop(f"{ETC}/a@1.service.d/old.conf")
        host.files.put(f"{ETC}/a@1.service.d/new.conf", "Environment=X=2\n")
    elif change == "new drop-in":
        host.files.put(f"{LIB}/a@1.service.d/extra.conf", "Environment=X=2\n")
    elif change == "template drop-in":
        host.files.put(f"{ETC}/a@.service.d/extra.conf", "Environment=X=2\n")
    else:
        host.files.put(f"{ETC}/a@1.service.d/link.conf", "/opt/target.conf", kind="symlink")
        assert look(host, [unit.name])[unit.name].details is not None  # what is behind a link cannot be told apart
        return
    assert drift_of(unit, host) == {"loaded": Change("stale", "current")}
    host.history.clear()
    if change == "template drop-in":
        return  # the small machine's systemd reads no drop-ins of templates
    converge(host, unit)
    assert host.count("daemon-reload") == 1
    assert systemd.starts["a@1.service"] == 1


def test_a_host_without_systemd_is_unsupported(host: FakeHost) -> None:
    with pytest.raises(Unsupported, match="units need systemd"):
        state_of(Unit(name="a.service", enabled=True), host)


# Active or not


@pytest.mark.parametrize(
    ("state", "as_active", "as_inactive"),
    [
        ("active", True, False),
        ("reloading", True, False),
        ("inactive", False, True),
        ("failed", False, True),
        ("activating", False, False),
        ("deactivating", False, False),
    ],
)
def test_each_active_state_has_its_rule(
    host: FakeHost, systemd: FakeSystemd, state: str, as_active: bool, as_inactive: bool
) -> None:
    systemd.unit("a.service")
    systemd.active["a.service"] = state
    if state == "inactive":
        systemd.active.clear()
    assert (drift_of(Unit(name="a.service", active=True), host) == {}) is as_active
    assert (drift_of(Unit(name="a.service", active=False), host) == {}) is as_inactive
    converge(host, Unit(name="a.service", active=True))
    assert systemd.active == {"a.service": state if as_active else "active"}
    converge(host, Unit(name="a.service", active=False))
    assert systemd.active == {}


def test_a_oneshot_that_ran_well_is_not_run_again(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("once.service", ONESHOT + "[Install]\nWantedBy=multi-user.target\n")
    once = Unit(name="once.service", enabled=True, active=True)
    converge(host, once)
    assert state_of(once, host)["active"] == "ran and ended"
    assert systemd.starts["once.service"] == 1
    assert drift_of(Unit(name="once.service", active=False), host) == {}


def test_a_oneshot_that_systemd_forgets_is_an_error_and_never_run_in_a_loop(
    host: FakeHost, systemd: FakeSystemd
) -> None:
    systemd.unit("once.service", ONESHOT)
    with pytest.raises(ResourceError, match="set RemainAfterExit=yes in it, enable it, or have a timer start it"):
        state_of(Unit(name="once.service", active=True), host)
    systemd.unit("stays.service", ONESHOT + "RemainAfterExit=yes\n")
    converge(host, Unit(name="stays.service", active=True))
    assert systemd.starts == {"stays.service": 1}
