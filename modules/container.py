"""container: hold one container of the host's engine running, stopped or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules import container_swap as swap
from modules.api import Content, Drift, Host, HostView, Json, Observation, Resource, ResourceError, State, Unsupported
from modules.container_fields import (
    ARGV,
    CONTAINER_NAME,
    ENV,
    HEALTHCHECK,
    HOSTNAME,
    IMAGE,
    LABELS,
    NETWORK_MODE,
    PORTS,
    RESTART,
    STOP_SECONDS,
    USER,
    VOLUMES,
    WORKDIR,
)
from modules.container_health import refuse_stranger
from modules.container_spec import SPEC_FIELDS, Spec, made_with
from modules.fields import RESOURCE_IDS, choice, identity, option
from modules.paths import ancestors

_CONDITIONS = {"running": "running", "paused": "paused", "restarting": "restarting"}  # any other has stopped
_ENGINE = (
    ("package:docker.io", "package:docker-ce", "package:moby-engine"),
    ("package:python3-docker",),
    ("unit:docker.service", "unit:docker.socket"),
)
_SHARED = "container:"  # the network of another container


@dataclass(frozen=True, kw_only=True)
class Container(Resource, kind="container", identity="name"):
    """Hold one container of the host's Docker engine running, stopped or absent.

    It is made anew exactly when what is written here differs from what it was made with (a digest kept in its label
    `gitops-agent.spec`), never because the engine shows a default differently. The image is pulled when the host does
    not have it. The new container is created beside the old one and must keep running, and be healthy where it has a
    health check, before the old one is removed; otherwise the old one is put back and the resource fails with the new
    one's last lines. A container of that name that somebody else made is refused. Volumes are never removed.
    """

    restarted_by = ("ensure", "spec", *SPEC_FIELDS)
    runtime = ("ensure",)

    name: str = identity(CONTAINER_NAME, "The container's name.")
    ensure: str = option(choice("running", "stopped", "absent"), "What it should be.", "running")
    image: str | None = option(
        IMAGE,
        "The image by tag or digest; without either, `latest`. A tag that moves in the registry is not noticed: "
        "the image is pulled only when the host lacks it.",
    )
    command: tuple[str, ...] | None = option(
        ARGV, "Replaces the image's command. Plans show only its digest, since arguments may hold secrets."
    )
    entrypoint: tuple[str, ...] | None = option(
        ARGV, "Replaces the image's entry point; an empty list takes it away. Plans show only its digest."
    )
    env: Content | None = option(
        ENV, "Environment variables, each value text (numbers and booleans in quotes). Plans show only their digest."
    )
    ports: tuple[str, ...] | None = option(
        PORTS,
        "Published ports: `127.0.0.1:8080:80`, `8080:80/udp`, `[::1]:8080:80`, `8000-8010:8000-8010`, or `80` for a "
        "port that the engine chooses.",
    )
    volumes: tuple[str, ...] | None = option(
        VOLUMES,
        "What is mounted: `data:/var/lib/app` (a named volume, made when it is missing) or `/etc/app:/etc/app:ro` (a "
        "path of the host, which must exist).",
    )
    network_mode: str | None = option(
        NETWORK_MODE, "The network it is in; without it the engine's default. A network by name must exist."
    )
    restart: str | None = option(RESTART, 'When the engine starts it again; write `"no"` in quotes.')
    labels: Mapping[str, str] | None = option(LABELS, "Labels. Plans show only their digest.")
    healthcheck: Mapping[str, object] | None = option(
        HEALTHCHECK,
        "How the engine asks whether it is healthy: `test` (a shell command, `[CMD, PROGRAM, ...]`, or `[NONE]` against "
        "the image's own), `interval`, `timeout`, `start_period` (such as `10s`) and `retries`.",
    )
    user: str | None = option(USER, "User, and group after a colon, that it runs as.")
    workdir: str | None = option(WORKDIR, "Its working directory.")
    hostname: str | None = option(HOSTNAME, "The host name it sees.")
    stop_timeout: int | None = option(STOP_SECONDS, "Seconds between the request to stop and the kill; 10 without it.")
    restart_on: tuple[str, ...] = option(
        RESOURCE_IDS, "Resources whose change restarts it, such as a file that it mounts.", ()
    )

    def problems(self) -> Sequence[str]:
        """What is wrong with this combination of fields."""
        if self.ensure == "absent":
            return ()
        shared = _shared_with(self)
        checks = {
            "image is missing; name one, or say `ensure: absent`": self.image is None,
            f"ports have no effect with network_mode {self.network_mode}": self.ports
            and (self.network_mode in ("host", "none") or shared),
            f"hostname has no effect with network_mode {self.network_mode}": self.hostname and shared,
            "network_mode names the container itself": shared == self.name,
            "command is an empty list; leave it out for the image's own": self.command == (),
        }
        return [text for text, wrong in checks.items() if wrong]

    def provides(self) -> Sequence[str]:
        """Name it for those that share its network."""
        return () if self.ensure == "absent" else (f"{_SHARED}{self.name}",)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The engine, its image, network and volumes, and what it mounts from the host."""
        if self.ensure == "absent":
            return ()
        network = self.network_mode or "bridge"
        sources = [volume.split(":")[0] for volume in self.volumes or ()]
        return [
            *_ENGINE,
            (f"image:{self.image}",),
            (network if _shared_with(self) else f"network:{network}",),
            *(key for source in sources for key in _mount_needs(source)),
        ]

    def refresh_on(self) -> Mapping[str, tuple[str, ...]]:
        """Restart on what it was told to."""
        return {"restart": self.restart_on} if self.restart_on else {}

    def desired(self, observed: State) -> State:
        """Its condition; and each field as plans show it, unless the digest of all says that none differs."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        spec = self._spec()
        if observed.get("spec") == spec.digest:
            return {"ensure": self.ensure}
        fields = spec.shown()
        left_out = {name: "unset" for name in SPEC_FIELDS if name not in fields and observed.get(name) is not None}
        explained = left_out or any(observed.get(name) != value for name, value in fields.items())
        return {"ensure": self.ensure, **fields, **left_out, "spec": None if explained else spec.digest}

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """One list call for all of them, and for those whose network they share."""
        names = {name for resource in wanted for name in (resource.name, _shared_with(resource)) if name}
        try:
            _refuse_another_root(host)
            found = host.engine.containers(sorted(names))
        except ResourceError as error:
            return [error] * len(wanted)
        return [_seen(resource, found) for resource in wanted]

    def observe(self, host: HostView) -> State:
        """What the engine's list shows of it. Raises ResourceError, also for a container that somebody else made."""
        (seen,) = self.observe_all(host, [self])
        if isinstance(seen, ResourceError):
            raise seen
        return seen

    def apply(self, host: Host, drift: Drift) -> None:
        """Make, replace, start, stop or remove it. Raises ResourceError."""
        engine, running = host.engine, self.ensure == "running"
        if self.ensure == "absent":
            swap.remove(engine, self.name)
        elif drift.keys() - {"ensure"}:
            swap.make(engine, self.name, self._spec().options(self._variables(host)), running=running)
        elif not running:
            swap.stop(engine, self.name)
        elif drift["ensure"].before == "paused":
            engine.unpause(self.name)
        else:
            swap.start(engine, self.name)

    def refresh(self, host: Host, action: str) -> None:  # noqa: ARG002  (restart is the only one)
        """Restart it if it runs."""
        swap.restart(host.engine, self.name)

    def undo(self, prior: State) -> Self | None:  # noqa: ARG002  (what others made before is refused, never taken)
        """Absent: whatever was there when it came into Git carried our label, or there was nothing."""
        return None if self.ensure == "absent" else type(self)(name=self.name, ensure="absent")

    def recover(self, host: Host) -> None:
        """Finish or take back an interrupted replacement. Raises ResourceError."""
        swap.tidy(host.engine, self.name, running=self.ensure == "running")

    def _spec(self) -> Spec:
        return Spec({name: getattr(self, name) for name in SPEC_FIELDS})

    def _variables(self, host: Host) -> Mapping[str, str]:
        variables: Mapping[str, str] = json.loads(host.content(self.env)) if self.env else {}
        return variables


def _refuse_another_root(host: HostView) -> None:
    if host.root != "/":  # the engine at hand is this machine's, whatever the root
        raise Unsupported(f"containers cannot be held in another root, {host.root}; leave them out there with `when`")


def _shared_with(container: Container) -> str:
    """The container whose network it shares; empty when it has its own."""
    mode = container.network_mode or ""
    return mode.removeprefix(_SHARED) if mode.startswith(_SHARED) else ""


def _seen(container: Container, found: Mapping[str, Json]) -> Observation:
    entry = found.get(container.name)
    if entry is None:
        return {"ensure": "absent"}
    try:
        refuse_stranger(container.name, entry["Labels"])
    except ResourceError as error:
        return error
    state = {"ensure": _CONDITIONS.get(entry["State"], "stopped"), **made_with(entry["Labels"])}
    if _lost_its_network(container, entry, found.get(_shared_with(container))):
        state |= {"network_mode": f"{container.network_mode}, replaced since", "spec": None}
    return state


def _lost_its_network(container: Container, entry: Json, other: Json | None) -> bool:
    """Tell whether the container whose network it shares is another one by now: the engine keeps the id."""
    if other is None:
        return False
    return entry["HostConfig"]["NetworkMode"] not in (f"{_SHARED}{other['Id']}", container.network_mode)


def _mount_needs(source: str) -> list[tuple[str, ...]]:
    """A named volume; or a path with whatever is managed in it, or else its nearest managed parent."""
    if not source.startswith("/"):
        return [(f"volume:{source}",)]
    return [(f"path:{source}", *ancestors(source)), (f"in:{source}",)]
