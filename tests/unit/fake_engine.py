"""A container engine in memory: containers that start, fail, hold ports and fall ill as their options say."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from modules.api import Content, ResourceError, Unsupported
from tests.unit.fake_host import FakeFiles

FAILING, KILLED = ["fail"], ["killed"]  # commands that end at once
FAILING_WITH = {str(FAILING): 3, str(KILLED): 137}


class PowerCut(BaseException):
    """The agent dies here."""


class FakeEngine:
    """It refuses what a real one refuses, and `fuse` counts down to a power cut before a change."""

    program = "docker"
    quadlet = False

    def __init__(self, *local: str, registry: Sequence[str] = ()) -> None:
        self.images = {reference: f"sha256:{reference}" for reference in local}  # their ids by name
        self.dangling: set[str] = set()  # ids whose tag went to another
        self.registry = set(registry)
        self.remote: dict[str, str] = {}  # digests of tags that have moved in the registry
        self.networks: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.standing: dict[str, dict[str, Any]] = {}
        self.volumes_removed_of: list[str] = []
        self.stopped_from_outside: set[str] = set()
        self.watched: list[tuple[str, int]] = []  # who, and how many had been started by then
        self.lists = self.changes = self.starts = 0
        self.fuse = -1
        self._ids = itertools.count(1)

    # Looking

    def containers(self, names: Sequence[str]) -> Mapping[str, Any]:
        self.lists += 1
        return {name: self._listed(self.standing[name]) for name in names if name in self.standing}

    def _listed(self, found: dict[str, Any]) -> dict[str, Any]:
        host = {"NetworkMode": found["HostConfig"].get("NetworkMode", "default")}
        return {
            "Id": found["Id"],
            "State": found["State"]["Status"],
            "Status": found.get("Status", "Up 2 hours"),
            "Labels": found["Config"]["Labels"],
            "HostConfig": host,
            "ImageID": found["Image"],
        }

    def inspect(self, name: str) -> Mapping[str, Any] | None:
        return copy.deepcopy(self.standing.get(name))

    def settled(self, name: str, *, steady_seconds: float, healthy_seconds: float) -> Mapping[str, Any]:
        found = self.inspect(name)
        assert found is not None
        self.watched.append((name, self.starts))
        return found

    def was_stopped(self, name: str) -> bool:
        return name in self.stopped_from_outside

    def ran_out_of_memory(self, name: str) -> bool:
        return bool(self.standing[name]["State"].get("OOMKilled"))

    def logs(self, name: str, lines: int) -> str:
        return f"last words of {self.standing[name]['Config']['Image']}\n"

    def image(self, reference: str) -> Mapping[str, Any] | None:
        known = self.images.get(reference) or (
            reference if reference in (*self.images.values(), *self.dangling) else None
        )
        tags = [name for name, image in self.images.items() if image == known]
        digest = f"{(known or '').removeprefix('sha256:')}"
        return None if known is None else {"Id": known, "RepoTags": tags, "RepoDigests": [f"app@sha256:{digest}"]}

    def newest(self, reference: str) -> str:
        if reference not in self.registry:
            raise ResourceError(f"registry cannot be asked which image {reference} is by now: connection refused")
        return self.remote.get(reference, f"sha256:{reference}")

    def network(self, name: str) -> Mapping[str, Any] | None:
        return self.networks.get(name)

    def volume(self, name: str) -> Mapping[str, Any] | None:
        return self.volumes.get(name)

    def users(self, *, network: str = "", volume: str = "", image: str = "") -> list[str]:
        def uses(found: Mapping[str, Any]) -> bool:
            host = found["HostConfig"]
            mounts = [mount["Source"] for mount in host.get("Mounts", ())]
            return image == found["Image"] or volume in mounts or network == host.get("NetworkMode", "bridge")

        return sorted(name for name, found in self.standing.items() if uses(found))

    # Changing

    def pull(self, reference: str) -> None:
        self._burn()
        if reference not in self.registry:
            raise ResourceError(f"image {reference} cannot be pulled: manifest unknown")
        self.tag(self.newest(reference), reference)
        self.dangling.discard(self.images[reference])

    def remove_image(self, reference: str) -> str:
        self._burn()
        known = (self.image(reference) or {}).get("Id", "")
        if reference in self.images and list(self.images.values()).count(known) > 1:
            del self.images[reference]
            return ""
        if users := self.users(image=known):
            return f"container {users[0]} is using it"
        self.images = {name: image for name, image in self.images.items() if known not in (name, image)}
        self.dangling.discard(known)
        return ""

    def tag(self, image: str, name: str) -> None:
        self._burn()
        before = self.images.get(name)
        self.images[name] = image
        if before is not None and before not in self.images.values():
            self.dangling.add(before)

    def create_network(self, options: Mapping[str, Any]) -> None:
        self._burn()
        config = options.get("IPAM", {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]})
        self.networks[options["Name"]] = {**options, "IPAM": config}

    def remove_network(self, name: str) -> None:
        self._burn()
        if users := self.users(network=name):
            raise ResourceError(f"network {name} has active endpoints: {users}")
        del self.networks[name]

    def create_volume(self, options: Mapping[str, Any]) -> None:
        self._burn()
        self.volumes[options["Name"]] = {**options, "Options": options["DriverOpts"]}

    def remove_volume(self, name: str) -> None:
        self._burn()
        if users := self.users(volume=name):
            raise ResourceError(f"volume {name} is in use by {users}")
        del self.volumes[name]

    def connect(self, network: str, name: str, endpoint: Mapping[str, Any]) -> None:
        self._burn()
        if network not in self.networks:
            raise ResourceError(f"network {network} not found")
        self.standing[name].setdefault("Networks", {})[network] = endpoint
        self.standing[name]["HostConfig"].setdefault("NetworkMode", network)

    def disconnect(self, network: str, name: str) -> None:
        self._burn()
        self.standing[name].get("Networks", {}).pop(network, None)
        self.standing[name]["HostConfig"].pop("NetworkMode", None)

    def create(self, name: str, options: Mapping[str, Any]) -> None:
        self._burn()
        if name in self.standing:
            raise ResourceError(f"the name {name} is taken")
        if options["Image"] not in self.images:
            raise ResourceError(f"no such image {options['Image']}")
        self.standing[name] = {
            "Id": f"id{next(self._ids)}",
            "Name": f"/{name}",
            "Created": datetime.now(UTC).isoformat(),
            "Config": {"Labels": {}, **copy.deepcopy(dict(options))},
            "Image": self.images[options["Image"]],
            "HostConfig": copy.deepcopy(dict(options.get("HostConfig", {}))),
            "RestartCount": 0,
            "State": {"Status": "created", "Running": False, "ExitCode": 0},
        }

    def start(self, name: str) -> None:
        self._burn()
        self.starts += 1
        found = self.standing[name]
        if found["State"]["Running"]:
            return
        held = {port for other in self.standing.values() if other["State"]["Running"] for port in _ports(other)}
        if taken := held.intersection(_ports(found)):
            raise ResourceError(f"port {taken.pop()} is already allocated")
        code = FAILING_WITH.get(str(found["Config"].get("Cmd")))
        status = "running" if code is None else "exited"
        found["State"] = {"Status": status, "Running": code is None, "ExitCode": code or 0}
        if "Healthcheck" in found["Config"]:
            ill = "ill" in found["Config"]["Healthcheck"]["Test"]
            found["State"]["Health"] = {"Status": "unhealthy" if ill else "healthy", "Log": [{"Output": "broken\n"}]}

    def unpause(self, name: str) -> None:
        self._burn()
        self.standing[name]["State"] |= {"Status": "running"}

    def stop(self, name: str, timeout_seconds: int) -> None:
        self._burn()
        state = self.standing[name]["State"]
        if state["Running"]:
            state |= {"Status": "exited", "Running": False, "ExitCode": 137}

    def restart(self, name: str, timeout_seconds: int) -> None:
        self.stop(name, timeout_seconds)
        self.start(name)
        self.standing[name]["Restarted"] = True

    def rename(self, name: str, new_name: str) -> None:
        self._burn()
        if new_name in self.standing:
            raise ResourceError(f"the name {new_name} is taken")
        found = self.standing.pop(name)
        self.standing[new_name] = {**found, "Name": f"/{new_name}"}

    def retire(self, name: str) -> None:
        self._burn()
        self.standing[name]["HostConfig"]["RestartPolicy"] = {"Name": "no"}

    def remove(self, name: str, *, anonymous_volumes: bool) -> None:
        self._burn()
        del self.standing[name]
        if anonymous_volumes:
            self.volumes_removed_of.append(name)

    # For tests

    def image_of(self, name: str) -> str:
        return str(self.standing[name]["Config"]["Image"])

    def running(self) -> list[str]:
        return sorted(name for name, found in self.standing.items() if found["State"]["Running"])

    def age(self, name: str, **by: float) -> None:
        created = datetime.fromisoformat(self.standing[name]["Created"]) - timedelta(**by)
        self.standing[name]["Created"] = created.isoformat()

    def _burn(self) -> None:
        self.changes += 1
        self.fuse -= 1
        if self.fuse == 0:
            raise PowerCut


def _ports(found: Mapping[str, Any]) -> set[str]:
    bindings = found["HostConfig"].get("PortBindings", {})
    return {binding["HostPort"] for published in bindings.values() for binding in published}


class EngineMachine:
    """A host that has an engine, or none."""

    def __init__(self, engine: FakeEngine | None = None, root: str = "/") -> None:
        self._engine, self.root = engine, root
        self.files = FakeFiles()
        self.files.put("/run", kind="directory")

    @property
    def engine(self) -> FakeEngine:
        if self._engine is None:
            raise Unsupported("no container engine")
        return self._engine

    def content(self, content: Content) -> bytes:
        assert content.data is not None
        return content.data
