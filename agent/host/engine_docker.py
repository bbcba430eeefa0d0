"""Docker behind its Unix socket, or Podman where it speaks the same (docstrings: modules.api.Engine).

A pass in which nothing differs only lists containers, and reads what other kinds name.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from agent.host.engine_choice import DOCKER
from agent.host.engine_client import ANSWER_SECONDS, Client
from agent.host.engine_events import Events
from modules.api import Json, ResourceError

POLL_SECONDS = 0.1
MAX_LOG_CHARACTERS = 2000
_RETIRE_TRIES = 50
_ENDED = re.compile(
    "update a stopped container|container (is )?not running|update --resources"
)  # of runc, crun, Podman


class DockerEngine(Client):
    """Docker, or what speaks as it does (modules.api.Engine)."""

    program = DOCKER
    quadlet = False
    _unreachable: dict[str, ResourceError]

    def containers(self, names: Sequence[str]) -> Mapping[str, Json]:
        pattern = f"^/?({'|'.join(map(re.escape, names))})$"  # one, since the engine compiles each for each container
        query = {"all": "1", "filters": json.dumps({"name": [pattern]})}
        by_name = {
            name.removeprefix("/"): entry for entry in self.get("/containers/json", query) for name in entry["Names"]
        }
        return {name: by_name[name] for name in names if name in by_name}

    def image(self, reference: str) -> Json | None:
        return self.found(f"/images/{quote(reference, safe='/:@')}/json")

    def network(self, name: str) -> Json | None:
        found = self.found(f"/networks/{quote(name)}")
        return found if found is not None and found["Name"] == name else None  # it also goes by the beginning of an id

    def volume(self, name: str) -> Json | None:
        return self.found(f"/volumes/{quote(name)}")

    def users(self, *, network: str = "", volume: str = "", image: str = "") -> Sequence[str]:
        given = {"network": network, "volume": volume, "ancestor": image}
        filters = {name: [value] for name, value in given.items() if value}
        listed = self.get("/containers/json", {"all": "1", "filters": json.dumps(filters)})
        return sorted(name.removeprefix("/") for entry in listed for name in entry["Names"][:1])

    def newest(self, reference: str) -> str:
        """Ask each registry once in a pass whether it answers at all: one that is down must not cost a time-out an image."""
        from agent.host.registry import Reference

        registry = Reference.parse(reference).registry
        self.__dict__.setdefault("_unreachable", {})
        if registry in self._unreachable:
            raise self._unreachable[registry]
        try:
            return self._newest(reference, registry)
        except ResourceError as error:
            self._unreachable[registry] = error
            raise

    def _newest(self, reference: str, registry: str) -> str:
        login = self._credentials.of(registry)
        headers = {"X-Registry-Auth": login.header(registry)} if login else {}
        path = f"/v{self._version}/distribution/{quote(reference, safe='/:@')}/json"
        what = f"registry {registry} cannot be asked which image {reference} is by now"
        found = self._connection.get(path, {}, headers=headers, what=what)
        return str(found["Descriptor"]["digest"])

    def inspect(self, name: str) -> Json | None:
        found = self.found(f"/containers/{quote(name)}/json")
        is_it = found is not None and found["Name"] == f"/{name}"  # the engine also goes by the beginning of an id
        return found if is_it else None

    def settled(self, name: str, *, steady_seconds: float, healthy_seconds: float) -> Json:
        started = time.monotonic()
        while True:
            found = self.inspect(name)
            if found is None:
                raise ResourceError(f"container {name} was removed while it was starting; the next pass makes it anew")
            seconds = time.monotonic() - started
            if _is_decided(found, steady=seconds >= steady_seconds) or seconds >= healthy_seconds:
                return found
            time.sleep(POLL_SECONDS)

    def was_stopped(self, name: str) -> bool:
        found = self.inspect(name)
        return found is None or self._events.tell_of_a_stop(found)

    def ran_out_of_memory(self, name: str) -> bool:
        found = self.inspect(name)
        return found is not None and (found["State"].get("OOMKilled") or self._events.tell_of_lack_of_memory(found))

    @property
    def _events(self) -> Events:
        return Events(self._connection, self._version)

    def logs(self, name: str, lines: int) -> str:
        with self.asking(f"the log of container {name} cannot be read") as client:
            written: bytes = client.logs(name, stdout=True, stderr=True, tail=lines)
        return written.decode(errors="replace")[-MAX_LOG_CHARACTERS:]

    def pull(self, reference: str) -> None:
        self.download(reference)

    def remove_image(self, reference: str) -> str:
        with self.asking(f"image {reference} cannot be removed") as client:
            from docker.errors import APIError, ImageNotFound

            try:
                client.remove_image(reference)
            except ImageNotFound:
                return ""
            except APIError as error:
                if error.status_code != 409:  # a conflict with what uses it
                    raise
                return str(error.explanation)
            return ""

    def tag(self, image: str, name: str) -> None:
        with self.asking(f"image {image} cannot be named {name}") as client:
            client.tag(image, *name.rsplit(":", 1), force=True)

    def create(self, name: str, options: Json) -> None:
        with self.asking("the container cannot be created") as client:
            client.create_container_from_config(dict(options), name)

    def connect(self, network: str, name: str, endpoint: Json) -> None:
        with self.asking(f"container {name} cannot be put into network {network}") as client:
            url = f"{client.base_url}/v{self._version}/networks/{quote(network)}/connect"
            _succeeded(client.post(url, json={"Container": name, "EndpointConfig": dict(endpoint)}))

    def disconnect(self, network: str, name: str) -> None:
        with self.asking(f"container {name} cannot be taken out of network {network}") as client:
            client.disconnect_container_from_network(name, network, force=True)

    def start(self, name: str) -> None:
        with self.asking(f"container {name} cannot be started") as client:
            client.start(name)

    def unpause(self, name: str) -> None:
        with self.asking(f"container {name} cannot be unpaused") as client:
            client.unpause(name)

    def stop(self, name: str, timeout_seconds: int) -> None:
        self._tell_to_stop(name, timeout_seconds)
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline and self._listed(name) == "running":  # the list comes after the answer
            time.sleep(POLL_SECONDS)

    def _tell_to_stop(self, name: str, timeout_seconds: int) -> None:
        with self.asking(f"container {name} cannot be stopped") as client:
            client.stop(name, timeout=timeout_seconds)

    def restart(self, name: str, timeout_seconds: int) -> None:
        with self.asking(f"container {name} cannot be restarted") as client:
            client.restart(name, timeout=timeout_seconds)

    def rename(self, name: str, new_name: str) -> None:
        with self.asking(f"container {name} cannot be renamed to {new_name}") as client:
            client.rename(name, new_name)

    def retire(self, name: str) -> None:
        """Ask again of one that has ended and the engine has not noticed yet: it would change what runs, and cannot."""
        for _ in range(_RETIRE_TRIES - 1):
            try:
                return self._retire(name)
            except ResourceError as error:
                if not _ENDED.search(str(error)):
                    raise
            time.sleep(POLL_SECONDS)
        return self._retire(name)

    def _retire(self, name: str) -> None:
        with self.asking(f"the restart policy of container {name} cannot be changed") as client:
            client.update_container(name, restart_policy={"Name": "no"})

    def remove(self, name: str, *, anonymous_volumes: bool) -> None:
        with self.asking(f"container {name} cannot be removed") as client:
            client.remove_container(name, v=anonymous_volumes, force=True)

    def create_network(self, options: Json) -> None:
        self._make("network", f"{options['Name']}", "/networks/create", options)

    def remove_network(self, name: str) -> None:
        with self.asking(f"network {name} cannot be removed") as client:
            client.remove_network(name)

    def create_volume(self, options: Json) -> None:
        self._make("volume", f"{options['Name']}", "/volumes/create", options)

    def remove_volume(self, name: str) -> None:
        with self.asking(f"volume {name} cannot be removed") as client:
            client.remove_volume(name)

    def _make(self, what: str, name: str, path: str, options: Json) -> None:
        with self.asking(f"{what} {name} cannot be made") as client:
            _succeeded(client.post(f"{client.base_url}/v{self._version}{path}", json=dict(options)))

    def _listed(self, name: str) -> str:
        return str(self.containers([name]).get(name, {}).get("State", ""))


def _succeeded(response: object) -> None:
    from docker.errors import create_api_error_from_http_exception
    from requests.exceptions import HTTPError

    try:
        response.raise_for_status()  # type: ignore[attr-defined]
    except HTTPError as error:
        create_api_error_from_http_exception(error)


def _is_decided(found: Json, *, steady: bool) -> bool:
    state = found["State"]
    if state["Status"] not in ("running", "created", "initialized") or found["RestartCount"]:
        return True
    health = (state.get("Health") or {}).get("Status", "none")
    return health == "unhealthy" or (steady and health != "starting")
