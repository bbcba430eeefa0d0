"""What is said when a verb fails, and with which exit status."""

from __future__ import annotations

import os
import sys

from agent.cli.text import printable, several
from agent.errors import AgentError, ManifestInvalid


def explain(error: BaseException) -> int:
    """Say an error on standard error; the exit status."""
    if isinstance(error, KeyboardInterrupt):
        print("agentctl: interrupted", file=sys.stderr)
        return 130
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; flushing must not fail again
        return 1
    if isinstance(error, ManifestInvalid):
        print(printable(str(error)), file=sys.stderr)
        files = len({problem.place.file for problem in error.problems})
        print(f"{several(len(error.problems), 'problem')} in {several(files, 'file')}", file=sys.stderr)
        return 1
    if isinstance(error, AgentError):
        print(f"agentctl: {printable(str(error))}", file=sys.stderr)
        return 1
    if isinstance(error, OSError):
        what = f"{error.filename or 'the system'}: {error.strerror or error}"
        print(f"agentctl: {printable(what)}", file=sys.stderr)
        return 1
    if os.environ.get("AGENTCTL_TRACE"):
        raise error
    what = f"{type(error).__name__}: {error}"
    print(f"agentctl: internal error, {printable(what)}; this is a bug: AGENTCTL_TRACE=1 shows where", file=sys.stderr)
    return 1
