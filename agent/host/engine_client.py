"""One engine's two ways in: its socket read with the standard library, and the docker library for what it changes.

The library costs up to 0.3 s to import, so it is loaded when something is to be changed, or looked at more closely for a
change.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent.host.credentials import Credentials
from agent.host.engine_errors import explained
from agent.host.engine_socket import Connection
from modules.api import Json, ResourceError, Unsupported

NO_LIBRARY = "the docker library for Python is not installed; `apt install python3-docker`"
ANSWER_SECONDS = 60  # for one request, on top of what a container may take to stop
PULL_SECONDS = 600
SILENCE_SECONDS = 120  # of a pull that says nothing


class Client:
    """An engine that answers; every method raises ResourceError."""

    def __init__(self, connection: Connection, version: str, credentials: Credentials) -> None:
        self._connection, self._version, self._credentials = connection, version, credentials
        self._loaded: Any = None  # the library's APIClient

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401  (JSON)
        """Read from the API."""
        return self._connection.get(f"/v{self._version}{path}", query or {})

    def found(self, path: str) -> Json | None:
        """Read what may not be there."""
        found: Json | None = self._connection.get(f"/v{self._version}{path}", {}, missing=None)
        return found

    def download(self, reference: str) -> None:
        """Fetch an image, in at most PULL_SECONDS; the library's own `pull` would wait for ever."""
        what = f"image {reference} cannot be pulled"
        with self.asking(what) as client:
            from docker import utils

            repository, tag = utils.parse_repository_tag(reference)
            response = client.post(
                f"{client.base_url}/v{self._version}/images/create",
                params={"fromImage": repository, "tag": tag},
                headers=self._authorization(client, reference),
                stream=True,
                timeout=SILENCE_SECONDS,
            )
            with response:
                _follow_pull(what, response, deadline=time.monotonic() + PULL_SECONDS)

    def _authorization(self, client: Any, reference: str) -> Mapping[str, str]:  # noqa: ANN401
        """The credentials of the settings, or else those that root has logged in with."""
        from docker import auth, utils

        from agent.host.registry import Reference

        registry = Reference.parse(reference).registry
        login = self._credentials.of(registry)
        if login:
            return {"X-Registry-Auth": login.header(registry)}
        hub, _ = auth.resolve_repository_name(utils.parse_repository_tag(reference)[0])
        header = auth.get_config_header(client, hub)
        return {"X-Registry-Auth": header.decode()} if header else {}

    @contextmanager
    def asking(self, what: str) -> Iterator[Any]:
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
            said = getattr(error, "explanation", None) or str(error)
            said = said.decode(errors="replace") if isinstance(said, bytes) else said  # what is no JSON
            raise explained(what, said) from error
        except KeyError as error:  # the library looks for a message in every error that is JSON
            raise explained(what, f"the engine's answer has no {error}") from error


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
