"""The container engine of this host, as it was chosen."""

from __future__ import annotations

import importlib.util

from agent.host.credentials import Credentials
from agent.host.engine_choice import EngineChoice
from agent.host.engine_client import NO_LIBRARY
from agent.host.engine_docker import DockerEngine
from agent.host.engine_podman import PodmanEngine
from agent.host.engine_socket import Connection
from modules.api import Engine, Unsupported

OLDEST_API, NEWEST_API = (1, 41), (1, 44)  # what we speak: Docker 20.10 and Podman 4 to Docker 29


def open_engine(choice: EngineChoice) -> Engine:
    """The engine that is chosen.

    Raises Unsupported when there is none, or no library to change it with; ResourceError when it does not answer.
    """
    connection = Connection(choice.address())
    spoken, is_podman = connection.version()
    if importlib.util.find_spec("docker") is None:
        raise Unsupported(NO_LIBRARY)
    version = min(NEWEST_API, _numbers(spoken))
    if version < OLDEST_API:
        raise Unsupported(
            f"the engine at {connection.address} speaks only API {spoken}; upgrade it (Docker 20.10 or later)"
        )
    found = (PodmanEngine if is_podman else DockerEngine)(
        connection, f"{version[0]}.{version[1]}", Credentials(choice.registry_auth_file)
    )
    found.quadlet = choice.quadlet
    return found


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)
