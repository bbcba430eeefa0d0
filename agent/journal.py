"""The structured journal: one entry for each thing that happened, with fields to filter by and ids that never change."""

from __future__ import annotations

import os
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
ERR, WARNING, NOTICE, INFO = 3, 4, 5, 6  # syslog(3)

MESSAGE_IDS: Mapping[str, tuple[str, str]] = {  # result -> id, meaning; documented in docs/operations.md
    "converged": ("acf9a32df14e4676ae9dfb23b976a24d", "a resource was brought to its desired state, or refreshed"),
    "removed": ("066f260138834095b5e3e211eacb72f7", "a resource that left Git was removed"),
    "released": ("c7dd7b84fabf4b28ad5808cdb0683d45", "a resource that left Git was left as it is"),
    "failed": ("b1dfe943295f4cc09944a47f1ca9ac1f", "a resource could not be converged"),
    "blocked": ("5d02a0a38d474f28a65b3a2f119bf3de", "a resource waits for one that failed, or for a person"),
    "report": ("7a6144cf3f82442ea01a537de6bac8ae", "a pass ended that changed something or went wrong"),
    "refused": ("edebaf5ec78b4f18af8cbc1be5779a48", "a newer revision is refused; the one in force stays"),
    "unreachable": ("661835c97ba34031a245a18a6802c9a3", "the remote did not answer; what is in force is still held"),
}
_PRIORITY = {"failed": ERR, "blocked": WARNING, "refused": ERR, "unreachable": WARNING, "released": NOTICE}


def available() -> bool:
    """Tell whether this host has a journal that takes entries."""
    return os.path.exists(SOCKET)


def send(result: str, message: str, *, revision: str = "", resource: str = "", place: str = "") -> None:
    """Write one entry."""
    from systemd.journal import send as send_entry

    given = {"GITOPS_REVISION": revision, "GITOPS_RESOURCE": resource, "GITOPS_PLACE": place}
    send_entry(
        message,
        MESSAGE_ID=MESSAGE_IDS[result][0],
        PRIORITY=str(_PRIORITY.get(result, INFO)),
        SYSLOG_IDENTIFIER="gitops-agent",
        GITOPS_RESULT=result,
        **{name: value for name, value in given.items() if value},
    )
