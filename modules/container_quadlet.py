"""Containers that systemd holds: one Quadlet file each in /etc/containers/systemd, and the unit that is generated of it.

The file's first line is a comment that says what it was made of; a file without one is somebody else's. The old file
is kept beside the new one until the new container runs and is healthy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modules.api import Drift, Host, HostView, Json, Observation, ResourceError
from modules.container_health import refuse_stranger
from modules.container_held import Held, moved
from modules.container_images import IMAGES_LABEL, Brought, bring, discard, record, recorded
from modules.container_spec import FIELDS_LABEL, SPEC_LABEL, made_with
from modules.quadlet_text import unit_text
from modules.quadlet_unit import Shown, check, daemon_reload, shown, start, stop

DIRECTORY = "/etc/containers/systemd"
OLD, FAILED = ".gitops-agent-old", ".gitops-agent-failed"  # suffixes that Quadlet does not read
_MARK = "# Made by gitops-agent; changes by hand are undone. "


@dataclass(frozen=True)
class _File:
    """A Quadlet file on the host: what it was made of, or nothing of ours."""

    text: str
    labels: Mapping[str, str]

    @property
    def is_ours(self) -> bool:
        return SPEC_LABEL in self.labels

    @property
    def is_whole(self) -> bool:
        """Whether it is as we wrote it."""
        return self.labels.get("body") == _digest(self.text.partition("\n")[2])


def observe(host: HostView, wanted: Sequence[Held]) -> list[Observation]:
    """Read their files, and ask systemd and the engine once for all. Raises ResourceError."""
    files = {held.name: _read(host, held.name) for held in wanted}
    units = shown(host, [name for name, file in files.items() if file is not None])
    listed = host.engine.containers(sorted(files))
    return [_seen(host, held, files[held.name], units.get(held.name), listed.get(held.name)) for held in wanted]


def apply(host: Host, steps: Sequence[tuple[Held, Drift]]) -> list[ResourceError | None]:
    """Write all files, have systemd read them once, and start what should run."""
    swaps = [_Swap(host, held, drift) for held, drift in steps]
    errors = [_error_of(swap.write) for swap in swaps]
    if any(swap.written for swap in swaps):
        daemon_reload(host)
    return [error or _error_of(swap.finish) for swap, error in zip(swaps, errors, strict=True)]


def restart(host: Host, held: Held) -> None:
    """Restart it if it runs. Raises ResourceError."""
    _write_secrets(host, held)
    if shown(host, [held.name])[held.name].condition == "running":
        start(host, held.name)
        check(host, held.name)


def recover(host: Host, held: Held) -> None:
    """Put the file back that an interrupted replacement left aside. Raises ResourceError."""
    old = _read(host, held.name + ".container" + OLD, "")
    if old is not None:
        _write(host, _path(held.name), old.text)
        host.files.unlink(_path(held.name) + OLD)
        daemon_reload(host)


def _error_of(step: Any) -> ResourceError | None:  # noqa: ANN401  (a method without arguments)
    try:
        step()
    except ResourceError as error:
        return error
    return None


class _Swap:
    """One container's change, in two steps around the daemon-reload that all changes share."""

    def __init__(self, host: Host, held: Held, drift: Drift) -> None:
        self._host, self._held, self._drift = host, held, drift
        self._path = _path(held.name)
        self._before = _read(host, held.name)
        self._ran = False
        self._image: Brought | None = None
        self.written = False

    def write(self) -> None:
        """Put the file in place, or take it away."""
        host, held = self._host, self._held
        if held.ensure == "absent":
            stop(host, held.name)
            for suffix in ("", OLD, FAILED):
                host.files.unlink(self._path + suffix)
            held.files.drop(host)
            self.written = True
        elif self._drift.keys() - {"ensure", "registry", "unit"}:
            self._image = bring(host.engine, held.fields["image"], held.pull)
            self._ran = shown(host, [held.name])[held.name].condition == "running"
            text = _text(host, held, self._image, self._labels)
            self._refuse_again(text)
            _write_secrets(host, held)
            if self._before is not None:
                _write(host, self._path + OLD, self._before.text)
            self.written = True
            _write(host, self._path, text)
        else:
            self.written = "unit" in self._drift

    def finish(self) -> None:
        """Start, restart or stop the unit; a new one that fails gives way to the old one."""
        host, held = self._host, self._held
        if held.ensure == "absent":
            discard(host.engine, recorded(self._labels), ())
            return
        try:
            self._run()
        except ResourceError as error:
            if self._image is None:
                raise
            raise ResourceError(f"{self._taken_back()}: {error}") from error
        if self._image is not None:
            self._settle(self._image)
        if "registry" in self._drift and self._image is None:
            raise ResourceError(str(self._drift["registry"].before))

    def _run(self) -> None:
        host, held = self._host, self._held
        unit = shown(host, [held.name])[held.name]
        if not unit.generated:
            raise ResourceError(f"Quadlet made no unit of {self._path}: {_complaint(host, held.name)}")
        if not held.running:
            stop(host, held.name)
            return
        if self._image is None:
            _write_secrets(host, held)
        if self._image is not None or unit.condition != "running":
            start(host, held.name)
        check(host, held.name)

    @property
    def _labels(self) -> Mapping[str, str]:
        return self._before.labels if self._before else {}

    def _refuse_again(self, text: str) -> None:
        failed = _read(self._host, self._held.name + ".container" + FAILED, "")
        if failed is not None and failed.text == text:
            raise ResourceError(
                f"this very spec failed, so the container before it stays; `journalctl -u {self._held.name}.service` tells "
                f"why; commit another, or remove {self._path}{FAILED} to try again"
            )

    def _taken_back(self) -> str:
        """Put the old file back, and keep the new one as what has failed."""
        host, name = self._host, self._held.name
        stop(host, name)
        _write(host, self._path + FAILED, host.files.read(self._path).decode())
        if self._before is None:
            host.files.unlink(self._path)
        else:
            _write(host, self._path, self._before.text)
            host.files.unlink(self._path + OLD)
        daemon_reload(host)
        if not self._ran:
            return "the new container failed"
        start(host, name)
        return "the new container failed, and the one before it was put back"

    def _settle(self, image: Brought) -> None:
        """Clear away what was before."""
        host = self._host
        for suffix in (OLD, FAILED):
            host.files.unlink(self._path + suffix)
        self._held.files.drop_others(host)
        discard(host.engine, recorded(self._labels), (image.id, self._labels.get("image", "")))
        if image.trouble is not None:
            raise image.trouble


def _seen(host: HostView, held: Held, file: _File | None, unit: Shown | None, listed: Json | None) -> Observation:
    if file is None or unit is None:
        if listed is not None and not held.adopt:
            try:
                refuse_stranger(host.engine, held.name, listed["Labels"])
            except ResourceError as error:
                return error
        return {"ensure": "absent"}
    if not file.is_ours:
        if held.adopt:
            return {"ensure": unit.condition, "spec": "somebody else's"}
        return ResourceError(
            f"{_path(held.name)} was written by somebody else; remove it, or take it with `adopt: true`"
        )
    state: dict[str, Any] = {"ensure": unit.condition, "unit": "generated" if unit.generated else "missing"}
    state |= made_with(file.labels)
    if not file.is_whole:
        state["spec"] = "edited by hand"
    image = listed["ImageID"] if listed else file.labels.get("image", "")
    return {**state, **moved(host.engine, held, image)}


def _path(name: str) -> str:
    return f"{DIRECTORY}/{name}.container"


def _read(host: HostView, name: str, suffix: str = ".container") -> _File | None:
    path = f"{DIRECTORY}/{name}{suffix}"
    if host.files.lstat(path) is None:
        return None
    text = host.files.read(path, 1 << 20).decode(errors="replace")
    first = text.partition("\n")[0]
    try:
        labels = json.loads(first.removeprefix(_MARK)) if first.startswith(_MARK) else {}
    except ValueError:
        labels = {}
    return _File(text, labels if isinstance(labels, dict) else {})


def _text(host: Host, held: Held, image: Brought, before: Mapping[str, str]) -> str:
    """The file; the labels of the container say whose it is, the first line what it was made of."""
    labels = held.spec.labels()
    images = record(image, recorded(before))
    files = {}
    if secret := held.variables(host, secret=True):
        _refuse_lines(secret)
        files["EnvironmentFile"] = held.files.path(".env")
    body = unit_text(
        held.name,
        {**held.fields, "volumes": (*held.fields.get("volumes", ()), *_mounts(held, host))},
        held.variables(host, secret=False),
        {name: text for name, text in labels.items() if name != FIELDS_LABEL},
        files,
    )
    made = {SPEC_LABEL: labels[SPEC_LABEL], FIELDS_LABEL: labels[FIELDS_LABEL], IMAGES_LABEL: images, "image": image.id}
    return f"{_MARK}{json.dumps({**made, 'body': _digest(body)}, sort_keys=True)}\n{body}"


def _mounts(held: Held, host: Host) -> list[str]:
    return [f"{held.files.path(name)}:/run/secrets/{name}:ro" for name in held.secrets(host)]


def _write_secrets(host: Host, held: Held) -> None:
    secret = held.variables(host, secret=True)
    lines = {".env": "".join(f"{name}={text}\n" for name, text in sorted(secret.items()))} if secret else {}
    held.files.write(host, {**held.secrets(host), **lines})


def _refuse_lines(variables: Mapping[str, str]) -> None:
    wrong = next((name for name, text in variables.items() if "\n" in text), None)
    if wrong is not None:
        raise ResourceError(
            f"the variable {wrong} has several lines, which a file of variables cannot hold; use `secrets`"
        )


def _write(host: Host, path: str, text: str) -> None:
    for directory in ("/etc/containers", DIRECTORY):
        if host.files.lstat(directory) is None:
            host.files.make_directory(directory, mode=0o755, owner=(0, 0))
    (error,) = host.files.publish([host.files.stage(path, text.encode(), mode=0o600, owner=(0, 0))])
    if error is not None:
        raise error


def _complaint(host: Host, name: str) -> str:
    """What Quadlet says of the file."""
    generator = "/usr/lib/systemd/system-generators/podman-system-generator"
    ended = host.run(generator, "-dryrun", accept=range(256), timeout_seconds=60)
    lines = [line for line in ended.stderr.splitlines() if f"{name}.container" in line or "rror" in line]
    return " ".join(lines)[-400:] or "it says nothing; is this Podman 4.4 or later?"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
