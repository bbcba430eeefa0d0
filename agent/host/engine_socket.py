"""Reading from a container engine's HTTP API over its Unix socket, with nothing but the standard library."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import Any
from urllib.parse import urlencode

from modules.api import ResourceError, Unsupported

ANSWER_SECONDS = 10
MAX_BYTES = 64 << 20


class Connection:
    """One engine, asked one question at a time."""

    def __init__(self, address: str) -> None:
        path = address.removeprefix("unix://")
        if not path.startswith("/"):
            raise Unsupported(
                f"the container engine must be reached by a Unix socket, /PATH or unix:///PATH, not {address!r}; "
                "see `container_engine` in the settings"
            )
        self.address, self._path = f"unix://{path}", path

    def version(self) -> str:
        """The newest API version that the engine speaks, such as `1.41`. Raises as `get` does."""
        headers, _ = self._ask("/_ping")  # /version costs ten times as much: the engine runs programs to answer it
        version = headers.get("Api-Version", "")
        if not re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", version):
            raise self._silent(f"its greeting names no API version, but {version[:20]!r}")
        return version

    def get(self, path: str, query: Mapping[str, str]) -> Any:  # noqa: ANN401  (JSON)
        """The JSON at a path. Raises Unsupported when there is no engine, ResourceError when it gives no answer."""
        _, body = self._ask(f"{path}?{urlencode(query)}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise self._silent(f"{path} gave something else than JSON, {body[:100]!r}") from error

    def _ask(self, path: str) -> tuple[HTTPMessage, bytes]:
        http = _UnixHTTP(self._path)
        try:
            http.request("GET", path)
            response = http.getresponse()
            body = response.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise Unsupported(
                f"no container engine at {self.address}; install docker.io or declare package:docker.io "
                "(and python3-docker)"
            ) from error
        except PermissionError as error:
            raise ResourceError(f"this user may not use the container engine at {self.address}; run as root") from error
        except (OSError, HTTPException) as error:
            raise self._silent(str(error) or type(error).__name__) from error
        finally:
            http.close()
        if response.status != 200 or len(body) > MAX_BYTES:
            raise self._silent(f"GET {path[:100]} gave {response.status} and {len(body)} bytes, {body[:200]!r}")
        return response.headers, body

    def _silent(self, why: str) -> ResourceError:
        return ResourceError(
            f"the container engine at {self.address} does not answer: {why}; `systemctl status docker`"
        )


class _UnixHTTP(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self._path)
