"""Which container engine this host has: what the settings say, or else the one that is installed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from modules.api import Unsupported

DOCKER, PODMAN, QUADLET = "docker", "podman", "quadlet"
SOCKETS = {DOCKER: "/var/run/docker.sock", PODMAN: "/run/podman/podman.sock"}
_PROGRAMS = {DOCKER: "dockerd", PODMAN: "podman"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class EngineChoice:
    """The settings of engines: `docker`, `podman`, `quadlet`, a socket, or empty for what is installed."""

    name: str = ""
    registry_auth_file: str = ""

    @property
    def quadlet(self) -> bool:
        """Tell whether containers are to be units of systemd."""
        return self.name == QUADLET

    def address(self) -> str:
        """The address of the engine's socket. Raises Unsupported when none can be chosen."""
        name = self.name or _installed()
        path = SOCKETS.get(PODMAN if name == QUADLET else name, name).removeprefix("unix://")
        if not path.startswith("/"):
            raise Unsupported(
                f"the container engine must be reached by a Unix socket, /PATH or unix:///PATH, not {name!r}; "
                "see `container_engine` in the settings"
            )
        return f"unix://{path}"


def _installed() -> str:
    found = [name for name in SOCKETS if _has(name)]
    if len(found) > 1:
        raise Unsupported(
            "both Docker and Podman are installed; say in the settings which one holds the containers: "
            "`container_engine: docker`, `podman`, or `quadlet` for Podman's containers as units of systemd"
        )
    return found[0] if found else DOCKER


def _has(name: str) -> bool:
    """Tell whether an engine is there: its program, or a socket that is not another's under its name (podman-docker)."""
    socket = os.path.realpath(SOCKETS[name])
    others = {os.path.realpath(path) for other, path in SOCKETS.items() if other != name}
    own_socket = os.path.exists(socket) and (name == PODMAN or socket not in others)
    return own_socket or shutil.which(_PROGRAMS[name], path=_PATH) is not None
