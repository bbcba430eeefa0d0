"""The structured journal: one entry for each thing that happened, with fields to filter by and ids that never change."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
ERR, WARNING, NOTICE, INFO = 3, 4, 5, 6  # syslog(3)

MESSAGE_IDS: Mapping[str, tuple[str, str]] = {  # result -> id, meaning; documented in docs/operations.md
    "converged": ("acf9a32df14e4676ae9dfb23b976a24d", "a resource was brought to its desired state, or refreshed"),
    "removed": ("066f260138834095b5e3e211eacb72f7", "a resource that left Git was removed"),
    "released": ("c7dd7b84fabf4b28ad5808cdb0683d45", "a resource that left Git was left as it is"),
    "failed": ("b1dfe943295f4cc09944a47f1ca9ac1f", "a resource could not be converged"),
    "blocked": ("5d02a0a38d474f28a65b3a2f119bf3de", "a resource waits for one that failed"),
    "pending": (
        "5df014bac4e14d718f4123b256c46188",
        "a difference is only told: drift that is not repaired, a removal that waits",
    ),
    "report": ("7a6144cf3f82442ea01a537de6bac8ae", "a pass ended that changed something or went wrong"),
    "refused": ("edebaf5ec78b4f18af8cbc1be5779a48", "a newer revision is refused; the one in force stays"),
    "accepted": (
        "975b3059657f468bb2b43d1f72eaf8a5",
        "a person accepted a revision that was refused, or another history",
    ),
    "unreachable": ("661835c97ba34031a245a18a6802c9a3", "the remote did not answer; what is in force is still held"),
    "noticed": ("241d05ca10ac42aca55b79fbf748999d", "something that a person should know once"),
    "state_lost": ("15830693244a4cfc88d0c40a451ebb13", "the state directory was gone; the state is begun anew"),
    "overran": (
        "37ef4b0f1fe245018ed5541f5c6f52f2",
        "a pass overran its deadline and was ended, with all it had started",
    ),
    "crashed": ("c40fa128032e4d438a9d088648d9b82a", "a pass could not be started, or ended without a report"),
    "could_not_run": (
        "d921ee07f406405296a56ad45d1425d9",
        "a pass could not run, such as with a history that is refused from the start; the verdict before it stays",
    ),
    "settings_taken": ("7936041269c9496786694884e2ce2d74", "the settings were read again, and are in force"),
    "settings_refused": ("b56d10d71b9d4b5eb5d575ddb10d8b14", "the settings are wrong; those in force stay"),
    "replaced": ("5d4b1cc51be344969f7d6ced42d5e3b2", "the agent was upgraded, and goes on as the new code"),
}
PRIORITY: Mapping[str, int] = {  # of what is more than news
    "failed": ERR,
    "refused": ERR,
    "state_lost": ERR,
    "overran": ERR,
    "crashed": ERR,
    "could_not_run": ERR,
    "settings_refused": ERR,
    "blocked": WARNING,
    "pending": WARNING,
    "unreachable": WARNING,
    "noticed": WARNING,
    "accepted": NOTICE,
    "released": NOTICE,
}
FIELDS: Mapping[str, str] = {  # field -> meaning; documented in docs/operations.md
    "GITOPS_RESULT": "what happened: one of the results below",
    "GITOPS_REVISION": "the commit it is of",
    "GITOPS_RESOURCE": "the id of the resource, as `agentctl show` lists it",
    "GITOPS_PLACE": "the file and line of the repository that asks for it",
}


def available() -> bool:
    """Tell whether this host has a journal that takes entries."""
    return os.path.exists(SOCKET)


def send(result: str, message: str, *, revision: str = "", resource: str = "", place: str = "") -> None:
    """Write one entry; a journal that cannot take it stops nothing."""
    from systemd.journal import send as send_entry

    given = {"GITOPS_REVISION": revision, "GITOPS_RESOURCE": resource, "GITOPS_PLACE": place}
    try:
        send_entry(
            message,
            MESSAGE_ID=MESSAGE_IDS[result][0],
            PRIORITY=str(PRIORITY.get(result, INFO)),
            SYSLOG_IDENTIFIER="gitops-agent",
            GITOPS_RESULT=result,
            **{name: value for name, value in given.items() if value},
        )
    except OSError as error:
        sys.stderr.write(f"the journal took no entry ({error.strerror}): {message}\n")
