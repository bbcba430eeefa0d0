"""The status file: all that `agentctl status` reads, so it imports next to nothing.

It lies in the runtime directory, which is memory, so that a pass in which nothing happened writes nothing to disk and the
verdict still has an age. It is world-readable and holds no secret.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

FORMAT = 1
OK, WARNING, CRITICAL, UNKNOWN = "OK", "WARNING", "CRITICAL", "UNKNOWN"
EXIT_STATUS = {OK: 0, WARNING: 1, CRITICAL: 2, UNKNOWN: 3}


def read_status(path: str) -> dict[str, Any]:
    """Read the status file; empty when there is none or it cannot be understood."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("format") == FORMAT else {}


def write_status(path: str, status: Mapping[str, Any]) -> None:
    """Replace the status file in one step, readable by all."""
    temporary = f"{path}.{os.getpid()}.new"  # an order is shown while a pass writes what it came to
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        json.dump(status, file)
    os.rename(temporary, path)
