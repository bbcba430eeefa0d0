"""Credentials of registries, from a file as `docker login` and `podman login` write it, readable by root alone."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.api import ResourceError

MAX_BYTES = 1 << 20
_DOCKER_HUB = ("docker.io", "https://index.docker.io/v1/", "index.docker.io")


@dataclass(frozen=True)
class Login:
    """A name and password for one registry."""

    username: str
    password: str

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"

    def header(self, registry: str) -> str:
        """The value of the engine's `X-Registry-Auth` header."""
        parts = {"username": self.username, "password": self.password, "serveraddress": registry}
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


class Credentials:
    """The logins of a file, read when the first is needed; without a path there are none."""

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._logins: Mapping[str, Any] | None = None

    def of(self, registry: str) -> Login | None:
        """The login for a registry, by its host and port. Raises ResourceError when the file is no good."""
        if self._logins is None:
            self._logins = _read(self._path) if self._path else {}
        names = _DOCKER_HUB if registry in _DOCKER_HUB else (registry, f"https://{registry}", f"http://{registry}")
        entry = next((self._logins[name] for name in names if name in self._logins), None)
        return None if entry is None else self._login(registry, entry)

    def _login(self, registry: str, entry: Any) -> Login:  # noqa: ANN401  (JSON)
        try:
            if "auth" in entry:
                name, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
                return Login(name, password.rstrip("\0"))
            return Login(str(entry["username"]), str(entry["password"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ResourceError(
                f"{self._path} has no usable entry for {registry}: it needs `auth`, or `username` and `password`; "
                f"`docker --config DIR login {registry}` writes one"
            ) from error


def _read(path: str) -> Mapping[str, Any]:
    what = f"the file of registry credentials {path}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ResourceError(
            f"{what} cannot be read: {error.strerror}; see `registry_auth_file` in the settings"
        ) from error
    with open(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise ResourceError(f"{what} is open to other users; chmod 0600 {path}")
        try:
            found = json.loads(file.read(MAX_BYTES))
        except ValueError as error:
            raise ResourceError(f"{what} is not JSON as `docker login` writes it") from error
    logins = found.get("auths", {}) if isinstance(found, dict) else None
    if not isinstance(logins, dict):
        raise ResourceError(f"{what} has no `auths`, as `docker login` writes them")
    return logins
