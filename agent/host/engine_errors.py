"""What a container engine says when it fails, and the next step that helps."""

from __future__ import annotations

from modules.api import ResourceError

MAX_CHARACTERS = 600

# The first fragment found in the engine's message, in lower case, gives the next step.
_NEXT_STEPS = (
    (
        ("port is already allocated", "address already in use", "ports are not available"),
        "`ss -ltnup` shows who has the port",
    ),
    (("no space left on device",), "free some space (`docker system df`)"),
    (
        ("unauthorized", "no basic auth credentials", "denied", "authentication required"),
        "log in as root with `docker login`, or check the image's name",
    ),
    (
        ("server gave http response to https client", "http request to an https server"),
        "list the registry in `insecure-registries` of /etc/docker/daemon.json, or give it TLS",
    ),
    (
        ("manifest unknown", "manifest for", "not found: does not exist", "repository does not exist", "name unknown"),
        "check the image's name and tag",
    ),
    (
        ("no such host", "dial tcp", "i/o timeout", "tls handshake timeout", "connection reset", "request canceled"),
        "check that this host reaches the registry",
    ),
    (("x509:", "certificate"), "put the registry's CA into /etc/docker/certs.d/HOST:PORT/ca.crt"),
    (("network",), "make the network with `docker network create`"),
    (("bind source path does not exist", "invalid mount config"), "make what is mounted, or declare it in Git"),
    (
        ("executable file not found", "no such file or directory", "permission denied", "no command specified"),
        "check command and entrypoint",
    ),
    (("is reserved", "no such image"), "it was removed meanwhile; the next pass tries again"),
)


def explained(what: str, message: str) -> ResourceError:
    """What failed, in the engine's words, and the next step."""
    said = " ".join(message.split())[:MAX_CHARACTERS].rstrip(".")
    step = next((step for fragments, step in _NEXT_STEPS if any(text in said.lower() for text in fragments)), None)
    return ResourceError(f"{what}: {said}; {step or '`journalctl -u docker` may say more'}")
