"""rpm and dnf of a small machine: what is read of them, and what a module makes of what they print; real ones in tests/system."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from modules.api import Completed, ResourceError
from modules.dnf import DnfView
from modules.dnf_changes import Dnf
from modules.package import Package
from modules.package_backend import Ask
from modules.package_locks import Holder, writer_of
from modules.rpm import Database
from tests.unit.convergence import difference
from tests.unit.fake_host import FakeHost
from tests.unit.fake_rpm import FakeRpm

LOCKED = "RPMDB already locked by 812\n  The application with PID 812 is: packagekitd\n    State  : Sleeping\n"
FAILED = """\
Running transaction
  Running scriptlet: good-1-1.noarch   1/2
fine words
  Running scriptlet: bad-1-1.noarch    2/2
the last words
warning: %post(bad-1-1.noarch) scriptlet failed, exit status 3
Complete!
"""


FAILED_5 = """\
[2/3] Installing good-0:1.0-1.noarch    100% |   1.4 KiB/s | 124.0   B |  00m00s
[3/3] Installing bad-0:1.0-1.noarch     100% |   1.4 KiB/s | 124.0   B |  00m00s
>>> Running %post scriptlet: bad-0:1.0-1.noarch
>>> Non-critical error in %post scriptlet: bad-0:1.0-1.noarch
>>> Scriptlet output:
>>> last words
>>>
>>> [RPM] %post(bad-1.0-1.noarch) scriptlet failed, exit status 3
"""


def test_one_query_answers_for_all(host: FakeHost) -> None:
    FakeRpm(host, ("a", "0:1.0-1", "noarch"), ("b", "2:3.0-4.el9", "x86_64"))
    wanted = [Package(name="a"), Package(name="b", version="3.0"), Package(name="c", ensure="absent")]
    seen = Package.observe_all(host, wanted)
    assert seen[:2] == [
        {"ensure": "present", "version": "1.0-1"},
        {"ensure": "present", "version": "2:3.0-4.el9", "candidate": "2:3.0-4.el9"},
    ]
    assert [line.split()[1] for line in host.history] == ["-qa", "-q"]  # the second for a name that is not there


@pytest.mark.parametrize(
    ("version", "fits"),
    [("1.0", True), ("1.0-1", True), ("0:1.0-1", True), ("1.*", True), ("1", False), ("1:1.0", False)],
)
def test_a_version_may_be_written_without_epoch_and_release(host: FakeHost, version: str, fits: bool) -> None:
    FakeRpm(host, ("a", "0:1.0-1", "noarch"))
    wish = Package(name="a", version=version)
    assert (difference(wish, wish.observe(host)) == {}) is fits


def test_what_is_there_twice_was_interrupted_but_kernels_stand_side_by_side(host: FakeHost) -> None:
    FakeRpm(
        host,
        *(("a", f"0:{version}-1", "noarch") for version in "12"),
        *(("kernel-core", f"0:{version}-1", "x86_64") for version in "56"),
        *(("lib", "0:1-1", architecture) for architecture in ("x86_64", "i686")),
    )
    database = Database(host)
    assert database.doubled() == ["a"]
    kernel, lib = database.find("kernel-core"), database.find("lib:i686")
    assert kernel is not None
    assert (kernel.version, kernel.several) == ("6-1", False)
    assert lib is not None
    assert lib.architecture == "i686"
    assert Package(name="a").observe(host)["ensure"] == "installed twice"


def test_holds_are_those_of_dnf_4_and_5(host: FakeHost) -> None:
    FakeRpm(host, *((name, "0:1-1", "noarch") for name in ("a-b", "c", "d", "e")))
    host.files.put("/etc/dnf/plugins/versionlock.list", "# note\na-b-0:1-1.*\n!d-0:1-1.*\n\n")
    host.files.put("/etc/dnf/versionlock.toml", 'version = "1.0"\n[[packages]]\nname = "c"\n')
    database = Database(host)
    held = [name for name in ("a-b", "c", "d", "e") if (found := database.find(name)) and found.held]
    assert held == ["a-b", "c"]
    host.files.put("/etc/dnf/versionlock.toml", "[[")
    with pytest.raises(ResourceError, match=r"cannot tell what is held: /etc/dnf/versionlock\.toml"):
        Database(host).find("e")


def test_the_candidate_is_the_newest_of_the_hosts_architecture(host: FakeHost) -> None:
    rpm = FakeRpm(host, ("a", "0:3-1", "x86_64"))
    rpm.offered = [
        ("a", "0:1-1", "x86_64"),
        ("a", "0:2-1", "x86_64"),
        ("a", "0:9-1", "i686"),
        ("b", "0:1-1", "aarch64"),
    ]
    offers = DnfView(host).offers(["a", "b"])
    assert set(offers) == {"a"}
    assert (offers["a"].candidate, offers["a"].versions) == ("2-1", ("3-1", "2-1", "1-1"))


def test_the_candidate_is_of_the_repository_with_the_best_priority(host: FakeHost) -> None:
    rpm = FakeRpm(host)
    rpm.offered = [
        ("a", "0:1-1", "noarch", "ours"),
        ("a", "0:2-1", "noarch", "ours"),
        ("a", "0:9-1", "noarch", "main"),
        ("b", "0:3-1", "noarch", "main"),
        ("b", "0:4-1", "noarch", "last"),
    ]
    host.files.put("/etc/yum.repos.d/a.repo", "[ours]\npriority=10\n[last]\npriority = 200\n[main]\nname=x\n")
    host.files.put("/etc/yum.repos.d/broken.repo", "nothing of this\n")
    offers = DnfView(host).offers(["a", "b"])
    assert [offers[name].candidate for name in "ab"] == ["2-1", "3-1"]
    assert offers["a"].versions == ("9-1", "2-1", "1-1")
    DnfView(host).offers(["a"], repository="last")
    assert host.count("repoquery -C -q --repo=last ") == 1


def test_a_lock_of_dnf_is_waited_for_and_its_holder_named(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    rpm = FakeRpm(host)
    rpm.answers["install"] = [Completed(200, LOCKED, ""), Completed(0, "", "")]
    assert Dnf(host).change([Ask("a")], []) == {}
    assert host.notices == ["waited 1 s for packagekitd (pid 812), which held dnf's lock"]
    monkeypatch.setattr("modules.package_locks.LOCK_TIMEOUT_SECONDS", -1)
    rpm.answers["install"] = [Completed(200, LOCKED, "")]
    with pytest.raises(ResourceError, match=r"packagekitd \(pid 812\) holds dnf's lock"):
        Dnf(host).change([Ask("a")], [])


def test_whoever_writes_to_the_database_is_known_by_the_kernels_list_of_locks(host: FakeHost) -> None:
    inode = host.files.put("/var/lib/rpm/.rpm.lock").inode
    paths = ["/var/lib/rpm/.rpm.lock", "/nowhere"]
    assert writer_of(host, paths) is None
    rows = f"1: POSIX  ADVISORY  READ 7 fe:00:{inode} 0 EOF\n1: -> POSIX  ADVISORY  WRITE 8 fe:00:{inode} 0 EOF\n"
    host.files.put("/proc/locks", rows)
    assert writer_of(host, paths) is None
    host.files.put("/proc/locks", rows + f"2: POSIX  ADVISORY  WRITE 9 fe:00:{inode} 0 EOF\n")
    host.files.put("/proc/9/comm", "rpm\n")
    assert writer_of(host, paths) == Holder("9", "rpm", paths[0])


def test_a_failed_script_is_that_of_its_package_with_its_last_words(host: FakeHost) -> None:
    rpm = FakeRpm(host)
    rpm.answers["install"] = [Completed(0, FAILED, "Error in POSTIN scriptlet in rpm package bad\n")]
    complaints = Dnf(host).change([Ask("good"), Ask("bad")], [])
    assert set(complaints) == {"bad"}
    assert "the last words\nwarning: %post(bad-1-1.noarch)" in complaints["bad"]
    assert "fine words" not in complaints["bad"]


def test_what_rpm_cannot_do_is_said_in_the_plan(host: FakeHost) -> None:
    FakeRpm(host, ("a", "0:1-1", "noarch"))
    with pytest.raises(ResourceError, match="a: `config_files: replace` is for apt"):
        Package(name="a", config_files="replace").observe(host)


def test_another_root_is_named_to_both(host: FakeHost) -> None:
    elsewhere = FakeHost("/srv/root")
    rpm = FakeRpm(elsewhere)
    elsewhere.programs["rpm"] = lambda words: rpm._rpm([word for word in words if not word.startswith("--root=")])
    rpm.answers["install"] = [Completed(0, "", "")]
    Dnf(elsewhere).change([Ask("a", "1-1")], [])
    DnfView(elsewhere).database()
    assert elsewhere.history[0].startswith("dnf install --installroot=/srv/root ")
    assert elsewhere.history[0].endswith(" a-0:1-1")
    assert elsewhere.history[1].startswith("rpm --root=/srv/root -qa ")
    with pytest.raises(ResourceError, match="not for another root"):
        Dnf(elsewhere).hold(["a"])


@pytest.mark.parametrize(
    ("version", "bound", "shaped"),
    [("2:1-3", "1", "1"), ("2:1-3", "1-1", "1-3"), ("1-3", "0:1", "0:1"), ("2:1-3", "0:1-1", "2:1-3")],
)
def test_a_version_is_compared_in_the_parts_that_a_bound_has(
    host: FakeHost, version: str, bound: str, shaped: str
) -> None:
    assert DnfView(host).shaped(version, bound) == shaped


def test_a_script_that_dnf_5_calls_harmless_is_told_though_dnf_5_fails(host: FakeHost) -> None:
    rpm = FakeRpm(host)
    rpm.answers["install"] = [Completed(1, FAILED_5, "Transaction failed: Rpm transaction failed.\n")]
    complaints = Dnf(host).change([Ask("good"), Ask("bad")], [])
    assert set(complaints) == {"bad"}
    assert complaints["bad"].endswith("last words\n%post(bad-1.0-1.noarch) scriptlet failed, exit status 3")


def test_what_the_agent_needs_is_refused_in_the_plan(host: FakeHost) -> None:
    rpm = FakeRpm(host, *((name, "0:1-1", "noarch") for name in ("lib", "other", "gitops-agent")))

    def tested(words: Sequence[str]) -> Completed:
        needs = "lib is needed by (installed) gitops-agent-9-1.noarch" if "lib" in words else ""
        return Completed(1, "", needs) if words[0] == "--test" else rpm._rpm(words)

    host.programs["rpm"] = tested
    wishes = [Package(name=name, ensure="absent") for name in ("lib", "other")]
    refused, other = Package.observe_all(host, wishes)
    assert "gitops-agent, the agent itself, needs lib " in str(refused)
    assert other == {"ensure": "present", "version": "1-1"}
