"""Fixtures of tests on real hosts: the built package, repositories, and machines with the agent installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts import images
from tests.hosts.git import GitRepository, http_server
from tests.hosts.machine import Machine
from tests.hosts.registry import registry
from tests.system.containers import PORT, Engine, Images, converge, prepare_podman, push_all, refused

HERE = Path(__file__).resolve().parents[2]
NEEDED = (
    *("systemd-nspawn", "debootstrap", "nsenter", "skopeo", "docker-registry", "sshd"),
    *("apt-ftparchive", "gpg", "strace", "rpmbuild", "rpmsign", "createrepo_c"),
)
REPOSITORY_PORT = 8418


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/system" in str(item.path):
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session", autouse=True)
def _whole_machine() -> None:
    if os.geteuid() != 0:
        pytest.skip("missing: root (these tests boot hosts)")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"missing: {', '.join(missing)} (run tests/provision)")


@pytest.fixture(scope="module", autouse=True)
def _no_key_agents_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """End the agents that gpg starts: each watches files, of which all hosts of this machine together may watch few."""
    yield
    for home in tmp_path_factory.getbasetemp().glob("*/gnupg"):
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False, capture_output=True)


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from this checkout."""
    into = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "packaging/build.py", "--into", str(into), "deb"]
    subprocess.run(command, cwd=HERE, check=True, capture_output=True)
    (built,) = into.glob("*.deb")
    return built


@pytest.fixture(params=["bookworm", "trixie"], scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """Both Debian releases that the package is for."""
    return str(request.param)


@pytest.fixture(scope="module")
def machine(suite: str, deb: Path) -> Iterator[Machine]:
    """A host with the agent installed and not configured, one for all tests of a module."""
    with Machine(images.ready(suite)) as host:
        host.install(deb)
        yield host


class Fleet:
    """A repository that a host follows, served to it over HTTP, and the commands of its agent."""

    def __init__(self, host: Machine, repository: GitRepository) -> None:
        self.host, self.repository = host, repository
        self.keys = repository.bare.parent  # where a test keeps private keys

    def configure(self, **settings: object) -> None:
        """Write where the repository is, and whatever else is asked; harm is repaired however often, and nothing soaks."""
        asked = {"repository": f"http://127.0.0.1:{REPOSITORY_PORT}/fleet.git", "branch": "main", **settings}
        lines: dict[str, object] = {**asked, "contested_after": 1000, "health_soak": "0s", **settings}
        self.host.write("/etc/gitops-agent/agent.yaml", "".join(f"{name}: {value}\n" for name, value in lines.items()))

    def hold(self, resources: str, message: str = "change") -> str:
        """Commit what the host shall be; the commit's id."""
        return self.repository.commit(
            {"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": f"resources:\n{resources}"}, message
        )

    def apply(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`agentctl apply` on the host."""
        return self.host.run("agentctl", "apply", *options, check=False, timeout=300)

    def plan(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`agentctl plan` on the host."""
        return self.host.run("agentctl", "plan", *options, check=False)


@pytest.fixture(scope="module")
def fleet(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A repository of the module's host."""
    with ExitStack() as stack:
        yield make_fleet(machine, tmp_path_factory.mktemp("git"), stack)


def make_fleet(host: Machine, directory: Path, stack: ExitStack) -> Fleet:
    """A repository for a host, served while the stack is open, and configured."""
    repository = GitRepository(directory)
    stack.enter_context(http_server(directory, pid=host.leader, port=REPOSITORY_PORT))
    made = Fleet(host, repository)
    made.configure()
    return made


HELD_BY = (("bookworm", "docker"), ("trixie", "docker"), ("trixie", "podman"), ("trixie", "quadlet"))


@dataclass(frozen=True)
class ContainerHost:
    """A host with an engine, what is in the registry on its loopback, and who holds containers there."""

    fleet: Fleet
    suite: str
    held_by: str
    engine: Engine
    app: Images
    registry: Path

    def configure(self, **more: object) -> None:
        """Write the settings of this host, and more."""
        self.fleet.configure(**{**settings_of(self.suite, self.held_by), **more})

    def converge(self, resources: str) -> None:
        """Commit and apply; a second pass finds and does nothing."""
        converge(self.fleet, resources, self.engine)

    def refused(self, resources: str) -> str:
        """Commit and apply what must fail; what was said."""
        return refused(self.fleet, resources)

    def http(self) -> str:
        """What the container that is published says; one that was just started may need a moment."""
        deadline = time.monotonic() + 5
        while not (said := self.fleet.host.http(PORT)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return said


def settings_of(suite: str, held_by: str) -> dict[str, object]:
    """Who holds containers, where there is a choice; no time is spent on checks, and harm is repaired however often."""
    chosen = {} if suite == "bookworm" else {"container_engine": held_by}
    return {"health_settle": 0, "health_timeout": 1, "contested_after": 1000, **chosen}


@pytest.fixture(scope="session", params=HELD_BY, ids="-".join)
def on(request: pytest.FixtureRequest, deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerHost]:
    """One host for all tests of containers, with each of what may hold them by turns."""
    suite, held_by = request.param
    with container_host(suite, held_by, deb, tmp_path_factory.mktemp("on")) as made:
        yield made


@contextmanager
def container_host(
    suite: str, held_by: str, deb: Path, folder: Path, *, limits: bool = False
) -> Iterator[ContainerHost]:
    """A host with an engine, and with images in a registry on its loopback; with `limits`, those of containers hold."""
    image = images.with_engine(suite) if suite == "bookworm" else images.with_engines(suite)
    if (suite, held_by) == ("bookworm", "podman"):
        image = images.Image(suite, (images.RUNTIME, (*images.PODMAN, "runc", "iptables", "python3-docker")))
    with ExitStack() as stack:
        host = stack.enter_context(Machine(image, limits=limits))
        host.install(deb)
        program = "docker" if held_by == "docker" else "podman"
        if program == "podman":
            prepare_podman(host)
        fleet = make_fleet(host, folder / "git", stack)
        fleet.configure(**settings_of(suite, held_by))
        address = stack.enter_context(registry(folder / "registry", host.leader))
        app = push_all(folder / "registry", host, address)
        yield ContainerHost(fleet, suite, held_by, Engine(host, program), app, folder / "registry")


Check = Callable[[], bool]
