"""Quadlet files: one for each container, network and volume of systemd's, all of them written, then read at once.

The first line of a file is a comment that says whose it is and what it was made of; one without it is somebody else's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from modules.api import Host, HostView, ResourceError
from modules.quadlet_unit import daemon_reload

DIRECTORY = "/etc/containers/systemd"
_MARK = "# Made by gitops-agent; changes by hand are undone. "
_PARTS = (".network", ".volume")
_MOST_BYTES = 1 << 20
_GENERATOR = "/usr/lib/systemd/system-generators/podman-system-generator"


@dataclass(frozen=True)
class QuadletFile:
    """A file on the host: its text, and what it was made of, or nothing of ours."""

    text: str
    made_of: Mapping[str, Any]

    @property
    def is_whole(self) -> bool:
        """Whether it is as we wrote it."""
        return self.made_of.get("body") == _digest(self.text.partition("\n")[2])


class Change(Protocol):
    """What is done to one file and its unit, each step for all of them before the next; a failed one ends its change."""

    unread: bool  # systemd has to read its file again

    def write(self) -> None:
        """Put the file in place, or take it away. Raises ResourceError."""

    def begin(self) -> None:
        """Have the unit as it should be, once systemd has read it. Raises ResourceError."""

    def conclude(self) -> None:
        """See that it is. Raises ResourceError."""


def carry_out(host: Host, changes: Sequence[Change]) -> list[ResourceError | None]:
    """Write all files, have systemd read them once, and see to each unit."""
    errors = [_error_of(change.write) for change in changes]
    if any(change.unread for change in changes):
        daemon_reload(host)
    errors = [error or _error_of(change.begin) for change, error in zip(changes, errors, strict=True)]
    return [error or _error_of(change.conclude) for change, error in zip(changes, errors, strict=True)]


def _error_of(step: Callable[[], None]) -> ResourceError | None:
    try:
        step()
    except ResourceError as error:
        return error
    return None


def path_of(name: str) -> str:
    """Where the file of a name such as `web.container` is."""
    return f"{DIRECTORY}/{name}"


def marked(body: str, made_of: Mapping[str, object]) -> str:
    """A whole file: what it was made of, and its body."""
    return f"{_MARK}{json.dumps({**made_of, 'body': _digest(body)}, sort_keys=True)}\n{body}"


def read(host: HostView, name: str) -> QuadletFile | None:
    """The file of a name, or None when there is none. Raises ResourceError."""
    if host.files.lstat(path_of(name)) is None:
        return None
    text = host.files.read(path_of(name), _MOST_BYTES).decode(errors="replace")
    first = text.partition("\n")[0]
    try:
        made_of = json.loads(first.removeprefix(_MARK)) if first.startswith(_MARK) else {}
    except ValueError:
        made_of = {}
    return QuadletFile(text, made_of if isinstance(made_of, dict) else {})


def write(host: Host, name: str, text: str) -> None:
    """Put a file in place, for root alone: it may say what a secret went into. Raises ResourceError."""
    for directory in ("/etc/containers", DIRECTORY):
        if host.files.lstat(directory) is None:
            host.files.make_directory(directory, mode=0o755, owner=(0, 0))
    (error,) = host.files.publish([host.files.stage(path_of(name), text.encode(), mode=0o600, owner=(0, 0))])
    if error is not None:
        raise error


def own_parts(host: HostView) -> Collection[str]:
    """The files of ours that define networks and volumes, such as `backend.network`. Raises ResourceError."""
    found = {name: read(host, name) for name in host.files.listdir(DIRECTORY) if name.endswith(_PARTS)}
    return {name for name, file in found.items() if file is not None and file.made_of}


def naming(host: HostView, part: str) -> list[str]:
    """The container files that name a network's or volume's file. Raises ResourceError."""
    names = [name for name in host.files.listdir(DIRECTORY) if name.endswith(".container")]
    keys = tuple(f"{key}={part}" for key in ("Network", "Volume"))
    return [name for name in names if any(line.startswith(keys) for line in _lines(host, name))]


def complaint(host: Host, name: str) -> str:
    """What Quadlet says of a file that it made no unit of."""
    if host.files.lstat(_GENERATOR) is None:
        return "there is no Quadlet on this host; it comes with Podman 4.4 and later"
    ended = host.run(_GENERATOR, "-dryrun", accept=range(256), timeout_seconds=60)
    lines = [line for line in ended.stderr.splitlines() if name in line or "rror" in line]
    return " ".join(lines)[-400:] or "it says nothing of it"


def _lines(host: HostView, name: str) -> list[str]:
    found = read(host, name)
    return found.text.splitlines() if found else []


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
