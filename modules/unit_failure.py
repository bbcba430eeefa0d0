"""Why a unit did not do what it was told: in systemd's words and its own."""

from __future__ import annotations

import re

from modules.api import HostView, ResourceError
from modules.systemd import Shown, commands_of, jobs_before

_ENDED = {"exit-code": "exited", "signal": "killed", "core-dump": "dumped"}  # Result -> how a process ended


def missing(name: str) -> str:
    """What to do about a unit that does not exist."""
    return f"unit {name} does not exist on this host; declare the file or the package that brings it, or check the name"


def is_failing(shown: Shown, restarts: int = 0) -> bool:
    """Whether a unit has failed, or systemd has started it again more often than it had before (a start begins at 0)."""
    return shown.active == "failed" or shown.waits_to_restart or restarts_of(shown) > restarts


def restarts_of(shown: Shown) -> int:
    """How often systemd has started it again by itself."""
    return int(shown.detail("NRestarts") or 0)


def failure(host: HostView, shown: Shown, verb: str, said: str = "") -> str:
    """The result of a unit, else what systemctl said, and the last lines of its journal."""
    result = _result(host, shown)
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
    alone = shown.detail("Result") not in ("", "success") and not restarts_of(shown)
    try:
        lines = host.journal(shown.id, invocation=shown.detail("InvocationID") if alone else "")
    except ResourceError as error:
        return f"; its journal cannot be read: {error}"
    return "\n".join(("; its journal ends:", *lines)) if lines else "; its journal is empty"


def _result(host: HostView, shown: Shown) -> str:
    """How it failed, from its Result property (org.freedesktop.systemd1(5)), or what it waits for; empty when neither."""
    restarts = restarts_of(shown)
    again = f", and systemd has started it again {restarts} times" if restarts else ""
    if not shown.waits_to_restart and shown.detail("Job") not in ("", "0"):
        return _waiting(host, shown)
    result = shown.detail("Result")
    if result in ("", "success"):
        return f"it ended at once{again}" if restarts else ""
    return (_process(host, shown, result) or result) + again


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
