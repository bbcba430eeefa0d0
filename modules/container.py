"""container: hold one container of the host's engine running, stopped or absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import AS_UNIT, Content, Drift, Host, HostView, Observation, Resource, ResourceError, State, Value
from modules.container_fields import (
    ARGV,
    CONTAINER_NAME,
    ENV,
    ENV_FILE,
    HEALTHCHECK,
    HOSTNAME,
    IMAGE,
    PORTS,
    RESTART,
    SECRETS,
    STOP_SECONDS,
    USER,
    VOLUMES,
    WORKDIR,
)
from modules.container_held import SHARED, Held, Holder
from modules.container_host import ENGINE_NEEDS, refuse_another_root
from modules.container_images import ALWAYS, MISSING, NEVER
from modules.container_limits import (
    CAPABILITIES,
    COUNT,
    CPUS,
    DEVICES,
    GROUPS,
    LOGGING,
    SECURITY,
    SIGNAL,
    SIZE,
    SYSCTLS,
    TMPFS,
    ULIMITS,
)
from modules.container_networks import DNS, DNS_SEARCH, EXTRA_HOSTS, NETWORK_MODE, NETWORKS
from modules.container_spec import SPEC_FIELDS, Spec
from modules.container_values import LABELS
from modules.fields import BOOLEAN, RESOURCE_IDS, choice, identity, option
from modules.paths import ancestors

_GOOD = {"unit": "generated", "registry": "answers"}  # what is wanted of these, where they are observed


@dataclass(frozen=True, kw_only=True)
class Container(Resource, kind="container", identity="name"):
    """Hold one container of the host's engine (Docker, Podman, or Podman through Quadlet) running, stopped or absent.

    It is made anew exactly when what is written here differs from what it was made with (a digest kept in its label
    `gitops-agent.spec`), or, with `pull: always`, when its image's tag has moved in the registry; never because the
    engine shows a default differently. The new container is created beside the old one and must keep running, and be
    healthy where it has a health check, before the old one is removed; otherwise the old one is put back and the
    resource fails with the new one's last lines. A container of that name that somebody else made is refused, unless
    `adopt: true`. Volumes are never removed. Images that were pulled for it are, when nothing uses them any more: the one
    before the one in use is kept.
    """

    restarted_by = ("ensure", "spec", "digest", *SPEC_FIELDS)
    runtime = ("ensure", "unit", "digest", "registry")

    name: str = identity(CONTAINER_NAME, "The container's name.")
    ensure: str = option(choice("running", "stopped", "absent"), "What it should be.", "running")
    image: str | None = option(IMAGE, "The image by tag or digest; without either, `latest`.")
    pull: str = option(
        choice(MISSING, ALWAYS, NEVER),
        "When the image is pulled: when the host lacks it; also when its tag has moved in the registry, which is asked in "
        "every pass without pulling; or never.",
        MISSING,
    )
    adopt: bool = option(BOOLEAN, "Replace a container of that name that somebody else made.", default=False)
    command: tuple[str, ...] | None = option(
        ARGV, "Replaces the image's command. Plans show only its digest, since arguments may hold secrets."
    )
    entrypoint: tuple[str, ...] | None = option(
        ARGV, "Replaces the image's entry point; an empty list takes it away. Plans show only its digest."
    )
    env: Content | None = option(
        ENV, "Environment variables, each value text (numbers and booleans in quotes). Plans show only their digest."
    )
    env_file: Content | None = option(
        ENV_FILE, "Templates of the repository with more variables; `env` wins. Plans show only their digest."
    )
    secrets: Content | None = option(
        SECRETS,
        "Files in /run/secrets, their texts by their names; on the host they are in memory, for root alone, so after a boot "
        "the container waits for the first pass.",
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
    tmpfs: tuple[str, ...] | None = option(TMPFS, "File systems in memory.")
    networks: Mapping[str, Mapping[str, object]] | None = option(
        NETWORKS, "The networks it is in, each of which must exist, and its names and addresses there."
    )
    network_mode: str | None = option(
        NETWORK_MODE, "The one network it is in; without it and `networks`, the engine's default."
    )
    hostname: str | None = option(HOSTNAME, "The host name it sees.")
    dns: tuple[str, ...] | None = option(DNS, "The servers it asks for names, in this order.")
    dns_search: tuple[str, ...] | None = option(DNS_SEARCH, "The domains in which it looks for short names.")
    extra_hosts: tuple[str, ...] | None = option(
        EXTRA_HOSTS, "Names and addresses for its /etc/hosts; `host-gateway` stands for the host's own."
    )
    user: str | None = option(USER, "User, and group after a colon, that it runs as.")
    group_add: tuple[str, ...] | None = option(GROUPS, "More groups that it runs as.")
    workdir: str | None = option(WORKDIR, "Its working directory.")
    restart: str | None = option(RESTART, 'When the engine starts it again; write `"no"` in quotes.')
    init: bool | None = option(BOOLEAN, "Whether an init of the engine's reaps its processes.")
    stop_signal: str | None = option(SIGNAL, "The signal that asks it to stop; the image's, or SIGTERM, without it.")
    stop_timeout: int | None = option(STOP_SECONDS, "Seconds between the request to stop and the kill; 10 without it.")
    healthcheck: Mapping[str, object] | None = option(
        HEALTHCHECK,
        "How the engine asks whether it is healthy: `test` (a shell command, `[CMD, PROGRAM, ...]`, or `[NONE]` against "
        "the image's own), `interval`, `timeout`, `start_period` (such as `10s`) and `retries`.",
    )
    memory: int | None = option(SIZE, "The most memory it may have.")
    memory_reservation: int | None = option(SIZE, "The memory it keeps when the host is short of it.")
    cpus: str | None = option(CPUS, "How many processors' time it may have.")
    pids_limit: int | None = option(COUNT, "How many processes it may have.")
    ulimits: tuple[str, ...] | None = option(
        ULIMITS, "Limits of its processes: a number, or `{soft: 1024, hard: 4096}`."
    )
    shm_size: int | None = option(SIZE, "The size of its /dev/shm.")
    cap_add: tuple[str, ...] | None = option(CAPABILITIES, "Capabilities that it gets.")
    cap_drop: tuple[str, ...] | None = option(CAPABILITIES, "Capabilities that it loses; `ALL` for all.")
    devices: tuple[str, ...] | None = option(DEVICES, "Devices of the host that it may use.")
    security_opt: tuple[str, ...] | None = option(
        SECURITY, "`no-new-privileges`, `apparmor=PROFILE`, `label=OPTION`, `seccomp=unconfined`."
    )
    sysctls: tuple[str, ...] | None = option(SYSCTLS, "Kernel settings of its own namespaces.")
    privileged: bool = option(BOOLEAN, "Whether it may do what the host's root may.", default=False)
    read_only: bool = option(BOOLEAN, "Whether its root file system is read only.", default=False)
    logging: Mapping[str, object] | None = option(
        LOGGING, "Where its output goes: the engine's `driver`, and its `options`, which plans do not show."
    )
    labels: Mapping[str, str] | None = option(LABELS, "Labels. Plans show only their digest.")
    restart_on: tuple[str, ...] = option(
        RESOURCE_IDS, "Resources whose change restarts it, such as a file that it mounts.", ()
    )

    def problems(self) -> Sequence[str]:
        """What is wrong with this combination of fields."""
        if self.ensure == "absent":
            return ()
        mode, shared = self.network_mode, self._held().shared_with
        mounted = {volume.split(":")[1] for volume in self.volumes or ()}
        memory = {path.partition(":")[0] for path in self.tmpfs or ()}
        checks = {
            "image is missing; name one, or say `ensure: absent`": self.image is None,
            "give either networks or network_mode": mode and self.networks,
            f"ports have no effect with network_mode {mode}": self.ports and (mode in ("host", "none") or shared),
            f"hostname has no effect with network_mode {mode}": self.hostname and shared,
            "network_mode names the container itself": shared == self.name,
            "command is an empty list; leave it out for the image's own": self.command == (),
            "volumes and tmpfs mount at the same path": not mounted.isdisjoint(memory),
            "memory_reservation is more than memory": (self.memory_reservation or 0) > (self.memory or 1 << 60),
        }
        return [text for text, wrong in checks.items() if wrong]

    def provides(self) -> Sequence[str]:
        """Name it for those that share its network, and as a unit."""
        return () if self.ensure == "absent" else (f"{SHARED}{self.name}", f"{AS_UNIT}{self.name}.service")

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The engine, its image, networks and volumes, and what it mounts from the host."""
        if self.ensure == "absent":
            return ()
        mode = self.network_mode or ""
        sources = [volume.split(":")[0] for volume in self.volumes or ()]
        return [
            *ENGINE_NEEDS,
            (f"image:{self.image}",),
            (mode if mode.startswith(SHARED) else f"network:{mode}",),
            *((f"network:{name}",) for name in self.networks or ()),
            *(key for source in sources for key in _mount_needs(source)),
        ]

    def refresh_on(self) -> Mapping[str, tuple[str, ...]]:
        """Restart on what it was told to."""
        return {"restart": self.restart_on} if self.restart_on else {}

    def desired(self, observed: State) -> State:
        """Its condition; and each field as plans show it, unless the digest of all says that none differs."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        wanted: dict[str, Value] = {"ensure": self.ensure, "digest": observed.get("newest")}
        wanted |= {name: good for name, good in _GOOD.items() if name in observed}
        spec = self._held().spec
        if observed.get("spec") == spec.digest:
            return wanted
        fields = spec.shown()
        left_out = {name: "unset" for name in SPEC_FIELDS if name not in fields and observed.get(name) is not None}
        explained = left_out or any(observed.get(name) != value for name, value in fields.items())
        return {**wanted, **fields, **left_out, "spec": None if explained else spec.digest}

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """One list call for all of them."""
        held = [resource._held() for resource in wanted]  # noqa: SLF001  (its own class)
        try:
            refuse_another_root(host)
            return _holder(host).observe(host, held)
        except ResourceError as error:
            return [error] * len(wanted)

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """Make, replace, start, stop or remove each."""
        return _holder(host).apply(host, [(resource._held(), drift) for resource, drift in steps])  # noqa: SLF001

    def refresh(self, host: Host, action: str) -> None:  # noqa: ARG002  (restart is the only one)
        """Restart it if it runs. Raises ResourceError."""
        _holder(host).restart(host, self._held())

    def undo(self, prior: State) -> Self | None:  # noqa: ARG002  (what others made before is refused, or was replaced)
        """The container is removed, and images that were pulled for it; all its volumes stay."""
        return None if self.ensure == "absent" else type(self)(name=self.name, ensure="absent")

    def recover(self, host: Host) -> None:
        """Finish or take back an interrupted replacement. Raises ResourceError."""
        _holder(host).recover(host, self._held())

    def _held(self) -> Held:
        spec = Spec({name: getattr(self, name) for name in SPEC_FIELDS})
        return Held(self.name, self.ensure, self.pull, self.adopt, spec)


def _holder(host: HostView) -> Holder:
    """Who holds containers on this host: the engine itself, or systemd through Quadlet."""
    if host.engine.quadlet:
        from modules import container_quadlet

        return container_quadlet
    from modules import container_engine

    return container_engine


def _mount_needs(source: str) -> list[tuple[str, ...]]:
    """A named volume; or a path with whatever is managed in it, or else its nearest managed parent."""
    if not source.startswith("/"):
        return [(f"volume:{source}",)]
    return [(f"path:{source}", *ancestors(source)), (f"in:{source}",)]
