"""What a container engine says when it fails, and the next step that helps."""

from __future__ import annotations

import re

from modules.api import ResourceError

MAX_CHARACTERS = 600
_ELSE = "the engine's journal may say more (`journalctl -u docker -u podman`)"

# The first pattern found in the engine's message gives the next step.
_NEXT_STEPS = tuple(
    (re.compile(pattern, re.IGNORECASE), step)
    for pattern, step in (
        (
            "port is already allocated|address already in use|ports are not available",
            "`ss -ltnup` shows who has the port",
        ),
        ("no space left on device", "free some space (`docker system df`)"),
        (
            "unauthorized|no basic auth credentials|authentication required|access denied|access to the resource is denied",
            "give the registry's login with `registry_auth_file` in the settings, or check the image's name",
        ),
        (
            "gave http response to https client|http request to an https server",
            "list the registry in `insecure-registries` of /etc/docker/daemon.json, or give it TLS",
        ),
        (
            "manifest unknown|manifest for|name unknown|does not exist or no pull access|repository does not exist",
            "check the image's name and tag",
        ),
        (
            "x509:|certificate",
            "put the registry's CA into /etc/docker/certs.d/HOST:PORT/ca.crt (Podman: /etc/containers/certs.d)",
        ),
        (
            "dial tcp|connection refused|pinging container registry|no such host|i/o timeout|handshake timeout|connection reset|request canceled",
            "check that this host reaches the registry",
        ),
        (
            r"network (\S+ )?not found|no such network|unable to find network",
            "declare container_network:NAME, or make it with `docker network create`",
        ),
        (r"bind source path does not exist|statfs \S+: no such file", "make what is mounted, or declare it in Git"),
        ("executable file not found|exec format error|no command specified|exec:", "check command and entrypoint"),
        ("unable to find user|no matching entries in", "check user: the image does not know it"),
        ("init binary|docker-init", "install the engine's init, catatonit or tini"),
        ("no such container|no such image", "it was removed meanwhile; the next pass makes it anew"),
    )
)


def explained(what: str, message: str) -> ResourceError:
    """What failed, in the engine's words, and the next step."""
    said = " ".join(message.split())[:MAX_CHARACTERS].rstrip(".")
    step = next((step for pattern, step in _NEXT_STEPS if pattern.search(said)), _ELSE)
    return ResourceError(f"{what}: {said}; {step}")
