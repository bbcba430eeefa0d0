"""Reading from a container engine's HTTP API over its Unix socket, with nothing but the standard library."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import Any
from urllib.parse import urlencode

from agent.host.engine_errors import explained
from modules.api import ResourceError, Unsupported

REFUSED = object()  # what is missing is an error
ANSWER_SECONDS = 10
MAX_BYTES = 64 << 20


class Connection:
    """One engine, asked one question at a time."""

    def __init__(self, address: str) -> None:
        self.address, self._path = address, address.removeprefix("unix://")

    def version(self) -> tuple[str, bool]:
        """The newest API version that the engine speaks, such as `1.41`; and whether it is Podman. Raises as `get` does."""
        _, headers, _ = self._ask(
            "/_ping", {}
        )  # /version costs ten times as much: the engine runs programs to answer it
        version = headers.get("Api-Version", "")
        if not re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", version):
            raise self._silent(f"its greeting names no API version, but {version[:20]!r}")
        return version, "Libpod-Api-Version" in headers

    def get(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        missing: object = REFUSED,
        what: str = "",
    ) -> Any:  # noqa: ANN401  (JSON)
        """The JSON at a path; `missing` where the engine knows no such thing; `what` begins what is said of a refusal.

        Raises Unsupported when there is no engine, ResourceError when it gives no answer or refuses.
        """
        status, _, body = self._ask(f"{path}?{urlencode(query)}" if query else path, headers or {})
        if status == 404 and missing is not REFUSED:
            return missing
        if status != 200:
            raise explained(what or f"GET {path[:150]} gave {status}", _message(body))
        try:
            return json.loads(body)
        except ValueError as error:
            raise self._silent(f"{path} gave something else than JSON, {body[:100]!r}") from error

    def lines(self, path: str, query: Mapping[str, str]) -> list[Any]:
        """The JSON of each line at a path. Raises as `get` does."""
        status, _, body = self._ask(f"{path}?{urlencode(query)}", {})
        if status != 200:
            raise explained(f"GET {path[:150]} gave {status}", _message(body))
        try:
            return [json.loads(line) for line in body.splitlines() if line.strip()]
        except ValueError as error:
            raise self._silent(f"{path} gave something else than lines of JSON, {body[:100]!r}") from error

    def _ask(self, path: str, headers: Mapping[str, str]) -> tuple[int, HTTPMessage, bytes]:
        http = _UnixHTTP(self._path)
        try:
            http.request("GET", path, headers=dict(headers))
            response = http.getresponse()
            body = response.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise Unsupported(f"no container engine at {self.address}; {_start(self._path)}") from error
        except PermissionError as error:
            raise ResourceError(f"this user may not use the container engine at {self.address}; run as root") from error
        except (OSError, HTTPException) as error:
            raise self._silent(str(error) or type(error).__name__) from error
        finally:
            http.close()
        if len(body) > MAX_BYTES:
            raise self._silent(f"GET {path[:100]} gave {response.status} and {len(body)} bytes, {body[:200]!r}")
        return response.status, response.headers, body

    def _silent(self, why: str) -> ResourceError:
        return ResourceError(
            f"the container engine at {self.address} does not answer: {why}; "
            f"`systemctl status {'podman.socket' if 'podman' in self._path else 'docker'}`"
        )


def _start(path: str) -> str:
    if "podman" in path:
        return "install podman (and python3-docker), and `systemctl enable --now podman.socket`"
    return "install docker.io or declare package:docker.io (and python3-docker)"


def _message(body: bytes) -> str:
    """What the engine says of an error."""
    try:
        said = json.loads(body)["message"]
    except (KeyError, TypeError, ValueError):
        said = repr(body[:200])
    return str(said)


class _UnixHTTP(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self._path)
