"""Containers that systemd holds: one Quadlet file each, and the unit that is generated of it.

The old file is kept beside the new one until the new container runs and is healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modules.api import Drift, Host, HostView, Json, Observation, ResourceError
from modules.container_health import refuse_stranger
from modules.container_held import Held, moved
from modules.container_images import IMAGES_LABEL, Brought, bring, discard, record, recorded
from modules.container_spec import FIELDS_LABEL, SPEC_LABEL, made_with
from modules.quadlet_file import QuadletFile, carry_out, complaint, marked, own_parts, path_of, read, write
from modules.quadlet_text import parts_of, unit_text
from modules.quadlet_unit import Shown, check, daemon_reload, shown, start, stop

OLD, FAILED = ".gitops-agent-old", ".gitops-agent-failed"  # suffixes that Quadlet does not read


def observe(host: HostView, wanted: Sequence[Held]) -> list[Observation]:
    """Read their files, and ask systemd and the engine once for all. Raises ResourceError."""
    files = {held.name: read(host, _file_of(held)) for held in wanted}
    units = shown(host, [name for name, file in files.items() if file is not None])
    listed = host.engine.containers(sorted(files))
    looked = _Look(host, own_parts(host))
    return [looked.at(held, files[held.name], units.get(held.name), listed.get(held.name)) for held in wanted]


def apply(host: Host, steps: Sequence[tuple[Held, Drift]]) -> list[ResourceError | None]:
    """Write all files, have systemd read them once, and start what should run."""
    return carry_out(host, [_Swap(host, held, drift) for held, drift in steps])


def restart(host: Host, held: Held) -> None:
    """Restart it if it runs. Raises ResourceError."""
    _write_secrets(host, held)
    if shown(host, [held.name])[held.name].condition == "running":
        check(host, held.name, started=start(host, held.name))


def recover(host: Host, held: Held) -> None:
    """Put the file back that an interrupted replacement left aside. Raises ResourceError."""
    name = _file_of(held)
    old = read(host, name + OLD)
    if old is not None:
        write(host, name, old.text)
        host.files.unlink(path_of(name + OLD))
        daemon_reload(host)


class _Swap:
    """One container's change (modules.quadlet_file.Change)."""

    def __init__(self, host: Host, held: Held, drift: Drift) -> None:
        self._host, self._held, self._drift = host, held, drift
        self._file = _file_of(held)
        self._before = read(host, self._file)
        self._ran = False
        self._image: Brought | None = None
        self._started: float | None = None
        self.unread = False

    def write(self) -> None:
        """Put the file in place, or take it away."""
        host, held = self._host, self._held
        if held.ensure == "absent":
            stop(host, held.name)
            for suffix in ("", OLD, FAILED):
                host.files.unlink(path_of(self._file + suffix))
            held.files.drop(host)
            self.unread = True
        elif self._drift.keys() - {"ensure", "registry", "unit"}:
            self._image = bring(host.engine, held.fields["image"], held.pull)
            self._ran = shown(host, [held.name])[held.name].condition == "running"
            text = _text(host, held, self._image, self._labels)
            self._refuse_again(text)
            _write_secrets(host, held)
            if self._before is not None:
                write(host, self._file + OLD, self._before.text)
            self.unread = True
            write(host, self._file, text)
        else:
            self.unread = "unit" in self._drift

    def begin(self) -> None:
        """Start, restart or stop the unit. A replacement is seen through at once: until then there is no way back to it."""
        if self._held.ensure == "absent":
            discard(self._host.engine, recorded(self._labels), ())
            return
        self._or_taken_back(self._run)
        if self._ran:
            self._see_through()

    def conclude(self) -> None:
        """See what was started stay up."""
        if self._held.ensure != "absent" and not self._ran:
            self._see_through()

    def _see_through(self) -> None:
        self._or_taken_back(self._check)
        if self._image is not None:
            self._settle(self._image)
        elif "registry" in self._drift:
            raise ResourceError(str(self._drift["registry"].before))

    def _or_taken_back(self, step: Callable[[], None]) -> None:
        """Let a new one that fails give way to the old one."""
        try:
            step()
        except ResourceError as error:
            if self._image is None:
                raise
            raise ResourceError(f"{self._taken_back()}: {error}") from error

    def _run(self) -> None:
        host, held = self._host, self._held
        unit = shown(host, [held.name])[held.name]
        if not unit.generated:
            raise ResourceError(f"Quadlet made no unit of {path_of(self._file)}: {complaint(host, self._file)}")
        if not held.running:
            stop(host, held.name)
            return
        if self._image is None:
            _write_secrets(host, held)
        if self._image is not None or unit.condition != "running":
            self._started = start(host, held.name)

    def _check(self) -> None:
        if self._held.running:
            check(self._host, self._held.name, started=self._started)

    @property
    def _labels(self) -> Mapping[str, str]:
        return self._before.made_of if self._before else {}

    def _refuse_again(self, text: str) -> None:
        failed = read(self._host, self._file + FAILED)
        if failed is not None and failed.text == text:
            raise ResourceError(
                f"this very spec failed, so the container before it stays; `journalctl -u {self._held.name}.service` tells "
                f"why; commit another, or remove {path_of(self._file + FAILED)} to try again"
            )

    def _taken_back(self) -> str:
        """Put the old file back, and keep the new one as what has failed."""
        host, name = self._host, self._held.name
        stop(host, name)
        write(host, self._file + FAILED, host.files.read(path_of(self._file)).decode())
        if self._before is None:
            host.files.unlink(path_of(self._file))
        else:
            write(host, self._file, self._before.text)
            host.files.unlink(path_of(self._file + OLD))
        daemon_reload(host)
        if not self._ran:
            return "the new container failed"
        start(host, name)
        return "the new container failed, and the one before it was put back"

    def _settle(self, image: Brought) -> None:
        """Clear away what was before."""
        host = self._host
        for suffix in (OLD, FAILED):
            host.files.unlink(path_of(self._file + suffix))
        self._held.files.drop_others(host)
        discard(host.engine, recorded(self._labels), (image.id, self._labels.get("image", "")))
        if image.trouble is not None:
            raise image.trouble


@dataclass(frozen=True)
class _Look:
    """What the host shows of containers, beside what it has of networks and volumes."""

    host: HostView
    parts: Collection[str]

    def at(self, held: Held, file: QuadletFile | None, unit: Shown | None, listed: Json | None) -> Observation:
        """One of them."""
        if file is None or unit is None:
            return self._without_file(held, listed)
        if SPEC_LABEL not in file.made_of:
            if held.adopt:
                return {"ensure": unit.condition, "spec": "somebody else's"}
            return ResourceError(
                f"{path_of(_file_of(held))} was written by somebody else; remove it, or take it with `adopt: true`"
            )
        state: dict[str, Any] = {"ensure": unit.condition, "unit": "generated" if unit.generated else "missing"}
        state |= made_with(file.made_of)
        if not file.is_whole:
            state["spec"] = "edited by hand"
        elif file.made_of.get("parts", []) != parts_of(held.fields, self.parts):
            state["spec"] = "not in order with its networks and volumes"
        image = listed["ImageID"] if listed else file.made_of.get("image", "")
        return {**state, **moved(self.host.engine, held, image)}

    def _without_file(self, held: Held, listed: Json | None) -> Observation:
        if listed is not None and not held.adopt:
            try:
                refuse_stranger(self.host.engine, held.name, listed["Labels"])
            except ResourceError as error:
                return error
        return {"ensure": "absent"}


def _file_of(held: Held) -> str:
    return f"{held.name}.container"


def _text(host: Host, held: Held, image: Brought, before: Mapping[str, str]) -> str:
    """The file; the labels of the container say whose it is, the first line what it was made of."""
    labels = held.spec.labels()
    images = record(image, recorded(before))
    files = {}
    if secret := held.variables(host, secret=True):
        _refuse_lines(secret)
        files["EnvironmentFile"] = held.files.path(".env")
    parts = parts_of(held.fields, own_parts(host))
    body = unit_text(
        held.name,
        {**held.fields, "volumes": (*held.fields.get("volumes", ()), *_mounts(held, host))},
        held.variables(host, secret=False),
        {name: text for name, text in labels.items() if name != FIELDS_LABEL},
        files,
        parts,
    )
    made = {SPEC_LABEL: labels[SPEC_LABEL], FIELDS_LABEL: labels[FIELDS_LABEL], IMAGES_LABEL: images, "image": image.id}
    return marked(body, {**made, **({"parts": parts} if parts else {})})


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
