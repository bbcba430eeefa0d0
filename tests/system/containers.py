"""What tests of containers share: hosts with an engine, tiny images in a registry on their loopback, and how to look."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.hosts.machine import Machine
from tests.hosts.registry import push

if TYPE_CHECKING:
    from tests.system.conftest import Fleet

PORT = 8080
NOTHING = "  - {file: /srv/nothing, ensure: absent}\n"
PODMAN = """[containers]
pids_limit = 0
[engine]
runtime = "runc"
"""
"""For kernels whose control groups are not all of version 2, as those of build machines often are."""
INSECURE = "".join(f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n' for port in (5000, 5001))


class Images(NamedTuple):
    """References in the host's own registry."""

    one: str
    two: str
    two_digest: str
    ill: str  # its health check fails
    slow: str  # healthy only after a second


def push_all(folder: Path, host: Machine, address: str) -> Images:
    """Tiny images that answer HTTP with their name."""

    def made(tag: str, **options: Any) -> str:
        return push(folder, host.leader, f"{address}/app:{tag}", text=tag, **options)

    digests = {tag: made(tag) for tag in ("one", "two")}
    made("ill", healthcheck=["false"])
    made("slow", healthcheck=["true"])
    ref = f"{address}/app:"
    return Images(ref + "one", ref + "two", f"{address}/app@{digests['two']}", ref + "ill", ref + "slow")


def prepare_podman(host: Machine) -> None:
    """Let Podman use the registry, and listen."""
    host.write("/etc/containers/containers.conf.d/test.conf", PODMAN)
    host.write("/etc/containers/registries.conf.d/test.conf", INSECURE)
    host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")  # its own name server will not start without
    host.run("systemctl", "stop", "podman.service")  # one that was started at boot has not read these
    host.run("systemctl", "enable", "--now", "podman.socket")


class Engine:
    """An engine's own command line, to judge from outside."""

    def __init__(self, host: Machine, program: str) -> None:
        self.host, self.program = host, program

    def run(self, *words: str, check: bool = True) -> str:
        """What a command printed."""
        return self.host.run(self.program, *words, check=check).stdout

    def inspect(self, name: str, template: str = "{{json .}}", kind: str = "container") -> Any:
        """Something of an inspection."""
        return json.loads(self.run("inspect", "--type", kind, "-f", template, name))

    def standing(self) -> dict[str, str]:
        """The names of all containers, and their states."""
        lines = self.run("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def everything(self) -> list[str]:
        """Every container, network, volume and image, by id."""
        asked = ("ps -a --no-trunc", "network ls --no-trunc", "volume ls", "image ls --no-trunc")
        return sorted(self.host.shell(" && ".join(f"{self.program} {words} -q" for words in asked)).split())


def declared(name: str, **fields: object) -> str:
    """One container in the format of a repository; JSON is YAML."""
    return f"  - {json.dumps({'container': name, 'stop_timeout': 0, **fields})}\n"


def resource(kind: str, name: str, **fields: object) -> str:
    """One resource of any kind."""
    return f"  - {json.dumps({kind: name, **fields})}\n"


def web(image: str, **fields: object) -> str:
    """The container that answers on PORT."""
    return declared("web", image=image, ports=[f"127.0.0.1:{PORT}:8080"], **fields)


def converge(fleet: Fleet, resources: str, engine: Engine) -> None:
    """Commit and apply; a second pass finds and does nothing."""
    fleet.hold(resources)
    applied = fleet.apply()
    assert applied.returncode == 0, applied.stdout + applied.stderr
    before = engine.everything()
    again = fleet.apply()
    assert (again.returncode, "converged" in again.stdout) == (0, False), again.stdout
    assert engine.everything() == before


def refused(fleet: Fleet, resources: str) -> str:
    """Commit and apply what must fail; what was said."""
    fleet.hold(resources)
    applied = fleet.apply()
    assert applied.returncode == 4, applied.stdout + applied.stderr
    return applied.stdout + applied.stderr


class Client:
    """Asks the port again and again; the longest time without an answer."""

    def __init__(self, host: Machine) -> None:
        self._host, self._done = host, threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest_gap = 0.0
        self.answers: set[str] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _ask(self) -> None:
        last = time.monotonic()
        while not self._done.is_set():
            answer, now = self._host.http(PORT, timeout=1), time.monotonic()
            if answer:
                self.answers.add(answer)
                self.longest_gap, last = max(self.longest_gap, now - last), now
            time.sleep(0.05)
