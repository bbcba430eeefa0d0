"""What the daemon itself has to say: to the journal with its fields, or to standard error where there is none."""

from __future__ import annotations

import os
import sys


def say(result: str, message: str) -> None:
    """Say one thing; `result` is one of `agent.journal.MESSAGE_IDS`."""
    if "JOURNAL_STREAM" in os.environ:  # the service manager's way of saying that our output goes to the journal
        from agent.journal import send

        send(result, message)
    else:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
