"""The text of units in the resource itself, on a small machine: written, shown, restarted for, and taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modules.api import ResourceError
from modules.systemd import daemon_reload
from modules.unit import Unit
from modules.unit_text import MARK
from tests.unit.convergence import text
from tests.unit.fake_host import FakeHost
from tests.unit.fake_systemd import ETC, LIB, RUN, SERVICE, FakeSystemd
from tests.unit.units import drift_of

PATH = f"{ETC}/a.service"
DROPIN = f"{ETC}/a.service.d/limits.conf"
LIMITS = "[Service]\nLimitNOFILE=65536\n"
WHOLE = Unit(name="a.service", content=text(SERVICE), enabled=True, active=True)
ADDED = Unit(name="a.service", dropins={"limits.conf": text(LIMITS)})


def converge(host: FakeHost, *units: Unit) -> set[str]:
    """Apply what drifts; nothing is left. What drifted."""
    drifting = [(unit, drift) for unit in units if (drift := drift_of(unit, host))]
    assert [error for error in Unit.apply_all(host, drifting) if error] == []
    assert [drift_of(unit, host) for unit in units] == [{} for _ in units]
    return {name for _, drift in drifting for name in drift}


# Written in Git


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        (replace(WHOLE, source=text("x")), "only one of content and source"),
        (Unit(name="a.service", template=text("x"), masked=True), "stands where template would be"),
        (
            Unit(name="a.service", content=replace(text("x"), secret=True)),
            "a secret has no place in a unit's text",
        ),
        (Unit(name="a.service", dropins={"limits": text("x")}), "ends in .conf, such as limits.conf"),
        (Unit(name="a.service", dropins={"../x.conf": text("x")}), "is not the name of a drop-in"),
    ],
)
def test_texts_that_make_no_sense_are_refused(unit: Unit, says: str) -> None:
    [problem] = unit.problems()
    assert says in problem


@pytest.mark.parametrize(
    "unit", [Unit(name="a@.service", content=text("x")), ADDED, Unit(name="a.slice", source=text("x"))]
)
def test_a_text_is_enough_to_say(unit: Unit) -> None:
    assert not unit.problems()


def test_a_unit_provides_its_files_so_that_no_file_is_declared_for_them_too() -> None:
    both = replace(WHOLE, dropins=ADDED.dropins)
    files = [key for path in (PATH, DROPIN) for key in (f"path:{path}", f"content:{path}")]
    assert both.provides() == ("unit:a.service", *files)


# Written on the host


def test_a_unit_is_written_read_enabled_and_started_with_one_reload(host: FakeHost, systemd: FakeSystemd) -> None:
    other = replace(WHOLE, name="b.service")
    assert converge(host, WHOLE, other) == {"content", "enabled", "active", "loaded"}
    assert host.files.read(PATH) == MARK + SERVICE.encode()
    assert (host.files.entries[PATH].mode, host.files.entries[PATH].owner) == (0o644, (0, 0))
    assert systemd.active == {"a.service": "active", "b.service": "active"}
    assert host.count("daemon-reload") == 1
    assert converge(host, WHOLE, other) == set()
    assert host.count("daemon-reload") == 1


def test_drop_ins_add_to_what_a_package_brought(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", active=True)
    assert converge(host, ADDED) == {"dropins"}
    assert host.files.read(DROPIN) == MARK + LIMITS.encode()
    assert systemd.loaded["a.service"].settings["LimitNOFILE"] == "65536"
    assert (systemd.starts["a.service"], host.count("daemon-reload")) == (0, 1)


@pytest.mark.parametrize("spoil", ["edited", "removed", "mode", "owner", "masked", "unmarked and edited"])
def test_an_edit_by_hand_is_undone(host: FakeHost, systemd: FakeSystemd, spoil: str) -> None:
    converge(host, WHOLE)
    if spoil == "edited":
        host.files.put(PATH, MARK + b"[Service]\nExecStart=/bin/cat\n")
    elif spoil == "unmarked and edited":
        host.files.put(PATH, "[Service]\nExecStart=/bin/cat\n")
    elif spoil == "removed":
        host.files.drop(PATH)
    elif spoil == "mode":
        host.files.set_mode(PATH, 0o666)
    elif spoil == "owner":
        host.files.set_owner(PATH, 1000, 1000)
    else:
        host.files.put(PATH, "/dev/null", kind="symlink")
        systemd.daemon_reload()
    assert "content" in converge(host, WHOLE)
    assert host.files.read(PATH) == MARK + SERVICE.encode()
    assert (host.files.entries[PATH].mode, host.files.entries[PATH].owner) == (0o644, (0, 0))


def test_a_mask_in_run_does_not_hold_against_a_file_in_etc(host: FakeHost, systemd: FakeSystemd) -> None:
    converge(host, WHOLE)
    host.run("systemctl", "mask", "--runtime", "--", "a.service")
    assert f"{RUN}/a.service" in host.files.entries
    assert drift_of(WHOLE, host) == {}


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo"])
def test_what_else_stands_at_the_path_is_not_replaced(host: FakeHost, systemd: FakeSystemd, kind: str) -> None:
    host.files.put(PATH, "/opt/other.service", kind=kind)
    [error] = Unit.apply_all(host, [(WHOLE, drift_of(WHOLE, host))])
    assert isinstance(error, ResourceError)
    assert "the text of the unit is wanted there; remove it by hand" in str(error)
    assert host.files.entries[PATH].type == kind
    assert not [path for path in host.files.entries if path.endswith(".staged")]


def test_the_same_text_without_our_line_is_in_sync_and_stays_when_it_leaves_git(
    host: FakeHost, systemd: FakeSystemd
) -> None:
    systemd.unit("a.service", where=ETC, active=True)
    unit = Unit(name="a.service", content=text(SERVICE))
    prior = unit.observe(host)
    assert drift_of(unit, host) == {}
    undo = unit.undo(prior)
    assert undo is None
    assert drift_of(Unit(name="a.service", active=True), host) == {}


def test_its_install_section_is_read_again_when_it_changed(host: FakeHost, systemd: FakeSystemd) -> None:
    converge(host, WHOLE)
    assert systemd.reenabled["a.service"] == 0
    converge(host, replace(WHOLE, content=text(SERVICE + "# other\n")))
    assert systemd.reenabled["a.service"] == 1


def test_in_another_root_texts_are_written_and_nothing_is_told_to_systemd() -> None:
    host = FakeHost("/mnt")
    systemd = FakeSystemd(host)
    converge(host, replace(WHOLE, active=None))
    assert host.files.read(PATH) == MARK + SERVICE.encode()
    assert systemd.file_state("a.service") == "enabled"
    assert host.count("daemon-reload") == 0


# Shown


def test_the_plan_shows_all_files_as_systemctl_cat_does(host: FakeHost, systemd: FakeSystemd) -> None:
    unit = replace(WHOLE, dropins=ADDED.dropins)
    after = f"# {PATH}\n{SERVICE}# {DROPIN}\n{LIMITS}".encode()
    assert unit.contents(host, drift_of(unit, host)) == (b"", after)
    converge(host, unit)
    assert unit.contents(host, {}) is None
    assert ADDED.contents(host, drift_of(ADDED, host)) == (after, f"# {DROPIN}\n{LIMITS}".encode())
    assert host.count(" show ") > 0


# Taken away


def test_a_drop_in_that_leaves_the_mapping_goes_and_others_stay(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", active=True)
    two = Unit(name="a.service", dropins={"limits.conf": text(LIMITS), "nice.conf": text("[Service]\nNice=5\n")})
    converge(host, two)
    host.files.put(f"{ETC}/a.service.d/override.conf", "[Service]\nEnvironment=BY=hand\n")
    daemon_reload(host)
    assert drift_of(two, host) == {}
    assert converge(host, ADDED) == {"dropins"}
    assert host.files.listdir(f"{ETC}/a.service.d") == ["limits.conf", "override.conf"]
    assert converge(host, Unit(name="a.service", active=True)) == {"dropins"}
    assert host.files.listdir(f"{ETC}/a.service.d") == ["override.conf"]


def test_a_text_that_leaves_the_resource_uncovers_what_the_package_brought(
    host: FakeHost, systemd: FakeSystemd
) -> None:
    systemd.unit("a.service", SERVICE + "# packaged\n")
    converge(host, WHOLE)
    assert converge(host, replace(WHOLE, content=None)) == {"content"}
    assert systemd.loaded["a.service"].read[0][0] == f"{LIB}/a.service"
    assert systemd.file_state("a.service") == "enabled"


def test_a_unit_that_leaves_git_is_stopped_disabled_and_gone(host: FakeHost, systemd: FakeSystemd) -> None:
    unit = replace(WHOLE, dropins=ADDED.dropins)
    prior = unit.observe(host)
    converge(host, unit)
    before = host.count("daemon-reload")
    undo = unit.undo(prior)
    assert undo is not None
    converge(host, undo)
    assert not [path for path in host.files.entries if "a.service" in path]
    assert systemd.active == {}
    assert host.count("daemon-reload") == before + 1


def test_a_unit_of_a_package_that_we_overrode_goes_back_to_it(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", active=True)
    prior = ADDED.observe(host)
    converge(host, ADDED)
    undo = ADDED.undo(prior)
    assert undo == Unit(name="a.service", dropins={})
    converge(host, undo)
    assert systemd.active == {"a.service": "active"}
    assert f"{ETC}/a.service.d" not in host.files.entries


def test_what_stood_there_before_us_is_not_taken_away(host: FakeHost, systemd: FakeSystemd) -> None:
    systemd.unit("a.service", SERVICE + "# by hand\n", where=ETC, active=True)
    prior = WHOLE.observe(host)
    converge(host, WHOLE)
    undo = WHOLE.undo(prior)
    assert undo == Unit(name="a.service", content=WHOLE.content, dropins={}, enabled=False, masked=False, active=True)
    converge(host, undo)
    assert host.files.read(PATH) == MARK + SERVICE.encode()


def test_what_failed_is_forgotten_with_its_file(host: FakeHost, systemd: FakeSystemd) -> None:
    prior = WHOLE.observe(host)
    converge(host, WHOLE)
    systemd.active["a.service"] = "failed"
    undo = WHOLE.undo(prior)
    assert undo is not None
    converge(host, undo)
    assert host.count("reset-failed -- a.service") == 1


def test_an_interrupted_write_is_swept(host: FakeHost, systemd: FakeSystemd) -> None:
    host.files.put(f"{DROPIN}.staged")
    ADDED.recover(host)
    assert f"{DROPIN}.staged" not in host.files.entries
