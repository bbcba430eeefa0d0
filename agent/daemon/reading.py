"""Read the settings in a child process: the YAML library would stay in the daemon for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from agent.errors import AgentError, ConfigInvalid
from agent.settings import Settings, load

READ_SECONDS = 30


def load_apart(directory: str) -> Settings:
    """Read the settings of a directory. Raises ConfigInvalid."""
    from agent.isolated import Died, Overdue, run_isolated

    def read(_alive: Callable[[], None]) -> dict[str, Any]:
        try:
            return {"settings": asdict(load(directory))}
        except AgentError as error:
            return {"error": str(error)}

    try:
        answer = run_isolated(read, READ_SECONDS)
    except (Died, Overdue) as error:
        raise ConfigInvalid(f"the settings in {directory} cannot be read: {error}") from error
    if "error" in answer:
        raise ConfigInvalid(answer["error"])
    return Settings(**answer["settings"])
