"""Where Podman asks for an image: registries.conf and its drop-ins (containers-registries.conf(5)).

Short names are not looked up here: over the interface of Docker's that we use Podman takes them for Docker Hub's, whatever
that file says of them (`compat_api_enforce_docker_hub` in containers.conf(5)).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modules.api import ResourceError

CONFIGURATION = "/etc/containers"

_Table = Mapping[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """One place that has a repository."""

    registry: str
    repository: str
    insecure: bool = False  # without TLS, or with a certificate that nobody vouches for


def endpoints(registry: str, repository: str, *, by_digest: bool) -> list[Endpoint]:
    """Where a repository is asked for, in this order: its mirrors, then itself. Raises ResourceError, also when it is blocked."""
    name = f"{registry}/{repository}"
    prefix, entry = _entry_of(name)
    if entry.get("blocked"):
        raise ResourceError(f"registries.conf blocks {prefix}, so {name} cannot be asked for; take another image")
    mirrors = [mirror for mirror in entry.get("mirror", ()) if _serves(entry, mirror, by_digest=by_digest)]
    return [_endpoint(place, prefix, name) for place in (*mirrors, entry)]


def _entry_of(name: str) -> tuple[str, _Table]:
    """The entry with the longest prefix of a name; of two with the same, the one that is read last."""
    entries = {str(entry.get("prefix") or entry.get("location")): entry for entry in _registries()}
    fitting = [prefix for prefix in entries if _fits(prefix, name)]
    prefix = max(fitting, key=len, default="")
    return prefix, entries.get(prefix, {})


def _fits(prefix: str, name: str) -> bool:
    if prefix.startswith("*."):
        host, _, path = prefix[1:].partition("/")
        return name.partition("/")[0].partition(":")[0].endswith(host) and not path
    return name == prefix or name.startswith(f"{prefix}/")


def _serves(entry: _Table, mirror: _Table, *, by_digest: bool) -> bool:
    wanted = mirror.get("pull-from-mirror", "digest-only" if entry.get("mirror-by-digest-only") else "all")
    return wanted in ("all", "digest-only" if by_digest else "tag-only")


def _endpoint(place: _Table, prefix: str, name: str) -> Endpoint:
    """A name with its prefix replaced by a place's location; a prefix that stands for many hosts replaces the host."""
    kept = name.partition("/")[0] if prefix.startswith("*.") else prefix
    location = str(place.get("location") or kept)
    registry, _, repository = f"{location}{name.removeprefix(kept)}".partition("/")
    return Endpoint(registry, repository, bool(place.get("insecure")))


def _registries() -> Iterator[_Table]:
    import tomllib

    directory = os.path.join(CONFIGURATION, "registries.conf.d")
    for path in [os.path.join(CONFIGURATION, "registries.conf"), *sorted(glob.glob(f"{directory}/*.conf"))]:
        try:
            with open(path, "rb") as file:
                yield from tomllib.load(file).get("registry", [])
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ResourceError(f"{path} cannot be read: {error}; correct it") from error
