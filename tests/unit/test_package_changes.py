"""What is done to packages on a small machine with a dpkg database and archives; the real apt is met in tests/system."""

from __future__ import annotations

import pytest

from modules.package import Package
from tests.unit.fake_apt import DAY, FakeApt, Has, Release
from tests.unit.fake_host import FakeHost
from tests.unit.packages import apply_wave, converge, drift_of, state_of

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


def test_what_was_never_unpacked_to_the_end_is_installed_again_and_first(host: FakeHost, apt: FakeApt) -> None:
    for name in ("a", "b"):
        apt.offer(name, "1")
    apt.put("b", "1", status="half-installed")
    converge(host, Package(name="a"), Package(name="b", version="1"))
    installs = [line for line in host.history if "apt-get -q -y" in line]
    assert [line.rpartition("install ")[2] for line in installs] == ["b=1", "a"]
    assert ["--reinstall" in line for line in installs] == [True, False]


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


def test_a_range_brings_the_newest_version_within_it_and_goes_back_only_if_allowed(
    host: FakeHost, apt: FakeApt
) -> None:
    apt.offer("a", "1:3.0", "1:2.5", "1:2.0", "1:1.0")
    converge(host, Package(name="a", version=">=2 <3"))
    assert apt.status_of("a") == ("installed", "1:2.5")
    [said] = apply_wave(host, Package(name="a", version="<=2.0"))
    assert "1:2.0 is older; `allow_downgrade: true` is needed" in said
    converge(host, Package(name="a", version="<=2.0", allow_downgrade=True))
    assert apt.status_of("a") == ("installed", "1:2.0")
    [said] = apply_wave(host, Package(name="a", version=">4"))
    assert said == "no version of a matches >4; the archive has 1:3.0, 1:2.5, 1:2.0, 1:1.0"


def test_a_release_goes_before_the_others_in_the_question_and_in_a_transaction_of_its_own(
    host: FakeHost, apt: FakeApt
) -> None:
    apt.offer("a", "2", "1")
    apt.offer("b", "1")
    converge(host, Package(name="a", repository="backports"), Package(name="b"))
    installs = [line for line in host.history if "apt-get -q -y" in line]
    assert [line.endswith("-o APT::Default-Release=backports install a=2") for line in installs].count(True) == 1
    assert len(installs) == 2
    assert host.count("apt-cache policy -o APT::Default-Release=backports a") >= 1


def test_a_release_that_the_host_does_not_have_is_said(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    apt.releases = ()
    assert drift_of(Package(name="a", repository="backports"), host)["archive"].before == "no such package"
    [said] = apply_wave(host, Package(name="a", repository="backports"))
    assert said.startswith("no package a in backports; check the name, and that the host has such")


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
    apt.offer("rival", Release("1", conflicts=("python3-git",)))
    apt.put("python3-git", "1", automatic=True)
    apt.has["gitops-agent"] = Has(Release("1", depends=("python3-git",)), automatic=automatic)
    apt.write()
    [said] = apply_wave(host, Package(name="rival"))
    assert "it would remove gitops-agent, the agent itself" in said
    assert apt.status_of("gitops-agent")[0] == "installed"


def test_the_agents_own_package_comes_last(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("gitops-agent", "2", "1")
    apt.put("gitops-agent", "1")
    apt.offer("a", "1")
    converge(host, Package(name="gitops-agent", version="2"), Package(name="a"))
    installs = [line.rpartition("install ")[2] for line in host.history if "apt-get -q -y" in line]
    assert installs == ["a", "gitops-agent=2"]


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
