"""Samples of every kind, each with the host it starts from; a new kind takes its place here to be held to the laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from modules.api import Resource
from modules.container import Container
from modules.directory import Directory
from modules.file import File
from modules.package import Package
from modules.symlink import Symlink
from modules.timer import Timer
from modules.unit import Unit
from tests.unit.convergence import text
from tests.unit.fake_systemd import SERVICE, STATIC
from tests.unit.world import World

Change = Callable[[World], object]


def nothing(_world: World) -> None:
    """Start from the host as it is."""


@dataclass(frozen=True)
class Sample:
    """What is wished, and what is done to the host before; every sample differs at first."""

    resource: Resource
    before: Change = nothing
    ours: bool = False  # what it starts from was made by us, so that undoing takes it away


@dataclass(frozen=True)
class Unmanaged:
    """A wish that is fulfilled, and a change of the host that does not concern it."""

    resource: Resource
    change: Change


def put(path: str, data: str = "old", kind: str = "file") -> Change:
    return lambda world: world.host.files.put(path, data, kind=kind)


def packages(**installed: str) -> Change:
    def offer(world: World) -> None:
        world.apt.offer("tree", "2.0", "1.0")
        for name, version in installed.items():
            world.apt.put(name, version)

    return offer


def units(*, active: bool = False) -> Change:
    def bring(world: World) -> None:
        world.systemd.unit("web.service", active=active)
        world.systemd.unit("static.service", STATIC)

    return bring


def container(**fields: object) -> Container:
    return replace(Container(name="web", image="app:1"), **fields)  # type: ignore[arg-type]


def made(resource: Container) -> Change:
    def make(world: World) -> None:
        resource.apply(world.host, {"ensure": None, "image": None})  # type: ignore[dict-item]

    return make


def ran(resource: Timer) -> Change:
    return lambda world: resource.apply(world.host, {})


def pulled(world: World) -> None:
    world.engine.images.clear()
    world.engine.registry.add("app:1")


TIMER = Timer(name="backup", command=("/bin/true",), on_calendar=("daily",))
SAMPLES: Mapping[str, tuple[Sample, ...]] = {
    "file": (
        Sample(File(path="/srv/new", content=text("new"), mode="0600", owner="root", group="0")),
        Sample(File(path="/srv/old", content=text("new")), put("/srv/old")),
        Sample(File(path="/srv/mode", mode="4755"), put("/srv/mode")),
        Sample(File(path="/srv/link", content=text("new"), force=True), put("/srv/link", "old", "symlink")),
        Sample(File(path="/srv/gone", ensure="absent"), put("/srv/gone")),
    ),
    "directory": (
        Sample(Directory(path="/srv/new", mode="0700", owner="7")),
        Sample(Directory(path="/srv/mode", mode="0700"), put("/srv/mode", kind="directory")),
        Sample(Directory(path="/srv/file", force=True), put("/srv/file")),
        Sample(Directory(path="/srv/gone", ensure="absent"), put("/srv/gone", kind="directory")),
    ),
    "symlink": (
        Sample(Symlink(path="/srv/new", target="a")),
        Sample(Symlink(path="/srv/old", target="a"), put("/srv/old", "b", "symlink")),
        Sample(Symlink(path="/srv/file", target="a", force=True), put("/srv/file")),
        Sample(Symlink(path="/srv/gone", ensure="absent"), put("/srv/gone", "b", "symlink")),
    ),
    "package": (
        Sample(Package(name="tree"), packages()),
        Sample(Package(name="tree", version="1.*"), packages()),
        Sample(Package(name="tree", ensure="latest"), packages(tree="1.0")),
        Sample(Package(name="tree", ensure="absent"), packages(tree="1.0")),
        Sample(Package(name="tree", ensure="purged"), packages(tree="1.0")),
    ),
    "unit": (
        Sample(Unit(name="web.service", enabled=True, active=True), units()),
        Sample(Unit(name="web.service", enabled=False, active=False), units(active=True)),
        Sample(Unit(name="web.service", masked=True), units()),
        Sample(Unit(name="static.service", active=True), units()),
        Sample(Unit(name="own.service", content=text(SERVICE), enabled=True, active=True)),
        Sample(Unit(name="web.service", dropins={"nice.conf": text("[Service]\nNice=5\n")}), units()),
    ),
    "timer": (
        Sample(TIMER),
        Sample(replace(TIMER, enabled=False), ran(TIMER)),
        Sample(replace(TIMER, command=("/bin/false",)), ran(TIMER)),
        Sample(Timer(name="backup", ensure="absent"), ran(TIMER)),
    ),
    "container": (
        Sample(container()),
        Sample(container(env=text('{"A": "b"}'), ports=("80:80/tcp",)), pulled),
        Sample(container(image="app:2"), made(container()), ours=True),
        Sample(container(ensure="stopped"), made(container()), ours=True),
        Sample(Container(name="web", ensure="absent"), made(container()), ours=True),
    ),
}

UNMANAGED: Mapping[str, tuple[Unmanaged, ...]] = {
    "file": (
        Unmanaged(File(path="/srv/a", content=text("x")), lambda world: world.host.files.set_mode("/srv/a", 0o600)),
        Unmanaged(File(path="/srv/a", content=text("x")), lambda world: world.host.files.set_owner("/srv/a", 5, 6)),
        Unmanaged(File(path="/srv/a", ensure="absent"), lambda world: world.host.files.put("/srv/b")),
    ),
    "directory": (
        Unmanaged(Directory(path="/srv/a"), lambda world: world.host.files.set_mode("/srv/a", 0o700)),
        Unmanaged(Directory(path="/srv/a", mode="0755"), lambda world: world.host.files.put("/srv/a/theirs")),
    ),
    "symlink": (
        Unmanaged(Symlink(path="/srv/a", target="b"), lambda world: world.host.files.set_owner("/srv/a", 5, 6)),
        Unmanaged(Symlink(path="/srv/a", target="b"), lambda world: world.host.files.put("/srv/b")),
    ),
    "package": (
        Unmanaged(Package(name="tree"), lambda world: world.apt.put("tree", "1.0")),
        Unmanaged(Package(name="tree"), lambda world: world.apt.put("other", "1.0")),
    ),
    "unit": (
        Unmanaged(Unit(name="web.service", enabled=True), lambda world: world.systemd.active.update({"web.service": "active"})),
        Unmanaged(Unit(name="web.service", masked=False), lambda world: world.host.run("systemctl", "enable", "--", "web.service")),
    ),
    "timer": (
        Unmanaged(TIMER, lambda world: world.systemd.active.update({"other.timer": "active"})),
        Unmanaged(TIMER, put("/etc/systemd/system/backup.service.d/theirs.conf", "")),
    ),
    "container": (
        Unmanaged(container(), lambda world: world.engine.standing["web"]["Config"].update(Hostname="4f2c1a9")),
        Unmanaged(container(), lambda world: world.engine.images.add("app:3")),
    ),
}  # fmt: skip
PREPARED: Mapping[str, Change] = {"package": packages(), "unit": units()}  # what a host has before UNMANAGED
