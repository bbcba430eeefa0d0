"""One container as it is to be held: what is the same whichever engine holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from modules.api import Content, Drift, EngineView, Host, HostView, Json, Observation, ResourceError, State
from modules.container_health import keeps_restarting, refuse_stranger
from modules.container_images import ALWAYS, newest
from modules.container_secrets import SecretFiles
from modules.container_spec import Spec, made_with

SHARED = "container:"  # the network of another container
_CONDITIONS = {"running": "running", "paused": "paused", "restarting": "restarting"}  # any other has stopped


@dataclass(frozen=True)
class Held:
    """A container's name, what it should be, and its spec."""

    name: str
    ensure: str
    pull: str
    adopt: bool
    spec: Spec

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields that were given."""
        return self.spec.fields

    @property
    def running(self) -> bool:
        """Whether it should run."""
        return self.ensure == "running"

    @property
    def shared_with(self) -> str:
        """The container whose network it shares; empty when it has its own."""
        mode = str(self.fields.get("network_mode", ""))
        return mode.removeprefix(SHARED) if mode.startswith(SHARED) else ""

    @property
    def files(self) -> SecretFiles:
        """Where its secrets are."""
        return SecretFiles(self.name, self.spec.digest)

    def variables(self, host: Host, *, secret: bool | None = None) -> dict[str, str]:
        """Its environment, `env` over `env_file`; only what a secret went into or not, when asked. Raises ResourceError."""
        given = [self.fields.get(name) for name in ("env_file", "env")]
        wanted = [content for content in given if content and secret in (None, content.secret)]
        return {name: text for content in wanted for name, text in _texts(host, content).items()}

    def secrets(self, host: Host) -> Mapping[str, str]:
        """The texts of its secrets, by the names of their files. Raises ResourceError."""
        return _texts(host, self.fields.get("secrets"))


class Holder(Protocol):
    """Who holds containers: the engine itself, or systemd through Quadlet; every method may raise ResourceError."""

    def observe(self, host: HostView, wanted: Sequence[Held]) -> list[Observation]:
        """What the host shows of them."""

    def apply(self, host: Host, steps: Sequence[tuple[Held, Drift]]) -> list[ResourceError | None]:
        """Close the drift of each."""

    def restart(self, host: Host, held: Held) -> None:
        """Restart it if it runs."""

    def recover(self, host: Host, held: Held) -> None:
        """Clear away what an interrupted apply may have left."""


def seen(engine: EngineView, wanted: Sequence[Held]) -> list[Observation]:
    """One list call for all of them, and for those whose network they share; and what registries say, where it matters."""
    names = {name for held in wanted for name in (held.name, held.shared_with) if name}
    found = engine.containers(sorted(names))
    return [_seen(engine, held, found) for held in wanted]


def _seen(engine: EngineView, held: Held, found: Mapping[str, Json]) -> Observation:
    entry = found.get(held.name)
    if entry is None:
        return {"ensure": "absent"}
    labels = entry["Labels"] or {}
    try:
        refuse_stranger(engine, held.name, labels)
    except ResourceError as error:
        return {"ensure": _condition(entry), "spec": "somebody else's"} if held.adopt else error
    restarts = keeps_restarting(engine, held.name, entry)
    state = {"ensure": "restarting" if restarts else _condition(entry), **made_with(labels)}
    if _lost_its_network(engine, held, entry, found.get(held.shared_with)):
        state |= {"network_mode": f"{held.fields['network_mode']}, replaced since", "spec": None}
    return {**state, **moved(engine, held, entry["ImageID"])}


def moved(engine: EngineView, held: Held, image: str) -> State:
    """What the registry says of the image's tag by now, under `pull: always`."""
    if held.pull != ALWAYS or held.ensure == "absent":
        return {}
    return newest(engine, held.fields["image"], engine.image(image))


def _condition(entry: Json) -> str:
    return _CONDITIONS.get(entry["State"], "stopped")


def _lost_its_network(engine: EngineView, held: Held, entry: Json, other: Json | None) -> bool:
    """Tell whether the container whose network it shares is another one by now: the engine keeps the id."""
    if other is None:
        return False
    listed = entry.get("HostConfig") or (engine.inspect(held.name) or entry)["HostConfig"]  # Podman's list has none
    return listed["NetworkMode"] not in (f"{SHARED}{other['Id']}", held.fields["network_mode"])


def _texts(host: Host, content: Content | None) -> Mapping[str, str]:
    texts: Mapping[str, str] = json.loads(host.content(content)) if content else {}
    return texts
