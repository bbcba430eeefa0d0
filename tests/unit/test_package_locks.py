"""Other package managers that are at work, and what one leaves that did not end: on the small machine with apt."""

from __future__ import annotations

from modules.package import Package
from tests.unit.fake_apt import FakeApt, Release
from tests.unit.fake_host import FakeHost
from tests.unit.packages import apply_wave, converge


def test_a_lock_that_was_waited_for_is_told_with_who_held_it(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    inode = host.files.put("/var/lib/dpkg/lock-frontend").inode
    host.files.put("/proc/locks", f"1: POSIX  ADVISORY  WRITE 812 fe:00:{inode} 0 EOF\n")
    host.files.put("/proc/812/comm", "unattended-upgr\n")
    host.endings.append(lambda: host.files.put("/proc/locks", ""))
    converge(host, Package(name="a"))
    assert host.notices == ["waited 1 s for unattended-upgr (pid 812), which held /var/lib/dpkg/lock-frontend"]
    assert next(n for n, line in enumerate(host.history) if " -s " in line) >= 0


def test_a_lock_that_is_never_let_go_is_named_and_nothing_is_run(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "1")
    inode = host.files.put("/var/lib/dpkg/lock").inode
    host.files.put("/proc/locks", f"1: POSIX  ADVISORY  WRITE 812 fe:00:{inode} 0 EOF\n")
    [said] = apply_wave(host, Package(name="a"))
    assert "somebody (pid 812) holds /var/lib/dpkg/lock" in said
    assert host.count("apt-get") == 0
    assert host.notices == []


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
