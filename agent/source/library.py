"""pygit2, with a home directory of our own: what root has configured for itself is nothing to the agent."""

from __future__ import annotations

import os
import sys
from typing import Any


def home(repository: str) -> str:
    """The directory in which libgit2 looks for `.ssh/known_hosts`."""
    return os.path.join(os.path.dirname(repository), "ssh-home")


def library(repository: str) -> Any:  # noqa: ANN401  (a module without types)
    """Import it. libgit2 reads HOME once, when it is loaded, and some versions cannot be told of another later."""
    if "pygit2" not in sys.modules:
        before = os.environ.get("HOME")
        os.environ["HOME"] = home(repository)
        try:
            import pygit2  # noqa: F401  (kept by the interpreter)
        finally:
            if before is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = before
    return sys.modules["pygit2"]
