"""Samples of every kind, each with the host it starts from; a new kind takes its place here to be held to the laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from modules.api import Resource
from modules.apt_repository import AptRepository
from modules.archive import Archive
from modules.block import Block
from modules.container import Container
from modules.container_image import ContainerImage
from modules.container_network import ContainerNetwork
from modules.container_volume import ContainerVolume
from modules.directory import Directory
from modules.download import Download
from modules.file import File
from modules.ini import Ini
from modules.line import Line
from modules.package import Package
from modules.purge import Purge
from modules.rpm_repository import RpmRepository
from modules.symlink import Symlink
from modules.timer import Timer
from modules.unit import Unit
from tests.system.packed import packed
from tests.unit.convergence import text
from tests.unit.fake_systemd import SERVICE, STATIC
from tests.unit.world import World

Change = Callable[[World], object]
APT = "/etc/apt/sources.list.d"
KEY = text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n-----END PGP PUBLIC KEY BLOCK-----\n")


def nothing(_world: World) -> None:
    """Start from the host as it is."""


@dataclass(frozen=True)
class Sample:
    """What is wished, and what is done to the host before; every sample differs at first."""

    resource: Resource
    before: Change = nothing
    ours: bool = False  # what it starts from was made by us, so that undoing takes it away


def put(path: str, data: str = "old", kind: str = "file") -> Change:
    return lambda world: world.host.files.put(path, data, kind=kind)


def full(*paths: str) -> Change:
    def fill(world: World) -> None:
        for path in paths:
            world.host.files.put(path)

    return fill


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


def repository(*types: str, **fields: object) -> AptRepository:
    made = AptRepository(
        name="shop", types=types, uris=("https://example.com/",), suites=("./",), signed_by={"asc": KEY}
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def container(**fields: object) -> Container:
    return replace(Container(name="web", image="app:1"), **fields)  # type: ignore[arg-type]


def made(resource: Container) -> Change:
    def make(world: World) -> None:
        resource.apply(world.host, {"ensure": None, "image": None})  # type: ignore[dict-item]

    return make


def ran(resource: Timer) -> Change:
    return lambda world: resource.apply(world.host, {})


def wished(resource: Resource) -> Change:
    """Fulfil a wish that was made before."""
    return lambda world: resource.apply(world.host, {"ensure": None})  # type: ignore[dict-item]


def moved(world: World) -> None:
    """The tag stands for another image in the registry."""
    world.engine.registry.add("app:1")
    world.engine.remote["app:1"] = "sha256:moved"
    for name in ("backend", "front"):
        world.engine.create_network({"Name": name})


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
    "purge": (
        Sample(Purge(path="/srv", keep=("mine",)), put("/srv/theirs")),
        Sample(Purge(path="/srv", exclude=("*.x",), force=True), full("/srv/sub", "/srv/kept.x")),
    ),
    "line": (
        Sample(Line(path="/srv/conf", text="new", match="^old"), put("/srv/conf", "old\nrest\n")),
        Sample(Line(path="/srv/conf", name="a", text="new"), put("/srv/conf", "rest")),
        Sample(Line(path="/srv/new", text="new", create=True)),
        Sample(Line(path="/srv/conf", text="old", ensure="absent"), put("/srv/conf", "old\n")),
    ),
    "block": (
        Sample(Block(path="/srv/conf", text="a\nb"), put("/srv/conf", "rest\n")),
        Sample(Block(path="/srv/conf", text="a", sensitive=True, insert_before="START"), put("/srv/conf", "rest\n")),
    ),
    "ini": (
        Sample(Ini(path="/srv/conf", section="s", key="k", value="1"), put("/srv/conf", "[s]\nk=0\n")),
        Sample(Ini(path="/srv/conf", key="k", value="1", separator="="), put("/srv/conf", "rest\n")),
        Sample(Ini(path="/srv/conf", key="k", ensure="absent"), put("/srv/conf", "k=0\n")),
    ),
    "archive": (
        Sample(Archive(path="/srv/app", source=text(packed("a", "sub/b")))),
        Sample(Archive(path="/srv/app", source=text(packed("a")), force=True), put("/srv/app")),
    ),
    "download": (
        Sample(
            Download(
                path="/srv/new",
                url=replace(text("new"), url="https://example.com/x"),
                checksum=text("new").digest,
                mode="0600",
            )
        ),
        Sample(
            Download(
                path="/srv/old", url=replace(text("new"), url="https://example.com/x"), checksum=text("new").digest
            ),
            put("/srv/old"),
        ),
    ),
    "package": (
        Sample(Package(name="tree"), packages()),
        Sample(Package(name="tree", version="1.*"), packages()),
        Sample(Package(name="tree", ensure="latest"), packages(tree="1.0")),
        Sample(Package(name="tree", ensure="absent"), packages(tree="1.0")),
        Sample(Package(name="tree", ensure="purged"), packages(tree="1.0")),
    ),
    "apt_repository": (
        Sample(repository("deb"), full("/etc/apt/sources.list.d/other.sources")),
        Sample(repository("deb", signed_by=None, trusted=True), put(f"{APT}/shop.sources", "Types: deb-src\n")),
        Sample(AptRepository(name="shop", ensure="absent"), put(f"{APT}/shop.sources", "Types: deb\n")),
    ),
    "rpm_repository": (
        Sample(RpmRepository(name="shop", baseurl=("https://example.com/9",), key={"asc": KEY})),
        Sample(
            RpmRepository(name="shop", baseurl=("https://example.com/9",), gpgcheck=False),
            put("/etc/yum.repos.d/shop.repo", "[shop]\nbaseurl = https://example.com/8\n"),
        ),
        Sample(RpmRepository(name="shop", ensure="absent"), put("/etc/yum.repos.d/shop.repo", "[shop]\n")),
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
    "container_image": (
        Sample(ContainerImage(reference="app:1"), pulled),
        Sample(ContainerImage(reference="app:1", ensure="absent")),
        Sample(ContainerImage(reference="app:1", ensure="unused")),
        Sample(ContainerImage(reference="app:1", pull="always"), moved),
    ),
    "container_network": (
        Sample(ContainerNetwork(name="backend")),
        Sample(
            ContainerNetwork(
                name="backend",
                driver="bridge",
                internal=True,
                ipv6=False,
                subnet="172.30.0.0/24",
                options={"a": "b"},
                labels={"c": "d"},
            )
        ),
        Sample(ContainerNetwork(name="backend", internal=True), wished(ContainerNetwork(name="backend"))),
        Sample(ContainerNetwork(name="backend", ensure="absent"), wished(ContainerNetwork(name="backend"))),
    ),
    "container_volume": (
        Sample(ContainerVolume(name="data")),
        Sample(ContainerVolume(name="data", driver="local", options={"type": "tmpfs"}, labels={"a": "b"})),
        Sample(ContainerVolume(name="data", ensure="absent"), wished(ContainerVolume(name="data"))),
    ),
    "container": (
        Sample(container()),
        Sample(container(pull="always", networks={"backend": {}, "front": {}}, secrets=text('{"a": "b"}')), moved),
        Sample(container(env=text('{"A": "b"}'), ports=("80:80/tcp",)), pulled),
        Sample(container(image="app:2"), made(container()), ours=True),
        Sample(container(ensure="stopped"), made(container()), ours=True),
        Sample(Container(name="web", ensure="absent"), made(container()), ours=True),
    ),
}
