"""Containers that the engine itself starts: made, replaced, started, stopped and removed through its API."""

from __future__ import annotations

from collections.abc import Sequence

from modules.api import Drift, Host, HostView, Observation, ResourceError
from modules.container_health import check
from modules.container_held import Held, seen
from modules.container_options import endpoint, options_of
from modules.container_swap import Begun, Place, Wanted


def observe(host: HostView, wanted: Sequence[Held]) -> list[Observation]:
    """What the engine's list shows of them. Raises ResourceError when it shows nothing."""
    return seen(host.engine, wanted)


def apply(host: Host, steps: Sequence[tuple[Held, Drift]]) -> list[ResourceError | None]:
    """Make, replace, start, stop or remove each; then see all that were started stay up, which costs one wait for all."""
    begun = [_begun(host, held, drift) for held, drift in steps]
    return [_concluded(host, held, drift, was) for (held, drift), was in zip(steps, begun, strict=True)]


def restart(host: Host, held: Held) -> None:
    """Restart it if it runs. Raises ResourceError."""
    held.files.write(host, held.secrets(host))
    _place(host, held).restart()


def recover(host: Host, held: Held) -> None:
    """Finish or take back an interrupted replacement. Raises ResourceError."""
    _place(host, held).tidy(running=held.running)


def _begun(host: Host, held: Held, drift: Drift) -> Begun | ResourceError:
    try:
        return _begin(host, held, drift)
    except ResourceError as error:
        return error


def _concluded(host: Host, held: Held, drift: Drift, begun: Begun | ResourceError) -> ResourceError | None:
    if isinstance(begun, ResourceError):
        return begun
    try:
        if begun.started is not None:
            check(host.engine, held.name, started=begun.started)
    except ResourceError as error:
        return error
    if "registry" in drift and set(drift) & {"ensure", "registry"} == set(drift):
        return ResourceError(str(drift["registry"].before))
    return begun.trouble


def _begin(host: Host, held: Held, drift: Drift) -> Begun:
    place = _place(host, held)
    if held.ensure == "absent":
        place.remove()
        held.files.drop(host)
    elif drift.keys() - {"ensure", "registry"}:
        begun = place.make(_wanted(host, held), running=held.running)
        held.files.drop_others(host)
        return begun
    elif "ensure" not in drift:
        return Begun()
    elif not held.running:
        place.stop()
    elif drift["ensure"].before == "paused":
        host.engine.unpause(held.name)
    else:
        held.files.write(host, held.secrets(host))
        return Begun(place.start())
    return Begun()


def _place(host: Host, held: Held) -> Place:
    return Place(host.engine, held.name, held.adopt)


def _wanted(host: Host, held: Held) -> Wanted:
    secrets = held.secrets(host)
    _refuse_missing(host, held)
    held.files.write(host, secrets)
    paths = {name: held.files.path(name) for name in secrets}
    options = {**options_of(held.fields, held.variables(host), paths), "Labels": held.spec.labels()}
    more = list(held.fields.get("networks", {}).items())[1:]
    return Wanted(options, {name: endpoint(wanted) for name, wanted in more}, held.pull)


def _refuse_missing(host: Host, held: Held) -> None:
    """Raise ResourceError for a path that is mounted and not there: Podman would make an empty directory of it."""
    if host.engine.program != "podman":
        return  # Docker refuses it itself
    for volume in held.fields.get("volumes", ()):
        source = volume.split(":")[0]
        if source.startswith("/") and host.files.lstat(source) is None:
            raise ResourceError(
                f"{source} is to be mounted and does not exist; make what is mounted, or declare it in Git"
            )
