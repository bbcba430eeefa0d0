"""Replacing a container: the new one must run, and be healthy where it has a check, before the old one is removed.

The new one is created beside the old one under a name of its own, so that an image that cannot be pulled or options
that the engine refuses leave the old one running. Whatever interrupts the swap, `tidy` knows which of the two is good.
A new one that failed is kept, stopped: its log tells why, and its digest keeps the next pass from taking the old one
down again for the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from modules.api import Engine, Json, ResourceError
from modules.container_fields import FAILED, NEW, OLD
from modules.container_health import check, labels_of, lack_of_memory, refuse_stranger
from modules.container_images import IMAGES_LABEL, Brought, bring, discard, record, recorded
from modules.container_spec import SPEC_LABEL

RETRY_SECONDS = 3600
_STOP_SECONDS = 10  # the engine's own default
_STOPPED = (137, 143)  # the status of what was ended by SIGKILL or SIGTERM


@dataclass(frozen=True)
class Wanted:
    """What is to be made: options for the engine, networks after the first, and how the image is to be had."""

    options: Json
    networks: Mapping[str, Json]
    pull: str


@dataclass(frozen=True)
class Begun:
    """What came of a change so far."""

    started: float | None = None  # when it was started (time.monotonic), if nobody has seen yet whether it stays up
    trouble: ResourceError | None = None  # why it may not be of the newest image


@dataclass(frozen=True)
class Place:
    """One container's place on an engine; every method raises ResourceError."""

    engine: Engine
    name: str
    adopt: bool = False  # take what somebody else made

    def make(self, wanted: Wanted, *, running: bool) -> Begun:
        """Create the container, or put a new one in the place of the one before, which is seen through at once."""
        self.tidy(running=running)
        brought = bring(self.engine, wanted.options["Image"], wanted.pull)
        found = self._ours("")
        known = recorded(labels_of(found) if found else {})
        labels = {**wanted.options["Labels"], IMAGES_LABEL: record(brought, known)}
        options = {**wanted.options, "Labels": labels}
        started = None
        if found is not None:
            self._refuse_again(labels[SPEC_LABEL], brought)
            self._replace(found, options, wanted.networks, running=running)
        else:
            self._create("", options, wanted.networks)
            started = self.start() if running else None
        self._discard(FAILED)
        discard(self.engine, known, (brought.id, found["Image"] if found else ""))
        return Begun(started, brought.trouble)

    def start(self) -> float:
        """Start the container; when that was (time.monotonic). Whether it stays up is still to be seen."""
        self._ours("")
        self.engine.start(self.name)
        return time.monotonic()

    def stop(self) -> None:
        """Stop the container within its own stop time-out."""
        found = self._ours("")
        if found is not None:
            self.engine.stop(self.name, _stop_seconds(found))

    def restart(self) -> None:
        """Restart the container if it runs, and see it run again."""
        found = self._ours("")
        if found is not None and found["State"]["Running"]:
            self.engine.restart(self.name, _stop_seconds(found))
            check(self.engine, self.name)

    def remove(self) -> None:
        """Remove the container, what swaps left of it, and the images that we pulled for it; all volumes stay."""
        found = self._ours("")
        for suffix in ("", NEW, OLD, FAILED):
            self._discard(suffix, anonymous_volumes=False)
        discard(self.engine, recorded(labels_of(found) if found else {}), ())

    def tidy(self, *, running: bool) -> None:
        """Finish or take back an interrupted swap; of an old and a new container one that runs is never lost."""
        if self._ours(OLD) is not None:
            found = self._ours("")
            if found is not None and found["State"]["Status"] == "created" and running:
                self._discard("")  # the swap was interrupted before it was started: it has not failed
                found = None
            if found is not None and (not running or self._is_good()):
                self._discard(OLD, anonymous_volumes=False)
            else:
                self._put_back(running=running, failed=False)
        self._discard(NEW)

    def _create(self, suffix: str, options: Json, networks: Mapping[str, Json]) -> None:
        self.engine.create(self.name + suffix, options)
        try:
            for network, endpoint in networks.items():
                self.engine.connect(network, self.name + suffix, endpoint)
        except ResourceError:
            self._discard(suffix)
            raise

    def _refuse_again(self, digest: str, brought: Brought) -> None:
        """Raise ResourceError when the same spec has failed lately: each attempt takes the container down."""
        failed = self._ours(FAILED)
        if failed is None or (labels_of(failed).get(SPEC_LABEL), failed["Image"]) != (digest, brought.id):
            return
        since = datetime.fromisoformat(failed["Created"])
        if 0 <= time.time() - since.timestamp() < RETRY_SECONDS:
            program, name = self.engine.program, self.name + FAILED
            killed = lack_of_memory(self.engine, name, failed)
            raise ResourceError(
                f"this very spec failed at {since:%H:%M} UTC{', ' if killed else ''}{killed}, so the container before it "
                f"stays for now (`{program} logs {name}` tells why); commit another, or `{program} rm {name}` to try again"
            )

    def _replace(self, found: Json, options: Json, networks: Mapping[str, Json], *, running: bool) -> None:
        engine, name = self.engine, self.name
        self._create(NEW, options, networks)
        try:
            engine.stop(name, _stop_seconds(found))
            engine.rename(name, name + OLD)
            engine.rename(name + NEW, name)
            if running:
                check(engine, name, started=self.start())
        except ResourceError as error:
            then = self._taken_back(running=found["State"]["Running"])
            raise ResourceError(f"{then}: {error}") from error
        engine.remove(name + OLD, anonymous_volumes=False)

    def _taken_back(self, *, running: bool) -> str:
        try:
            self._put_back(running=running, failed=not self._was_stopped())
        except ResourceError as error:
            return f"neither the new container nor the one before it can be used ({error}); the next pass tries again"
        return "the new container failed, and the one before it was put back"

    def _was_stopped(self) -> bool:
        """Tell whether the new container was stopped from outside, as by an engine that restarts: it has not failed."""
        found = self._ours("")
        state = found["State"] if found else {}
        if state.get("ExitCode") not in _STOPPED or state.get("Running") or state.get("OOMKilled"):
            return False
        return self.engine.was_stopped(self.name)

    def _put_back(self, *, running: bool, failed: bool) -> None:
        if self._ours(OLD) is not None:
            if failed:
                self._set_aside()
            else:
                self._discard("")
            self.engine.rename(self.name + OLD, self.name)
        self._discard(NEW)
        if running:
            self.engine.start(self.name)

    def _set_aside(self) -> None:
        """Keep a container that failed for its log and its digest, never to run again."""
        if self._ours("") is not None:
            self.engine.retire(self.name)  # first: what keeps restarting must not come back while it is stopped
            self.stop()
            self._discard(FAILED)
            self.engine.rename(self.name, self.name + FAILED)

    def _discard(self, suffix: str, *, anonymous_volumes: bool = True) -> None:
        """Remove a container if it is there; its anonymous volumes only when it never did any work."""
        found = self._ours(suffix)
        if found is not None:
            self.engine.stop(self.name + suffix, _stop_seconds(found))
            self.engine.remove(self.name + suffix, anonymous_volumes=anonymous_volumes)

    def _is_good(self) -> bool:
        try:
            check(self.engine, self.name)
        except ResourceError:
            return False
        return True

    def _ours(self, suffix: str) -> Json | None:
        """The inspection of a container that we made, or may take. Raises ResourceError when somebody else made it."""
        found = self.engine.inspect(self.name + suffix)
        if found is not None and not self.adopt:
            refuse_stranger(self.engine, self.name + suffix, labels_of(found))
        return found


def _stop_seconds(found: Json) -> int:
    seconds: int | None = found["Config"].get("StopTimeout")
    return _STOP_SECONDS if seconds is None else seconds
