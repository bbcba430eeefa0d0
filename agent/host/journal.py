"""The last lines that a unit wrote to the journal: read in a child, so that a damaged or huge journal holds up nothing."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from typing import Any

from agent.host import commands
from agent.isolated import Died, Overdue, run_isolated
from modules.api import ResourceError

_SYNC_SECONDS = 10.0
_READ_SECONDS = 10.0
_MEMORY = 256 << 20  # bytes that the child may take beside what it begins with; the files, which it maps, do not count
_FIELD = 8 << 10  # bytes that are taken in of each field of an entry
_LINE = 1_000  # characters that are given of each line


def last_lines(unit: str, since: float, count: int) -> list[str]:
    """The last lines of a unit's processes, and of systemd about it, that were written in this boot.

    `since` is a time of the monotonic clock, in seconds. Raises ResourceError when they cannot be read.
    """
    # What it said last may still be on its way.
    commands.run(commands.Command(("journalctl", "--sync"), range(256), _SYNC_SECONDS))

    def read(_: Callable[[], None]) -> dict[str, Any]:
        return _read(unit, since, count)

    try:
        answer = run_isolated(read, _READ_SECONDS)
    except Overdue as error:
        raise ResourceError(f"reading it did not end in {_READ_SECONDS:g} s; see journalctl -u {unit}") from error
    except Died as error:
        raise ResourceError(f"reading it crashed; journalctl --verify tells whether it is damaged: {error}") from error
    if "problem" in answer:
        raise ResourceError(answer["problem"])
    lines: list[str] = answer["lines"]
    return lines


def _read(unit: str, since: float, count: int) -> dict[str, Any]:
    """In the child: the lines, or the problem with them."""
    used = _data_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (used + _MEMORY, used + _MEMORY))
    try:
        from systemd.journal import Reader
    except ImportError:
        return {"problem": "the Python module systemd is missing; install the package python3-systemd"}
    try:
        with Reader() as reader:
            reader.data_threshold = _FIELD
            _match(reader, unit)
            found: list[str] = []
            for message in _newest_first(reader, since):
                found = [*message.splitlines(), *found]
                if len(found) >= count:
                    break
    except OSError as error:
        return {"problem": f"{(error.strerror or str(error)).lower()}; see journalctl --verify"}
    except MemoryError:
        return {"problem": f"reading it needs more than {_MEMORY >> 20} MiB; see journalctl -u {unit}"}
    return {"lines": [line if len(line) <= _LINE else f"{line[:_LINE]}..." for line in found[-count:]]}


def _match(reader: Any, unit: str) -> None:  # noqa: ANN401  (systemd.journal.Reader)
    """Ask for what the unit's processes wrote, and what systemd, which nobody can pass for, wrote about it."""
    reader.add_match(_SYSTEMD_UNIT=unit)
    reader.add_disjunction()
    reader.add_match(_PID="1", UNIT=unit)
    reader.add_conjunction()
    reader.this_boot()


def _newest_first(reader: Any, since: float) -> Iterator[str]:  # noqa: ANN401  (systemd.journal.Reader)
    reader.seek_tail()
    while (entry := reader.get_previous()) and entry["__MONOTONIC_TIMESTAMP"].timestamp.total_seconds() >= since:
        message = entry.get("MESSAGE", "")
        yield message.decode(errors="replace") if isinstance(message, bytes) else str(message)


def _data_bytes() -> int:
    """What RLIMIT_DATA counts of this process (proc(5), VmData)."""
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmData"].split()[0]) << 10
