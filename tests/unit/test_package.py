"""Packages on a small machine with a dpkg database and archives; the real apt is met in tests/system."""

from __future__ import annotations

import pytest

from modules.api import Change, Drift, ResourceError, State, Unsupported
from modules.package import Package
from tests.unit.convergence import difference
from tests.unit.fake_apt import DAY, FakeApt, Has, Release
from tests.unit.fake_host import FakeHost


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def apt(host: FakeHost) -> FakeApt:
    return FakeApt(host)


def state_of(package: Package, host: FakeHost) -> State:
    return package.observe(host)


def drift_of(package: Package, host: FakeHost) -> Drift:
    return difference(package, package.observe(host))


def apply_wave(host: FakeHost, *packages: Package) -> list[str]:
    """Apply as the agent does: only what drifts; what each said, empty when it is in sync afterwards."""
    drifting = [(package, drift) for package in packages if (drift := drift_of(package, host))]
    errors = Package.apply_all(host, drifting)
    for (package, _), error in zip(drifting, errors, strict=True):
        assert error or drift_of(package, host) == {}
    return [str(error or "") for error in errors]


def converge(host: FakeHost, *packages: Package) -> None:
    assert not any(apply_wave(host, *packages))
    assert [drift_of(package, host) for package in packages] == [{} for _ in packages]


# What is written in Git


@pytest.mark.parametrize("name", ["nginx", "g++", "libc6:i386", "linux-image-6.1.0-9-amd64", "0ad", "python3.11"])
def test_names_of_packages_are_taken(name: str) -> None:
    assert not Package(name=name).problems()


@pytest.mark.parametrize("name", ["nginx*", "-y", "a b", "nginx=1.2", "lib:", "lib:any", "a/b", "l[ib]", ""])
def test_what_is_not_the_name_of_one_package_is_refused(name: str) -> None:
    assert len(Package(name=name).problems()) >= 1


@pytest.mark.parametrize("version", ["1.22.*", "1:2.3-4+deb12u1", "1.0~rc1", "*"])
def test_versions_and_globs_are_taken(version: str) -> None:
    assert not Package(name="x", version=version).problems()


@pytest.mark.parametrize("version", [">=1", "-1", "1 2", "=1", ""])
def test_what_is_no_version_is_refused(version: str) -> None:
    assert "ranges" in Package(name="x", version=version).problems()[0]


@pytest.mark.parametrize("ensure", ["absent", "purged", "latest"])
def test_a_version_of_what_is_absent_or_latest_is_refused(ensure: str) -> None:
    assert Package(name="x", ensure=ensure, version="1").problems() == [
        f"`version` contradicts `ensure: {ensure}`; keep one of them"
    ]


def test_the_agent_does_not_remove_itself_by_name() -> None:
    assert "does not remove itself" in Package(name="gitops-agent", ensure="absent").problems()[0]


# What is observed


def test_presence_and_version_are_read_without_asking_apt(host: FakeHost, apt: FakeApt) -> None:
    apt.put("curl", "7.88")
    assert state_of(Package(name="curl"), host) == {"ensure": "present", "version": "7.88"}
    assert drift_of(Package(name="curl"), host) == {}
    assert host.history == []


def test_a_missing_package_shows_the_version_that_would_come(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("curl", "8.1", "7.88")
    assert drift_of(Package(name="curl"), host) == {
        "ensure": Change("absent", "present"),
        "version": Change(None, "8.1"),
    }


def test_a_missing_package_does_not_drift_from_absent_or_purged(host: FakeHost, apt: FakeApt) -> None:
    assert drift_of(Package(name="curl", ensure="absent"), host) == {}
    assert drift_of(Package(name="curl", ensure="purged"), host) == {}
    assert host.history == []


def test_left_configuration_is_absent_but_not_purged(host: FakeHost, apt: FakeApt) -> None:
    apt.put("curl", "7.88", status="config-files", wish="deinstall")
    assert drift_of(Package(name="curl", ensure="absent"), host) == {}
    assert drift_of(Package(name="curl", ensure="purged"), host) == {"ensure": Change("absent", "purged")}


@pytest.mark.parametrize("status", ["half-installed", "unpacked", "half-configured"])
def test_what_is_neither_installed_nor_away_is_shown_in_dpkgs_words(host: FakeHost, apt: FakeApt, status: str) -> None:
    apt.put("curl", "7.88", status=status)
    assert drift_of(Package(name="curl"), host) == {"ensure": Change(status, "present")}
    assert drift_of(Package(name="curl", ensure="absent"), host) == {"ensure": Change(status, "absent")}


def test_what_must_be_installed_again_is_an_error_that_says_how(host: FakeHost, apt: FakeApt) -> None:
    apt.put("curl", "7.88", status="half-installed", flag="reinstreq")
    with pytest.raises(ResourceError, match="apt-get install --reinstall curl"):
        state_of(Package(name="curl"), host)


@pytest.mark.parametrize(
    ("pattern", "version", "stays"),
    [
        ("1.22.1", "1.22.1", True),
        ("1.22.*", "1.22.1-9", True),
        ("1.22.*", "1:1.22.1-9", True),
        ("2:1.22.*", "1:1.22.1-9", False),
        ("1.22", "1.22.1", False),
        ("1.2", "1.2+b1", False),
        ("*", "3", True),
    ],
)
def test_an_installed_version_stays_when_the_wish_matches_it(
    host: FakeHost, apt: FakeApt, pattern: str, version: str, stays: bool
) -> None:
    apt.offer("x", "9:9")
    apt.put("x", version)
    assert (drift_of(Package(name="x", version=pattern), host) == {}) is stays


def test_a_glob_is_shown_as_the_version_that_the_archive_has_for_it(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("x", "1.30", "1.22.3", "1.22.1")
    apt.put("x", "1.18")
    assert drift_of(Package(name="x", version="1.22.*"), host) == {"version": Change("1.18", "1.22.3")}
    apt.pinned["x"] = "1.22.1"
    assert drift_of(Package(name="x", version="1.22.*"), host) == {"version": Change("1.18", "1.22.1")}


def test_a_version_that_the_archive_lacks_is_said_in_the_plan(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("x", "3.2", "3.1")
    assert drift_of(Package(name="x", version="9.9"), host) == {
        "ensure": Change("absent", "present"),
        "version": Change(None, "9.9"),
        "archive": Change("has 3.2, 3.1", "available"),
    }
    assert drift_of(Package(name="nope"), host)["archive"] == Change("no such package", "available")


def test_latest_drifts_only_from_a_newer_candidate(host: FakeHost, apt: FakeApt) -> None:
    latest = Package(name="x", ensure="latest")
    apt.offer("x", "3", "2", "1")
    apt.put("x", "2")
    assert drift_of(latest, host) == {"version": Change("2", "3")}
    apt.pinned["x"] = "1"
    assert drift_of(latest, host) == {}
    apt.pinned.clear()
    apt.put("x", "2", wish="hold")
    assert drift_of(latest, host) == {}
    assert state_of(latest, host)["hold"] is True


def test_latest_drifts_when_the_lists_are_too_old_to_tell(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("x", "1")
    apt.put("x", "1")
    apt.fetch(seconds_ago=2 * DAY)
    assert drift_of(Package(name="x", ensure="latest"), host) == {"index": Change("old", "current")}
    assert drift_of(Package(name="x"), host) == {}
    apt.fetch()
    assert drift_of(Package(name="x", ensure="latest"), host) == {}
    host.files.put("/etc/apt/sources.list.d/more.sources")
    assert drift_of(Package(name="x", ensure="latest"), host) == {"index": Change("old", "current")}


def test_a_virtual_package_is_present_when_something_provides_it(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("postfix", Release("3", provides="mail-transport-agent"))
    wish = Package(name="mail-transport-agent")
    assert "archive" in drift_of(wish, host)
    apt.put("postfix", "3")
    assert state_of(wish, host) == {"ensure": "present", "provided_by": ("postfix",)}
    assert drift_of(wish, host) == {}
    with pytest.raises(ResourceError, match="virtual package, here provided by postfix"):
        state_of(Package(name="mail-transport-agent", ensure="absent"), host)


def test_packages_of_another_architecture_are_others(host: FakeHost, apt: FakeApt) -> None:
    apt.put("libx:i386", "1", architecture="i386")
    apt.put("data", "1", architecture="all")
    assert state_of(Package(name="libx:i386"), host)["ensure"] == "present"
    assert state_of(Package(name="libx"), host)["ensure"] == "absent"
    assert state_of(Package(name="libx:amd64"), host)["ensure"] == "absent"
    assert state_of(Package(name="data"), host)["ensure"] == "present"
    assert state_of(Package(name="data:amd64"), host)["ensure"] == "present"
    assert state_of(Package(name="data:i386"), host)["ensure"] == "absent"


def test_many_packages_cost_one_read_and_one_question(host: FakeHost, apt: FakeApt) -> None:
    for number in range(50):
        apt.put(f"p{number}", "1")
        apt.offered[f"q{number}"] = [Release("1")]
    apt.fetch()
    wanted = [Package(name=f"{letter}{number}") for letter in "pq" for number in range(50)]
    together = Package.observe_all(host, wanted)
    assert len(host.history) == 1
    assert together == [package.observe(host) for package in wanted]


def test_a_database_that_dpkg_is_writing_is_read_through_dpkg(host: FakeHost, apt: FakeApt) -> None:
    apt.put("curl", "7.88")
    host.files.put("/var/lib/dpkg/status", "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\n")
    host.files.put("/var/lib/dpkg/updates/0001", "")
    assert state_of(Package(name="curl"), host)["version"] == "7.88"
    assert host.count("dpkg-query -W") == 1


def test_a_host_without_dpkg_and_another_root_are_unsupported(host: FakeHost) -> None:
    with pytest.raises(Unsupported, match="packages need apt and dpkg"):
        state_of(Package(name="curl"), host)
    elsewhere = FakeHost("/mnt")
    FakeApt(elsewhere)
    with pytest.raises(Unsupported, match="not in the root /mnt"):
        state_of(Package(name="curl"), elsewhere)


# What is applied


def test_a_wave_is_one_transaction(host: FakeHost, apt: FakeApt) -> None:
    for name in ("a", "b", "c"):
        apt.offer(name, "2", "1")
    apt.put("old", "1")
    converge(host, Package(name="a"), Package(name="b", version="1"), Package(name="old", ensure="absent"))
    assert apt.status_of("a") == ("installed", "2")
    assert apt.status_of("b") == ("installed", "1")
    assert apt.status_of("old")[0] == "config-files"
    assert [line for line in host.history if line.endswith("install a b=1 old-") and " -s " not in line] != []
    assert host.count("apt-get -q -y") == 1
    assert host.count("Error-Mode=any update") == 0


def test_nothing_asks_and_edited_configuration_stays(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    converge(host, Package(name="a"))
    assert host.environments[0]["DEBIAN_FRONTEND"] == "noninteractive"
    assert host.environments[0]["NEEDRESTART_MODE"] == "l"
    line = next(line for line in host.history if "apt-get -q -y" in line)
    for option in ("--force-confdef", "--force-confold", "DPkg::Lock::Timeout=300", "APT::Get::AutomaticRemove=false"):
        assert option in line


def test_purged_leaves_nothing_whether_installed_or_only_removed(host: FakeHost, apt: FakeApt) -> None:
    apt.put("a", "1")
    apt.put("b", "1", status="config-files", wish="deinstall")
    converge(host, Package(name="a", ensure="purged"), Package(name="b", ensure="purged"))
    assert "a" not in apt.has
    assert "b" not in apt.has
    assert host.count(" b-") == 0  # apt knows nothing of it that it could remove


def test_latest_upgrades_and_fetches_old_lists_once(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    apt.offer("b", "1")
    apt.put("a", "1")
    apt.put("b", "1")
    apt.offered["a"] = [Release("2"), Release("1")]
    host.files.put("/var/lib/apt/periodic/update-success-stamp", mtime_ns=1)
    converge(host, Package(name="a", ensure="latest"), Package(name="b", ensure="latest"))
    assert apt.status_of("a") == ("installed", "2")
    assert host.count("Error-Mode=any update") == 1


def test_latest_fails_when_it_cannot_be_told(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    apt.put("a", "1")
    apt.fetch(seconds_ago=2 * DAY)
    apt.reachable = False
    [said] = apply_wave(host, Package(name="a", ensure="latest"))
    assert "package index is old" in said
    assert "Connection refused" in said


def test_lists_are_fetched_when_they_are_old_or_lack_what_is_asked(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    converge(host, Package(name="a"))
    assert host.count("Error-Mode=any update") == 0
    apt.offered["b"] = [Release("1")]
    [said] = apply_wave(host, Package(name="b"))
    assert "no package b" in said  # the lists are seconds old, and another look would tell the same
    apt.fetch(seconds_ago=100)
    apt.lists.pop("b")
    converge(host, Package(name="b"))
    assert host.count("Error-Mode=any update") == 1
    apt.offered["a"].insert(0, Release("2"))
    host.files.put("/etc/apt/sources.list.d/new.list")
    converge(host, Package(name="a", version="2"))
    assert host.count("Error-Mode=any update") == 2


def test_old_lists_serve_while_the_archive_is_away(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    apt.fetch(seconds_ago=2 * DAY)
    apt.reachable = False
    said = apply_wave(host, Package(name="a"), Package(name="missing"))
    assert apt.status_of("a") == ("installed", "1")
    assert "no package missing in the configured archives" in said[1]
    assert "could not be fetched" in said[1]


def test_a_package_or_version_that_does_not_exist_fails_alone(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    apt.offer("htop", "3.2.2-2")
    said = apply_wave(host, Package(name="a"), Package(name="nope"), Package(name="htop", version="9.9"))
    assert said[0] == ""
    assert "no package nope in the configured archives; check the name" in said[1]
    assert said[2] == "no version of htop matches 9.9; the archive has 3.2.2-2"
    assert apt.status_of("a") == ("installed", "1")


def test_names_that_apt_could_take_for_patterns_never_reach_it(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("python3x11", "1")
    [said] = apply_wave(host, Package(name="python3.11"))
    assert "no package python3.11" in said
    assert host.count("install") == 0


def test_a_downgrade_is_refused_and_changes_nothing(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "2", "1")
    apt.put("a", "2")
    [said] = apply_wave(host, Package(name="a", version="1"))
    assert "`allow_downgrade: true` is needed" in said
    assert apt.status_of("a") == ("installed", "2")


@pytest.mark.parametrize("wish", [Package(name="a", ensure="absent"), Package(name="a", version="2")])
def test_what_an_admin_holds_is_not_changed(host: FakeHost, apt: FakeApt, wish: Package) -> None:
    apt.offer("a", "2", "1")
    apt.put("a", "1", wish="hold")
    [said] = apply_wave(host, wish)
    assert "`hold: false` here lets it go" in said
    assert apt.status_of("a") == ("installed", "1")


def test_one_bad_package_does_not_keep_the_others_away(host: FakeHost, apt: FakeApt) -> None:
    names = [f"p{number}" for number in range(8)]
    for name in names:
        apt.offer(name, "1")
    apt.offer("unmet", Release("1", depends=("nowhere",)))
    apt.offer("broken", Release("1", postinst_fails=True))
    said = apply_wave(host, *(Package(name=name) for name in [*names[:3], "unmet", *names[3:], "broken"]))
    assert [apt.status_of(name)[0] for name in names] == ["installed"] * 8
    assert [bool(one) for one in said] == [False] * 3 + [True] + [False] * 5 + [True]
    assert "unmet : Depends: nowhere but it is not installable" in said[3]
    assert "broken: boom" in said[-1]


def test_somebody_elses_broken_package_is_not_our_failure(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("foreign", Release("1", postinst_fails=True))
    apt.put("foreign", "1", status="half-configured")
    apt.offer("a", "1")
    converge(host, Package(name="a"))


def test_nothing_installed_by_name_goes_unless_it_is_declared_absent(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("postfix", Release("1", conflicts=("exim",)))
    apt.offer("exim", "1")
    apt.put("exim", "1")
    [said] = apply_wave(host, Package(name="postfix"))
    assert "would also remove exim, installed by name" in said
    assert apt.status_of("exim")[0] == "installed"
    converge(host, Package(name="postfix"), Package(name="exim", ensure="absent"))


def test_what_came_as_a_dependency_may_go(host: FakeHost, apt: FakeApt) -> None:
    apt.put("lib", "1", automatic=True)
    apt.has["plugin"] = Has(Release("1", depends=("lib",)), automatic=True)
    apt.write()
    converge(host, Package(name="lib", ensure="absent"))
    assert apt.status_of("plugin")[0] == "config-files"


@pytest.mark.parametrize("automatic", [False, True])
def test_the_agent_is_never_removed_on_the_way(host: FakeHost, apt: FakeApt, automatic: bool) -> None:
    apt.put("python3-git", "1", automatic=True)
    apt.has["gitops-agent"] = Has(Release("1", depends=("python3-git",)), automatic=automatic)
    apt.write()
    [said] = apply_wave(host, Package(name="python3-git", ensure="absent"))
    assert "it would remove gitops-agent, the agent itself" in said
    assert apt.status_of("gitops-agent")[0] == "installed"


def test_the_agents_own_package_comes_last(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("gitops-agent", "2", "1")
    apt.put("gitops-agent", "1")
    apt.offer("a", "1")
    converge(host, Package(name="gitops-agent", version="2"), Package(name="a"))
    installs = [line.rpartition("install ")[2] for line in host.history if "apt-get -q -y" in line]
    assert installs == ["a", "gitops-agent=2"]


def test_whoever_holds_the_lock_is_named_and_nothing_is_tried_again(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    apt.offer("b", "1")
    apt.lock_holder = "812 (unattended-upgr)"
    said = apply_wave(host, Package(name="a"), Package(name="b"))
    assert all("unattended-upgr (pid 812) holds /var/lib/dpkg/lock-frontend" in one for one in said)
    assert host.count("apt-get -q -y") == 1


def test_an_interrupted_dpkg_is_mended_once(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    apt.interrupted = True
    converge(host, Package(name="a"))
    assert host.count("--configure -a") == 1


def test_an_interrupted_dpkg_that_cannot_be_mended_is_not_tried_over_and_over(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    apt.offer("b", "1")
    apt.offer("foreign", Release("1", postinst_fails=True))
    apt.put("foreign", "1", status="unpacked")
    apt.interrupted = True
    said = apply_wave(host, Package(name="a"), Package(name="b"))
    assert all("did not mend it" in one for one in said)
    assert host.count("--configure -a") == 1


# What is left behind


def test_what_was_not_there_before_is_taken_away_again(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    package = Package(name="a")
    prior = state_of(package, host)
    converge(host, package)
    undone = package.undo(prior)
    assert undone == Package(name="a", ensure="absent")
    assert undone is not None
    converge(host, undone)
    assert apt.status_of("a")[0] == "config-files"


def test_what_was_there_before_stays(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "2", "1")
    apt.put("a", "1")
    upgraded, removed = Package(name="a", version="2"), Package(name="a", ensure="absent")
    assert upgraded.undo(state_of(upgraded, host)) is None
    assert removed.undo(state_of(removed, host)) is None
    assert removed.undo({"ensure": "absent"}) is None
    assert removed.undo({}) is None


def test_a_package_comes_after_what_says_where_it_comes_from() -> None:
    needs = Package(name="a").needs()
    assert ("in:/etc/apt/sources.list.d",) in needs
    assert ("in:/usr/share/keyrings",) in needs
    assert Package(name="a").provides() == ("package:a",)
