"""Whether a unit does what it was told, and why it does not: in systemd's words and its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from modules.api import Host, HostView, ResourceError
from modules.sizes import size_text
from modules.systemd import Shown, commands_of, jobs_before, look_closely

_STEADY_SECONDS = 1.0  # how long a service that says nothing of itself is watched after its start
_WATCHED_SECONDS = 10.0  # how long one is watched that died young before
_EARLY_SECONDS = 0.5  # by so much a process may speak before systemd, busy with others, notes that it started
_SILENT = ("simple", "exec", "idle")  # types of services that count as started as soon as their process is there
_OUT_OF_MEMORY, _BY_FORCE, _LIMITS = "oom-kill", "killed by signal 9", ("MemoryMax", "MemoryLimit")
_ENDED = {"exit-code": "exited", "signal": "killed", "core-dump": "dumped"}  # Result -> how a process ended


def missing(name: str) -> str:
    """What to do about a unit that does not exist."""
    return f"unit {name} does not exist on this host; declare the file or the package that brings it, or check the name"


def is_failing(shown: Shown, restarts: int = 0) -> bool:
    """Whether a unit has failed, or systemd has started it again more often than it had before (a start begins at 0)."""
    return shown.active == "failed" or shown.waits_to_restart or shown.restarts > restarts


def steady(host: Host, names: Sequence[str], restarts: int = 0) -> dict[str, Shown]:
    """Units a moment after they were started: those that cannot say whether they are well are watched for that long."""
    found = look_closely(host, names)
    silent = [name for name, shown in found.items() if shown.detail("Type") in _SILENT and shown.active == "active"]
    return found | watched(host, silent, _STEADY_SECONDS, restarts)


def watched(host: Host, names: Sequence[str], seconds: float, restarts: int = 0) -> dict[str, Shown]:
    """Units after some time, or as soon as none of them runs well any more."""
    found: dict[str, Shown] = {}

    def ended() -> bool:
        found.update(look_closely(host, names))
        return all(is_failing(shown, restarts) or shown.active != "active" for shown in found.values())

    if names:
        host.wait_until(ended, seconds)
    return found


def to_be_watched(before: Mapping[str, Shown]) -> tuple[Sequence[str], float]:
    """Those of which an early death is to be expected, by how they were before their start, and for how many seconds."""
    lived = {name: shown.lived_seconds for name, shown in before.items() if is_failing(shown)}
    young = {name: seconds for name, seconds in lived.items() if seconds is not None and seconds < _WATCHED_SECONDS}
    young |= {name: _WATCHED_SECONDS for name, shown in before.items() if shown.keeps_failing}
    return list(young), max(young.values(), default=0)


def failure(host: HostView, shown: Shown, verb: str, said: str = "") -> str:
    """The result of a unit, else what systemctl said, and the last lines of its journal."""
    result = reason(host, shown)
    if not result:
        lines = said.splitlines()
        result = "; ".join(line for line in lines if shown.id in line and not line.startswith("See "))
    if not result:
        result = f"it is {shown.active}" + ("; it ended at once" if shown.active == "inactive" else "")
    what = f"{verb} of {shown.id} failed: " if verb else ""
    return f"{what}{result}{last_words(host, shown)}"


def last_words(host: HostView, shown: Shown) -> str:
    """The last lines of its journal, as the end of a sentence."""
    # Of what failed, its last run tells why; of what systemd starts again and again, or did not start, that may be empty.
    again = shown.restarts or shown.waits_to_restart
    alone = shown.detail("Result") not in ("", "success") and not again
    try:
        lines = host.journal(shown.id, since=max(0, shown.began_seconds - _EARLY_SECONDS) if alone else 0)
    except ResourceError as error:
        return f"; its journal cannot be read: {error}"
    return "\n".join(("; its journal ends:", *lines)) if lines else "; its journal is empty"


def reason(host: HostView, shown: Shown) -> str:
    """How it failed, from its Result property (org.freedesktop.systemd1(5)), or what it waits for; empty when neither."""
    again = f", and systemd has started it again {shown.restarts} times" if shown.restarts else ""
    if not shown.waits_to_restart and shown.detail("Job") not in ("", "0"):
        return _waiting(host, shown)
    result = shown.detail("Result")
    if result in ("", "success"):
        return f"it ended at once{again}" if shown.restarts else ""
    if result == _OUT_OF_MEMORY:
        return f"killed for lack of memory{_of_limit(host, shown)}{again}"
    ended = _process(host, shown, result) or result
    limit = _of_limit(host, shown) if ended == _BY_FORCE else ""  # of version 1 control groups systemd cannot tell
    return ended + (f", perhaps for lack of memory{limit}" if limit else "") + again


def _of_limit(host: HostView, shown: Shown) -> str:
    """How much memory it may have, in brackets and with what to do; empty when as much as it likes."""
    asked = ("systemctl", "--no-pager", "show", f"--property={','.join(_LIMITS)}", "--", shown.id)
    found = dict(line.partition("=")[::2] for line in host.probe(*asked).stdout.splitlines())
    limits = [f"{name}={size_text(int(found[name])).upper()}" for name in _LIMITS if found.get(name, "").isdecimal()]
    return f" ({limits[0]}; raise it, or find what in it needs so much)" if limits else ""


def _process(host: HostView, shown: Shown, result: str) -> str:
    """How the process ended that made it fail; empty when none did (a time-out, a limit)."""
    how = _ENDED.get(result)
    if how is None:
        return ""
    words = "exit status" if how == "exited" else "killed by signal"
    # Of a mount or swap there is no main process, and a command before or after the main one may be what failed.
    for name, command in commands_of(host, shown.id):
        ended = re.fullmatch(rf"\{{ path=(\S+) .* code={how} ; status=(\d+)\S* \}}", command)
        if ended and ended[2] != "0" and " ignore_errors=no " in command:
            return f"{words} {ended[2]}" + (f" of {name}={ended[1]}" if name != "ExecStart" else "")
    status = shown.detail("ExecMainStatus")
    return f"{words} {status}" if status not in ("", "0") else ""


def _waiting(host: HostView, shown: Shown) -> str:
    """What a job that did not end in time is at."""
    if shown.active in ("activating", "deactivating", "reloading"):
        return f"it is still {shown.active} ({shown.detail('SubState')})"
    others = jobs_before(host, shown.id)
    return f"its job still waits for {', '.join(others)}" if others else "its job still waits"
