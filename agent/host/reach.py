"""Asking whether something answers: one HTTP request, one connection; bounded in time and size, and nothing is followed."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from modules.api import ResourceError

MAX_BYTES = 64 << 10


def http(url: str, timeout_seconds: float) -> tuple[int, str]:
    """The status and the first 64 KiB that a URL answers with. Raises ResourceError when nothing does."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ResourceError(f"{url} is no http or https URL")
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = make(parts.hostname, parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}")
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise ResourceError(f"{url} does not answer: {_words(error)}") from error
    finally:
        connection.close()


def connect(address: str, timeout_seconds: float) -> None:
    """Open a connection to `HOST:PORT` and close it. Raises ResourceError when nobody accepts it."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ResourceError(f"{address} is not HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_seconds).close()
    except OSError as error:
        raise ResourceError(f"nothing accepts connections at {address}: {_words(error)}") from error


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
