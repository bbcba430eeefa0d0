"""A container engine in memory: containers that start, fail, hold ports and fall ill as their options say."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from modules.api import ResourceError

FAILING = ["fail"]  # a command that ends at once


class PowerCut(BaseException):
    """The agent dies here."""


class FakeEngine:
    """It refuses what a real one refuses, and `fuse` counts down to a power cut before a change."""

    def __init__(self, *local: str, registry: Sequence[str] = ()) -> None:
        self.images, self.registry = set(local), set(registry)
        self.standing: dict[str, dict[str, Any]] = {}
        self.volumes_removed_of: list[str] = []
        self.lists = self.changes = 0
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
            "Labels": found["Config"]["Labels"],
            "HostConfig": host,
        }

    def inspect(self, name: str) -> Mapping[str, Any] | None:
        return copy.deepcopy(self.standing.get(name))

    def settled(self, name: str, *, steady_seconds: float, healthy_seconds: float) -> Mapping[str, Any]:
        found = self.inspect(name)
        assert found is not None
        return found

    def logs(self, name: str, lines: int) -> str:
        return f"last words of {self.standing[name]['Config']['Image']}\n"

    def image_id(self, reference: str) -> str | None:
        return f"sha256:{reference}" if reference in self.images else None

    # Changing

    def pull(self, reference: str) -> None:
        self._burn()
        if reference not in self.registry:
            raise ResourceError(f"image {reference} cannot be pulled: manifest unknown")
        self.images.add(reference)

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
            "HostConfig": copy.deepcopy(dict(options.get("HostConfig", {}))),
            "RestartCount": 0,
            "State": {"Status": "created", "Running": False, "ExitCode": 0},
        }

    def start(self, name: str) -> None:
        self._burn()
        found = self.standing[name]
        if found["State"]["Running"]:
            return
        held = {port for other in self.standing.values() if other["State"]["Running"] for port in _ports(other)}
        if taken := held.intersection(_ports(found)):
            raise ResourceError(f"port {taken.pop()} is already allocated")
        failing = found["Config"].get("Cmd") == FAILING
        found["State"] = {"Status": "exited" if failing else "running", "Running": not failing, "ExitCode": 3 * failing}
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
