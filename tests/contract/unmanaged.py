"""What each kind leaves alone: changes of a host that do not concern a wish that is fulfilled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modules.api import Resource
from modules.archive import Archive
from modules.block import Block
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
from modules.unit import Unit
from tests.contract.samples import APT, TIMER, Change, container, packages, put, repository, units
from tests.system.packed import packed
from tests.unit.convergence import text


@dataclass(frozen=True)
class Unmanaged:
    """A wish that is fulfilled, and a change of the host that does not concern it."""

    resource: Resource
    change: Change


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
    "purge": (Unmanaged(Purge(path="/srv", keep=("a", "b")), put("/srv/b")),),
    "line": (Unmanaged(Line(path="/srv/a", text="x", create=True), put("/srv/a", "x\nand more\n")),),
    "block": (Unmanaged(Block(path="/srv/a", text="", create=True), put("/srv/a", "x\n")),),
    "ini": (Unmanaged(Ini(path="/srv/a", key="k", value="1", create=True), put("/srv/a", "# more\nk = 1\nl = 2\n")),),
    "archive": (Unmanaged(Archive(path="/srv/app", source=text(packed("a"))), put("/srv/app/theirs")),),
    "download": (
        Unmanaged(
            Download(path="/srv/a", url=replace(text("x"), url="https://example.com/x"), checksum=text("x").digest),
            lambda world: world.host.files.set_mode("/srv/a", 0o600),
        ),
    ),
    "package": (
        Unmanaged(Package(name="tree"), lambda world: world.apt.put("tree", "1.0")),
        Unmanaged(Package(name="tree"), lambda world: world.apt.put("other", "1.0")),
    ),
    "apt_repository": (Unmanaged(repository("deb"), put(f"{APT}/other.sources", "Types: deb\n")),),
    "rpm_repository": (
        Unmanaged(
            RpmRepository(name="shop", baseurl=("https://example.com/9",), gpgcheck=False),
            put("/etc/yum.repos.d/other.repo", "[other]\n"),
        ),
    ),
    "unit": (
        Unmanaged(Unit(name="web.service", enabled=True), lambda world: world.systemd.active.update({"web.service": "active"})),
        Unmanaged(Unit(name="web.service", masked=False), lambda world: world.host.run("systemctl", "enable", "--", "web.service")),
    ),
    "timer": (
        Unmanaged(TIMER, lambda world: world.systemd.active.update({"other.timer": "active"})),
        Unmanaged(TIMER, put("/etc/systemd/system/backup.service.d/theirs.conf", "")),
    ),
    "container_image": (
        Unmanaged(ContainerImage(reference="app:1"), lambda world: world.engine.images.update({"app:2": "sha256:other"})),
        Unmanaged(ContainerImage(reference="app:1"), lambda world: world.engine.images.update({"app:3": "sha256:3"})),
    ),
    "container_network": (
        Unmanaged(ContainerNetwork(name="backend"), lambda world: world.engine.networks["backend"].update(Internal=True)),
    ),
    "container_volume": (
        Unmanaged(ContainerVolume(name="data"), lambda world: world.engine.volumes["data"].update(Driver="nfs")),
    ),
    "container": (
        Unmanaged(container(), lambda world: world.engine.standing["web"]["Config"].update(Hostname="4f2c1a9")),
        Unmanaged(container(), lambda world: world.engine.images.update({"app:3": "sha256:3"})),
    ),
}  # fmt: skip
PREPARED: Mapping[str, Change] = {"package": packages(), "unit": units()}  # what a host has before UNMANAGED
