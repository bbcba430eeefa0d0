"""Writing while an attacker swaps names: nothing outside of what was meant is ever touched."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agent.host import LocalHost
from modules.api import Resource, ResourceError
from modules.archive import Archive
from modules.block import Block
from modules.directory import Directory
from modules.file import File
from modules.line import Line
from modules.purge import Purge
from modules.symlink import Symlink
from tests.system.packed import packed
from tests.unit.convergence import drift_of, text

pytestmark = pytest.mark.system

ROOT = os.geteuid() == 0
NOBODY = 65534
LONGEST = 240  # seconds
MOVED = tuple(f"moved-{number}" for number in range(20))  # more directories would keep the agent busy with them


@pytest.fixture
def arena() -> Iterator[Path]:
    """A directory that an unprivileged attacker can reach, and may write to; what is beside it is not theirs."""
    base = Path(tempfile.mkdtemp(prefix="write-safety-"))
    base.chmod(0o755)
    try:
        for outside in ("outside", "control"):
            for name in ("sub", *MOVED):
                (base / outside / name).mkdir(parents=True)
            for name in ("conf", "secret", "sub/x", ".conf.gitops-agent"):
                (base / outside / name).write_bytes(b"precious")
        (base / "arena").mkdir()
        (base / "arena").chmod(0o777)
        yield base
    finally:
        shutil.rmtree(base)


def snapshot(directory: Path) -> dict[str, object]:
    """All that a change to anything in a directory would change."""
    found: dict[str, object] = {}
    for path in [directory, *directory.rglob("*")]:
        shown = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (shown.st_ino, shown.st_mode, shown.st_uid, shown.st_gid, shown.st_ctime_ns, content)
    return found


def swaps(outside: str) -> list[Callable[[], None]]:
    """What an attacker does to names in the arena (the working directory), each a step of a swap."""

    def parent_to_link() -> None:
        os.rename("d", "away")
        os.symlink(outside, "d")

    def parent_back() -> None:
        os.unlink("d")
        os.rename("away", "d")

    def planted(make: Callable[[str, str], None], source: str, name: str) -> Callable[[], None]:
        def plant() -> None:
            with suppress(FileNotFoundError):
                os.unlink(f"d/{name}")
            make(f"{outside}/{source}", f"d/{name}")

        return plant

    def sub_to_link() -> None:
        os.rename("d/sub", f"d/{random.choice(MOVED)}")
        os.symlink(f"{outside}/sub", "d/sub")

    def sub_back() -> None:
        os.unlink("d/sub")
        os.mkdir("d/sub")

    names = ("conf", ".conf.gitops-agent")
    guarded = (
        Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "1"
    )  # else a link alone changes its target
    ways = (os.symlink, os.link) if guarded else (os.symlink,)
    links = [planted(make, "secret", name) for make in ways for name in names]
    return [*[parent_to_link, parent_back] * 4, *links, sub_to_link, sub_back]


def attack(arena: Path, outside: Path, tell: int) -> None:
    """Swap names as fast as can be, reporting a byte for every hundred swaps that succeeded."""
    os.chdir(arena)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.umask(0)
    os.mkdir("d", 0o777)
    os.write(tell, b".")
    steps = swaps(str(outside))
    done = 0
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        with suppress(OSError):
            random.choice(steps)()
            done += 1
            if done % 100 == 0:
                os.write(tell, b".")


@contextmanager
def attacked(base: Path, outside: str) -> Iterator[Callable[[], int]]:
    """An attacker at work; what is given tells how many swaps they have done."""
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(hear)
            attack(base / "arena", base / outside, tell)
        finally:
            os._exit(0)
    os.close(tell)
    heard = len(os.read(hear, 1))
    os.set_blocking(hear, False)

    def count() -> int:
        nonlocal heard
        with suppress(BlockingIOError):
            heard += len(os.read(hear, 1 << 16))
        return (heard - 1) * 100

    try:
        yield count
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(hear)


def held(resource: Resource) -> Callable[[LocalHost], object]:
    """Look, and apply what differs."""

    def hold(host: LocalHost) -> None:
        if drift := drift_of(resource, host):
            resource.apply(host, drift)

    return hold


def recursing(directory: str) -> list[Callable[[LocalHost], object]]:
    """Holding all below a directory; by turns to two modes, so that there is always something to change."""
    nobody = str(NOBODY)
    return [
        held(Directory(path=path, owner=nobody, group=nobody, mode=mode, file_mode=mode, recurse=True))
        for path in (directory, f"{directory}/sub")
        for mode in ("0777", "0707")
    ]


def moves(directory: str) -> list[Callable[[LocalHost], object]]:
    """All that the agent may do in a directory."""
    conf, sub = f"{directory}/conf", f"{directory}/sub"
    nobody = str(NOBODY)
    return [
        held(File(path=conf, content=text(os.urandom(20)), owner=nobody, mode="0666", force=True)),
        held(File(path=conf, content=text(b"plain"))),
        held(File(path=conf, mode="0777")),
        held(File(path=f"{sub}/x", content=text(b"deeper"), owner=nobody, mode="0666", force=True)),
        held(File(path=conf, ensure="absent")),
        held(Directory(path=sub, owner=nobody, mode="0777", force=True)),
        held(Directory(path=sub, ensure="absent", force=True)),
        *recursing(directory),
        held(Symlink(path=f"{directory}/link", target="secret", force=True)),
        held(File(path=conf, acl=(f"user:{NOBODY}:rw-",), xattr={"user.a": "b"}, attributes="+A")),
        held(Line(path=conf, text="line", create=True)),
        held(Block(path=f"{sub}/x", text="block", create=True)),
        held(Archive(path=directory, source=text(packed("conf", "sub/x")), owner=nobody, force=True)),
        held(Purge(path=directory, keep=("conf", "sub"), force=True)),
        held(Purge(path=directory, keep=("conf", "sub"), directories=("", "sub"), force=True)),
        lambda host: host.files.set_xattr(conf, "user.a", b"b"),
        lambda host: host.files.set_flags(conf, 0x80),
        lambda host: host.files.set_owner(conf, NOBODY, NOBODY),
        lambda host: host.files.set_mode(conf, 0o666),
        lambda host: host.files.set_owner(f"{sub}/x", NOBODY, NOBODY),
        lambda host: host.files.unlink(f"{sub}/x"),
        lambda host: host.files.sweep(conf),
    ]


@pytest.mark.skipif(not ROOT, reason="missing: root")
@pytest.mark.parametrize("doing", [moves, recursing])
def test_nothing_outside_is_touched_while_names_are_swapped_for_links(
    arena: Path, doing: Callable[[str], list[Callable[[LocalHost], object]]]
) -> None:
    before = snapshot(arena / "outside")
    results: Counter[str] = Counter()
    host, swapped = LocalHost(), 0
    started = time.monotonic()
    with attacked(arena, "outside") as swaps_done:
        tries = doing(str(arena / "arena" / "d"))
        while (passed := time.monotonic() - started) < LONGEST:
            enough = (20_000, 1_000) if passed < 50 else (5_000, 200)  # of a machine that has other things to do
            if swapped >= enough[0] and results["done"] >= enough[1]:
                break
            swapped = swaps_done()
            try:
                random.choice(tries)(host)
            except ResourceError as error:
                results[str(error).split("; ")[-1]] += 1
            else:
                results["done"] += 1
    assert snapshot(arena / "outside") == before
    assert swapped >= 5_000, "the attacker was too slow for the test to mean anything"
    print(f"{swapped} swaps, {results}")
    assert results["done"] >= 200, results
    assert any("make the link as root" in reason for reason in results), results


@pytest.mark.skipif(not ROOT, reason="missing: root")
def test_the_attacker_is_good_enough_to_catch_a_careless_writer(arena: Path) -> None:
    before = snapshot(arena / "control")
    deadline = time.monotonic() + 30
    with attacked(arena, "control"):
        while time.monotonic() < deadline and snapshot(arena / "control") == before:
            for _ in range(50):
                with suppress(OSError):
                    (arena / "arena" / "d" / "conf").write_bytes(b"careless")
    assert snapshot(arena / "control") != before
