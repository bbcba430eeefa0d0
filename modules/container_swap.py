"""Replacing a container: the new one must run, and be healthy where it has a check, before the old one is removed.

The new one is created beside the old one under a name of its own, so that an image that cannot be pulled or options
that the engine refuses leave the old one running. Whatever interrupts the swap, `tidy` knows which of the two is good.
A new one that failed is kept, stopped: its log tells why, and its digest keeps the next pass from taking the old one
down again for the same.
"""

from __future__ import annotations

import time
from datetime import datetime

from modules.api import Engine, Json, ResourceError
from modules.container_fields import FAILED, NEW, OLD
from modules.container_health import check, ours
from modules.container_spec import SPEC_LABEL

RETRY_SECONDS = 3600
_STOP_SECONDS = 10  # the engine's own default


def make(engine: Engine, name: str, options: Json, *, running: bool) -> None:
    """Create the container, or put a new one in the place of the one we made before. Raises ResourceError."""
    tidy(engine, name, running=running)
    if engine.image_id(options["Image"]) is None:
        engine.pull(options["Image"])
    found = ours(engine, name)
    if found is not None:
        _refuse_again(engine, name, options["Labels"][SPEC_LABEL])
        _replace(engine, found, options, running=running)
    else:
        engine.create(name, options)
        if running:
            start(engine, name)
    _discard(engine, name + FAILED)


def start(engine: Engine, name: str) -> None:
    """Start the container and see it run. Raises ResourceError with its last lines when it does not."""
    ours(engine, name)
    engine.start(name)
    check(engine, name)


def stop(engine: Engine, name: str) -> None:
    """Stop the container within its own stop time-out."""
    found = ours(engine, name)
    if found is not None:
        engine.stop(name, _stop_seconds(found))


def restart(engine: Engine, name: str) -> None:
    """Restart the container if it runs, and see it run again."""
    found = ours(engine, name)
    if found is not None and found["State"]["Running"]:
        engine.restart(name, _stop_seconds(found))
        check(engine, name)


def remove(engine: Engine, name: str) -> None:
    """Remove the container, and what swaps left of it; all volumes stay."""
    for each in (name, name + NEW, name + OLD, name + FAILED):
        _discard(engine, each, anonymous_volumes=False)


def tidy(engine: Engine, name: str, *, running: bool) -> None:
    """Finish or take back an interrupted swap; of an old and a new container one that runs is never lost."""
    if ours(engine, name + OLD) is not None:
        found = ours(engine, name)
        if found is not None and found["State"]["Status"] == "created" and running:
            _discard(engine, name)  # the swap was interrupted before it was started: it has not failed
            found = None
        if found is not None and (not running or _is_good(engine, name)):
            _discard(engine, name + OLD, anonymous_volumes=False)
        else:
            _put_back(engine, name, running=running)
    _discard(engine, name + NEW)


def _refuse_again(engine: Engine, name: str, digest: str) -> None:
    """Raise ResourceError when the same spec has failed lately: each attempt takes the container down."""
    failed = ours(engine, name + FAILED)
    if failed is None or failed["Config"]["Labels"][SPEC_LABEL] != digest:
        return
    since = datetime.fromisoformat(failed["Created"])
    if 0 <= time.time() - since.timestamp() < RETRY_SECONDS:
        raise ResourceError(
            f"this very spec failed at {since:%H:%M} UTC, so the container before it stays for now "
            f"(`docker logs {name}{FAILED}` tells why); commit another, or `docker rm {name}{FAILED}` to try again"
        )


def _replace(engine: Engine, found: Json, options: Json, *, running: bool) -> None:
    name = found["Name"].removeprefix("/")
    engine.create(name + NEW, options)
    try:
        engine.stop(name, _stop_seconds(found))
        engine.rename(name, name + OLD)
        engine.rename(name + NEW, name)
        if running:
            start(engine, name)
    except ResourceError as error:
        then = _taken_back(engine, name, running=found["State"]["Running"])
        raise ResourceError(f"{then}: {error}") from error
    engine.remove(name + OLD, anonymous_volumes=False)


def _taken_back(engine: Engine, name: str, *, running: bool) -> str:
    try:
        _put_back(engine, name, running=running)
    except ResourceError as error:
        return f"neither the new container nor the one before it can be used ({error}); the next pass tries again"
    return "the new container failed, and the one before it was put back"


def _put_back(engine: Engine, name: str, *, running: bool) -> None:
    if ours(engine, name + OLD) is not None:
        _set_aside(engine, name)
        engine.rename(name + OLD, name)
    _discard(engine, name + NEW)
    if running:
        engine.start(name)


def _set_aside(engine: Engine, name: str) -> None:
    """Keep a container that failed for its log and its digest, never to run again."""
    if ours(engine, name) is not None:
        stop(engine, name)
        _discard(engine, name + FAILED)
        engine.retire(name)
        engine.rename(name, name + FAILED)


def _discard(engine: Engine, name: str, *, anonymous_volumes: bool = True) -> None:
    """Remove a container if it is there; its anonymous volumes only when it never did any work."""
    found = ours(engine, name)
    if found is not None:
        engine.stop(name, _stop_seconds(found))
        engine.remove(name, anonymous_volumes=anonymous_volumes)


def _is_good(engine: Engine, name: str) -> bool:
    try:
        check(engine, name)
    except ResourceError:
        return False
    return True


def _stop_seconds(found: Json) -> int:
    seconds: int | None = found["Config"].get("StopTimeout")
    return _STOP_SECONDS if seconds is None else seconds
