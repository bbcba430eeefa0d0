"""Reading from a container engine's HTTP API over its Unix socket, with nothing but the standard library."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

from modules.api import ResourceError, Unsupported

ANSWER_SECONDS = 10
MAX_BYTES = 64 << 20


class Connection:
    """One engine, asked one question at a time."""

    def __init__(self, address: str) -> None:
        if not address.startswith("unix:///"):
            raise Unsupported(
                f"the engine's address must be unix:///PATH, not {address!r}; see `engine` in the settings"
            )
        self.address = address
        self._path = address.removeprefix("unix://")

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  (JSON)
        """The JSON at a path. Raises Unsupported when there is no engine, ResourceError when it gives no answer."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (query or {}).items()}
        http = _UnixHTTP(self._path)
        try:
            http.request("GET", f"{path}?{urlencode(texts)}" if texts else path)
            response = http.getresponse()
            body = response.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise Unsupported(
                f"no container engine at {self.address}; install docker.io or declare package:docker.io "
                "(and python3-docker)"
            ) from error
        except (OSError, HTTPException) as error:
            raise self._silent(error) from error
        finally:
            http.close()
        if response.status != 200 or len(body) > MAX_BYTES:
            raise self._silent(f"GET {path} gave {response.status} and {len(body)} bytes: {body[:200]!r}")
        return json.loads(body)

    def _silent(self, why: object) -> ResourceError:
        said = why if isinstance(why, str) else f"{why or type(why).__name__}"
        return ResourceError(
            f"the container engine at {self.address} does not answer: {said}; `systemctl status docker`"
        )


class _UnixHTTP(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self._path)
