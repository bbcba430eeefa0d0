"""Why a unit did not do what it was told: in systemd's words and its own."""

from __future__ import annotations

from modules.api import Host, ResourceError
from modules.systemd import Shown, jobs_before, journal_lines


def missing(name: str) -> str:
    """What to do about a unit that does not exist."""
    return f"unit {name} does not exist on this host; declare the file or the package that brings it, or check the name"


def is_failing(shown: Shown, restarts: int = 0) -> bool:
    """Whether a unit has failed, or systemd has started it again more often than it had before (a start begins at 0)."""
    return shown.active == "failed" or is_waiting_to_restart(shown) or restarts_of(shown) > restarts


def is_waiting_to_restart(shown: Shown) -> bool:
    """Whether it died, and systemd will start it again by itself after a while."""
    return shown.detail("SubState").startswith("auto-restart")


def restarts_of(shown: Shown) -> int:
    """How often systemd has started it again by itself."""
    return int(shown.detail("NRestarts") or 0)


def failure(host: Host, shown: Shown, verb: str, said: str = "") -> str:
    """The result of a unit, else what systemctl said, and the last lines of its journal."""
    result = _result(host, shown)
    if not result:
        lines = said.splitlines()
        result = "; ".join(line for line in lines if shown.id in line and not line.startswith("See "))
    if not result:
        result = f"it is {shown.active}" + ("; it ended at once" if shown.active == "inactive" else "")
    what = f"{verb} of {shown.id} failed: " if verb else ""
    return f"{what}{result}{last_words(host, shown.id)}"


def last_words(host: Host, name: str) -> str:
    """The last lines of its journal, as the end of a sentence."""
    try:
        host.run("journalctl", "--sync", timeout_seconds=10)  # what it said last may still be on its way
        lines = journal_lines(host, name)
    except ResourceError as error:
        return f"; its journal cannot be read: {error}"
    return f"; its journal ends:\n{lines}" if lines else "; its journal is empty"


def _result(host: Host, shown: Shown) -> str:
    """How it failed, from its Result property (org.freedesktop.systemd1(5)), or what it waits for; empty when neither."""
    restarts = restarts_of(shown)
    again = f", and systemd has started it again {restarts} times" if restarts else ""
    if not is_waiting_to_restart(shown) and shown.detail("Job") not in ("", "0"):
        return _waiting(host, shown)
    result, status = shown.detail("Result"), shown.detail("ExecMainStatus")
    if result in ("", "success"):
        return f"it ended at once{again}" if restarts else ""
    if result == "exit-code":
        return f"exit status {status}{again}"
    return (f"killed by signal {status}" if result in ("signal", "core-dump") else result) + again


def _waiting(host: Host, shown: Shown) -> str:
    """What a job that did not end in time is at."""
    if shown.active in ("activating", "deactivating", "reloading"):
        return f"it is still {shown.active} ({shown.detail('SubState')})"
    others = jobs_before(host, shown.id)
    return f"its job still waits for {', '.join(others)}" if others else "its job still waits"
