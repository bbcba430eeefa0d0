"""Units on a small machine whose systemd acts by the unit files that lie there; the real one is met in tests/system."""

from __future__ import annotations

import pytest

from modules.api import Change, Drift, ResourceError, State, Unsupported
from modules.systemd import look, look_closely, paths_of
from modules.unit import Unit, daemon_reload
from tests.unit.convergence import difference
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import ETC, FAILING, LIB, ONESHOT, RUN, SERVICE, STATIC, FakeSystemd


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def systemd(host: FakeHost) -> FakeSystemd:
    return FakeSystemd(host)


def state_of(unit: Unit, host: FakeHost) -> State:
    return unit.observe(host)


def drift_of(unit: Unit, host: FakeHost) -> Drift:
    return difference(unit, unit.observe(host))


def apply_all(host: FakeHost, *units: Unit) -> list[str]:
    """Apply as the agent does: only what drifts; what each said, empty when it is in sync afterwards."""
    drifting = [(unit, drift) for unit in units if (drift := drift_of(unit, host))]
    errors = Unit.apply_all(host, drifting)
    for (unit, _), error in zip(drifting, errors, strict=True):
        assert error or drift_of(unit, host) == {}
    return [str(error or "") for error in errors]


def converge(host: FakeHost, *units: Unit) -> None:
    assert not any(apply_all(host, *units))
    assert [drift_of(unit, host) for unit in units] == [{} for _ in units]


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
        (Unit(name="gitops-agent.service", restart_on=("file:/x",)), "under itself"),
        (Unit(name="gitops-agent.service", active=False), "does not stop"),
        (Unit(name="dbus.service", reload_on=("file:/x",)), "under itself"),
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
def test_each_unit_file_state_has_its_rule(
    host: FakeHost, systemd: FakeSystemd, state: str, as_enabled: bool, as_disabled: bool
) -> None:
    bring(systemd, state)
    assert (drift_of(Unit(name="a.service", enabled=True), host) == {}) is as_enabled
    assert (drift_of(Unit(name="a.service", enabled=False), host) == {}) is as_disabled
    masked = state.startswith("masked")
    assert (drift_of(Unit(name="a.service", masked=True), host) == {}) is masked
    assert (drift_of(Unit(name="a.service", masked=False), host) == {}) is not masked


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
        {"enabled": True, "active": True, "masked": False, "loaded": "current"} for _ in units
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
    assert drift_of(Unit(name="once.service", active=False), host) == {"active": Change("ran and ended", False)}


def test_a_oneshot_that_systemd_forgets_is_an_error_and_never_run_in_a_loop(
    host: FakeHost, systemd: FakeSystemd
) -> None:
    systemd.unit("once.service", ONESHOT)
    with pytest.raises(ResourceError, match="set RemainAfterExit=yes in it, enable it, or have a timer start it"):
        state_of(Unit(name="once.service", active=True), host)
    systemd.unit("stays.service", ONESHOT + "RemainAfterExit=yes\n")
    converge(host, Unit(name="stays.service", active=True))
    assert systemd.starts == {"stays.service": 1}


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
    systemd.unit("never.service", STATIC + "ConditionPathExists=/nowhere\n")
    names = ("bad.service", "good.service", "never.service")
    said = apply_all(host, *(Unit(name=name, active=True) for name in names))
    assert said[0] == "start of bad.service failed: exit status 1; its journal ends:\ncannot find my configuration"
    assert said[1] == ""
    assert "a condition of it is not met" in said[2]
    assert "skipped because of an unmet condition" in said[2]
    assert systemd.active == {"bad.service": "failed", "good.service": "active"}


def test_what_failed_before_is_reset_and_started(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service")
    systemd.active["a.service"] = "failed"
    converge(host, Unit(name="a.service", active=True))
    assert host.count("reset-failed -- a.service") == 1


# Refreshes


@pytest.mark.parametrize("action", ["restart", "reload"])
@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_refresh_never_starts_what_is_stopped(host: FakeHost, systemd: FakeSystemd, action: str, state: str) -> None:
    systemd.unit("a.service")
    if state == "failed":
        systemd.active["a.service"] = "failed"
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
    with pytest.raises(ResourceError, match=r"does not restart dbus.service under itself"):
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
