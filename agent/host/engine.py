"""The container engine behind its Unix socket: looked at with the standard library, changed through the docker library.

A pass in which nothing differs only lists containers. The docker library costs up to 0.3 s to import, so it is loaded
when something is to be changed, or looked at more closely for a change.
"""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agent.host.engine_errors import explained
from agent.host.engine_socket import Connection
from modules.api import Engine, Json, ResourceError, Unsupported

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
NO_LIBRARY = "the docker library for Python is not installed; `apt install python3-docker`"
OLDEST_API, NEWEST_API = (1, 41), (1, 44)  # what we speak: Docker 20.10 and Podman 4 to Docker 29
ANSWER_SECONDS = 60  # for one request, on top of what a container may take to stop
PULL_SECONDS = 600
SILENCE_SECONDS = 120  # of a pull that says nothing
POLL_SECONDS = 0.1
MAX_LOG_CHARACTERS = 2000


def open_engine(socket: str = "") -> Engine:
    """The engine at a Unix socket, a path or a `unix://` address; empty for the usual one.

    Raises Unsupported when there is none, or no library to change it with; ResourceError when it does not answer.
    """
    connection = Connection(socket or DEFAULT_SOCKET)
    spoken = connection.version()
    if importlib.util.find_spec("docker") is None:
        raise Unsupported(NO_LIBRARY)
    version = min(NEWEST_API, _numbers(spoken))
    if version < OLDEST_API:
        raise Unsupported(
            f"the engine at {connection.address} speaks only API {spoken}; upgrade it (Docker 20.10 or later)"
        )
    return _Engine(connection, f"{version[0]}.{version[1]}")


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


class _Engine:
    """An engine that answers."""

    def __init__(self, connection: Connection, version: str) -> None:
        self._connection, self._version = connection, version
        self._loaded: Any = None  # the library's APIClient

    def containers(self, names: Sequence[str]) -> Mapping[str, Json]:
        pattern = f"^/?({'|'.join(map(re.escape, names))})$"  # one, since the engine compiles each for each container
        query = {"all": "1", "filters": json.dumps({"name": [pattern]})}
        found = self._connection.get(f"/v{self._version}/containers/json", query)
        by_name = {name.removeprefix("/"): entry for entry in found for name in entry["Names"]}
        return {name: by_name[name] for name in names if name in by_name}

    def inspect(self, name: str) -> Json | None:
        found = self._found(f"container {name} cannot be inspected", "inspect_container", name)
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

    def logs(self, name: str, lines: int) -> str:
        with self._asking(f"the log of container {name} cannot be read") as client:
            written: bytes = client.logs(name, stdout=True, stderr=True, tail=lines)
        return written.decode(errors="replace")[-MAX_LOG_CHARACTERS:]

    def image_id(self, reference: str) -> str | None:
        found = self._found(f"image {reference} cannot be inspected", "inspect_image", reference)
        return None if found is None else str(found["Id"])

    def pull(self, reference: str) -> None:
        """Fetch an image, in at most PULL_SECONDS; the library's own `pull` would wait for ever."""
        what = f"image {reference} cannot be pulled"
        with self._asking(what) as client:
            from docker import auth, utils

            repository, tag = utils.parse_repository_tag(reference)
            registry, _ = auth.resolve_repository_name(repository)
            credentials = auth.get_config_header(client, registry)
            response = client.post(
                f"{client.base_url}/v{self._version}/images/create",
                params={"fromImage": repository, "tag": tag},
                headers={"X-Registry-Auth": credentials} if credentials else {},
                stream=True,
                timeout=SILENCE_SECONDS,
            )
            with response:
                _follow_pull(what, response, deadline=time.monotonic() + PULL_SECONDS)

    def create(self, name: str, options: Json) -> None:
        with self._asking("the container cannot be created") as client:
            client.create_container_from_config(dict(options), name)

    def start(self, name: str) -> None:
        with self._asking(f"container {name} cannot be started") as client:
            client.start(name)

    def unpause(self, name: str) -> None:
        with self._asking(f"container {name} cannot be unpaused") as client:
            client.unpause(name)

    def stop(self, name: str, timeout_seconds: int) -> None:
        with self._asking(f"container {name} cannot be stopped") as client:
            client.stop(name, timeout=timeout_seconds)
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline and self._listed(name) == "running":  # the list comes after the answer
            time.sleep(POLL_SECONDS)

    def restart(self, name: str, timeout_seconds: int) -> None:
        with self._asking(f"container {name} cannot be restarted") as client:
            client.restart(name, timeout=timeout_seconds)

    def rename(self, name: str, new_name: str) -> None:
        with self._asking(f"container {name} cannot be renamed to {new_name}") as client:
            client.rename(name, new_name)

    def retire(self, name: str) -> None:
        with self._asking(f"the restart policy of container {name} cannot be changed") as client:
            client.update_container(name, restart_policy={"Name": "no"})

    def remove(self, name: str, *, anonymous_volumes: bool) -> None:
        with self._asking(f"container {name} cannot be removed") as client:
            client.remove_container(name, v=anonymous_volumes, force=True)

    def _listed(self, name: str) -> str:
        return str(self.containers([name]).get(name, {}).get("State", ""))

    def _found(self, what: str, method: str, name: str) -> Json | None:
        with self._asking(what) as client:
            from docker.errors import NotFound

            try:
                found: Json = getattr(client, method)(name)
            except NotFound:
                return None
            return found

    @contextmanager
    def _asking(self, what: str) -> Iterator[Any]:
        """Give the library's client, and its errors our words."""
        try:
            from docker.api.client import APIClient
            from docker.errors import DockerException
            from requests.exceptions import RequestException
        except ImportError as error:
            raise Unsupported(f"{NO_LIBRARY} ({error})") from error
        try:
            if self._loaded is None:
                self._loaded = APIClient(self._connection.address, version=self._version, timeout=ANSWER_SECONDS)
            yield self._loaded
        except (DockerException, RequestException) as error:
            raise explained(what, getattr(error, "explanation", None) or str(error)) from error
        except KeyError as error:  # the library looks for a message in every error that is JSON
            raise explained(what, f"the engine's answer has no {error}") from error


def _is_decided(found: Json, *, steady: bool) -> bool:
    state = found["State"]
    if state["Status"] != "running" or found["RestartCount"]:
        return True
    health = (state.get("Health") or {}).get("Status", "none")
    return health == "unhealthy" or (steady and health != "starting")


def _follow_pull(what: str, response: Any, *, deadline: float) -> None:  # noqa: ANN401  (of the library's own making)
    """Read a pull's progress to its end. Raises ResourceError with the registry's words."""
    for line in response.iter_lines():
        said = _progress(line)
        message = said.get("error") or (said.get("message") if response.status_code >= 400 else None)
        if message:
            raise explained(what, message)
        if time.monotonic() > deadline:
            raise ResourceError(f"{what}: it took longer than {PULL_SECONDS} s; the next pass goes on from there")
    if response.status_code >= 400:
        raise explained(what, f"the engine answered {response.status_code} {response.reason}")


def _progress(line: bytes) -> Json:
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {"error": f"the engine said {line[:200]!r}"}
