"""The units that Quadlet generates: looked at in one call, started, stopped, and seen to stay up."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modules.api import Host, HostView, ResourceError
from modules.container_health import check as check_container

_JOB_SECONDS = 300
_CHUNK = 500  # units of one command
_PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "NRestarts", "NeedDaemonReload")
_CONDITIONS = {"active": "running", "reloading": "running", "activating": "restarting"}  # any other has stopped
_NOT_ITS_OWN = re.compile(  # what Podman and systemd say of every start
    r"m=\+[0-9.]+ (container|image|volume|network) |^[0-9a-f]{64}$|^conmon [0-9a-f]+ <n"
    r"|^(Start|Stopp?)(ing|ed) |^Failed to start |^\S+\.service: (Main process|Failed with|Scheduled|Start request)"
)


@dataclass(frozen=True)
class Shown:
    """One unit as systemd shows it."""

    properties: Mapping[str, str]

    @property
    def generated(self) -> bool:
        """Whether there is one."""
        return self.properties["LoadState"] == "loaded"

    @property
    def condition(self) -> str:
        """Running, restarting or stopped."""
        return _CONDITIONS.get(self.properties["ActiveState"], "stopped")

    @property
    def stale(self) -> bool:
        """Whether its file changed since systemd read it."""
        return self.properties["NeedDaemonReload"] == "yes"

    @property
    def restarts(self) -> int:
        """How often it was restarted by itself since it was started."""
        return int(self.properties.get("NRestarts") or 0)


def shown(host: HostView, names: Sequence[str]) -> dict[str, Shown]:
    """The services of these names. Raises ResourceError."""
    found: dict[str, Shown] = {}
    for start_at in range(0, len(names), _CHUNK):
        some = names[start_at : start_at + _CHUNK]
        units = [f"{name}.service" for name in some]
        listed = host.probe("systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", *units).stdout
        blocks = [
            dict(line.partition("=")[::2] for line in block.splitlines()) for block in listed.strip().split("\n\n")
        ]
        found |= {name: Shown(block) for name, block in zip(some, blocks, strict=True)}
    return found


def daemon_reload(host: Host) -> None:
    """Have the units generated anew. Raises ResourceError."""
    host.run("systemctl", "daemon-reload")


def start(host: Host, name: str) -> float:
    """Start the unit, or start it again; when that was done (time.monotonic). Raises ResourceError with its last lines."""
    unit = f"{name}.service"
    host.run("systemctl", "reset-failed", "--", unit, accept=(0, 1, 5))
    try:
        host.run("systemctl", "restart", "--", unit, timeout_seconds=_JOB_SECONDS)
    except ResourceError as error:
        raise ResourceError(f"{unit} cannot be started; {_last_lines(host, unit)}") from error
    return time.monotonic()


def stop(host: Host, name: str) -> None:
    """Stop the unit, if there is one. Raises ResourceError."""
    if shown(host, [name])[name].generated:
        host.run("systemctl", "stop", "--", f"{name}.service", timeout_seconds=_JOB_SECONDS)
        host.run("systemctl", "reset-failed", "--", f"{name}.service", accept=(0, 1, 5))


def check(host: Host, name: str, *, started: float | None) -> None:
    """See that its container stays up and healthy since it was started. Raises ResourceError with its last lines."""
    unit = f"{name}.service"
    try:
        check_container(host.engine, name, started=started)
    except ResourceError as error:
        if host.engine.inspect(name) is not None:
            raise
        raise ResourceError(f"{unit} ended right after its start; {_last_lines(host, unit)}") from error
    now = shown(host, [name])[name]
    if now.condition != "running" or now.restarts:
        raise ResourceError(f"{unit} keeps restarting, {now.restarts} times by now; {_last_lines(host, unit)}")


def _last_lines(host: Host, unit: str) -> str:
    lines = [line for line in host.journal(unit, lines=20) if line.strip() and not _NOT_ITS_OWN.search(line)][-5:]
    return f"its last lines: {' '.join(lines)[-600:]}" if lines else "it wrote nothing"
