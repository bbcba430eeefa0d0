"""What a container engine remembers of how a container ended: its own events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from agent.host.engine_socket import Connection
from modules.api import Json, ResourceError

MOST_REMEMBERED = 256  # events of everything together that Docker keeps (moby, daemon/events); Podman keeps them all
_LATELY_SECONDS = 600


class Events:
    """The events of an engine, asked for anew each time."""

    def __init__(self, connection: Connection, version: str) -> None:
        """`version` is that of the API, such as `1.41`."""
        self._connection, self._path = connection, f"/v{version}/events"

    def tell_of_a_stop(self, found: Json) -> bool:
        """Whether a container (its inspection) was stopped by a request, or with the engine, which keeps no events over that.

        When the start is forgotten for all that has happened since, nobody can tell; then it counts as ended by itself.
        """
        try:
            events = self._since(_seconds(found["Created"]))
        except ResourceError:
            return True  # an engine that keeps no events
        seen = _actions(found, events)
        if "start" not in seen:
            return len(events) < MOST_REMEMBERED
        return not seen.isdisjoint(("kill", "stop"))

    def tell_of_lack_of_memory(self, found: Json) -> bool:
        """Whether the kernel lately ended something in a container (its inspection) for lack of memory."""
        try:
            events = self._since(max(_seconds(found["Created"]), int(time.time()) - _LATELY_SECONDS))
        except ResourceError:
            return False
        return "oom" in _actions(found, events)

    def _since(self, since: int) -> Sequence[Json]:
        query = {"since": str(since), "until": f"{time.time():.9f}", "stream": "false"}
        return self._connection.lines(self._path, query)


def _actions(found: Json, events: Sequence[Json]) -> set[str]:
    """What happened to a container."""
    return {event.get("Action", "") for event in events if (event.get("Actor") or {}).get("ID") == found["Id"]}


def _seconds(when: str) -> int:
    return int(datetime.fromisoformat(when).timestamp())
