"""Packages on a small machine with a dpkg database and archives; the real apt is met in tests/system."""

from __future__ import annotations

import pytest

from modules.api import Change, ResourceError, Unsupported
from modules.package import Package
from tests.unit.convergence import text
from tests.unit.fake_apt import DAY, FakeApt, Has, Release
from tests.unit.fake_host import FakeHost
from tests.unit.packages import drift_of, state_of

# What is written in Git


@pytest.mark.parametrize("name", ["nginx", "g++", "libc6:i386", "linux-image-6.1.0-9-amd64", "0ad", "python3.11"])
def test_names_of_packages_are_taken(name: str) -> None:
    assert not Package(name=name).problems()


@pytest.mark.parametrize("name", ["nginx*", "-y", "a b", "nginx=1.2", "lib:", "lib:any", "a/b", "l[ib]", ""])
def test_what_is_not_the_name_of_one_package_is_refused(name: str) -> None:
    assert len(Package(name=name).problems()) >= 1


@pytest.mark.parametrize("version", ["1.22.*", "1:2.3-4+deb12u1", "1.0~rc1", "*", ">=1.22 <2", "<1:3", ">1~rc1"])
def test_versions_globs_and_ranges_are_taken(version: str) -> None:
    assert not Package(name="x", version=version).problems()


@pytest.mark.parametrize("version", [">= 1", ">=1<2", ">=1 2", ">=1.*", "-1", "1 2", "=1", "!=1", ""])
def test_what_is_no_version_is_refused(version: str) -> None:
    assert "nor a range such as `>=1.22 <2`" in Package(name="x", version=version).problems()[0]


def test_what_follows_nothing_or_comes_from_two_places_is_refused() -> None:
    assert "needs a `version`, or `ensure: latest`" in Package(name="x", only_upgrade=True).problems()[0]
    assert "neither a release" in Package(name="x", repository="-t evil").problems()[0]
    assert Package(name="x", ensure="absent", repository="backports").problems() == [
        "`repository` has no meaning with `ensure: absent`"
    ]
    assert not Package(name="x", version=">=1", only_upgrade=True, repository="bookworm-backports").problems()


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


@pytest.mark.parametrize(
    ("asked", "version", "stays"),
    [
        (">=1.22 <2", "1.22-1", True),
        (">=1.22 <2", "2", False),
        (">=1.22 <2", "1.9", False),
        ("<2", "1:1.9", True),
        ("<1:2", "3", True),
        ("<1:2", "1:3", False),
        (">1.22", "1.22-1", True),
    ],
)
def test_an_installed_version_stays_when_it_is_in_the_range(
    host: FakeHost, apt: FakeApt, asked: str, version: str, stays: bool
) -> None:
    apt.put("x", version)
    assert (drift_of(Package(name="x", version=asked), host) == {}) is stays


def test_what_is_only_upgraded_stays_away(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("x", "2", "1")
    wishes = [
        Package(name="x", version=">=2", only_upgrade=True),
        Package(name="x", ensure="latest", only_upgrade=True),
    ]
    assert [drift_of(wish, host) for wish in wishes] == [{}, {}]
    assert host.history == []
    apt.put("x", "1")
    assert [drift_of(wish, host) for wish in wishes] == [{"version": Change("1", "2")}] * 2
    assert wishes[0].undo({"ensure": "absent"}) is None


def test_what_the_agent_needs_is_refused_in_the_plan(host: FakeHost, apt: FakeApt) -> None:
    apt.put("gitops-agent", "1")
    apt.has["gitops-agent"] = Has(Release("1", depends=("python3 (>= 3.11)", "a | b", "mta", "c:any | d")))
    apt.has["python3"] = Has(Release("1", depends=("libpython3",)))
    apt.has["exim"] = Has(Release("1", provides="mta"))
    for name in ("libpython3", "a", "b", "d", "unrelated"):
        apt.put(name, "1")
    for name in ("python3", "libpython3", "exim", "d"):
        with pytest.raises(ResourceError, match=f"gitops-agent, the agent itself, needs {name} "):
            state_of(Package(name=name, ensure="absent"), host)
    for name in ("a", "b", "c", "unrelated"):
        state_of(Package(name=name, ensure="absent"), host)
    assert host.history == [], "told from the database that was read anyway"


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


def test_somebody_elses_hold_against_the_latest_is_remarked(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("x", "2", "1")
    apt.put("x", "1", wish="hold")
    latest = Package(name="x", ensure="latest")
    assert latest.remark(state_of(latest, host)).startswith("it is held at 1, by somebody else; ")
    ours = Package(name="x", ensure="latest", hold=True)
    assert [ours.remark(state_of(ours, host)), Package(name="x").remark(state_of(Package(name="x"), host))] == ["", ""]


def test_answers_to_what_is_installed_already_are_not_met(host: FakeHost, apt: FakeApt) -> None:
    apt.put("x", "1")
    asked = Package(name="x", debconf=text("x/y string z\n"))
    assert "were not given" in asked.unmet(state_of(asked, host))
    assert asked.unmet({"ensure": "absent"}) == Package(name="x").unmet({"ensure": "present"}) == ""


def test_a_provider_is_enough_for_presence_alone(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("postfix", Release("3", provides="mta"))
    apt.put("postfix", "3")
    wishes = [Package(name="mta", ensure="latest"), Package(name="mta", version="3"), Package(name="mta", hold=True)]
    assert ["archive" in drift_of(wish, host) for wish in wishes] == [True, True, True]
    assert drift_of(Package(name="mta"), host) == {}


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
