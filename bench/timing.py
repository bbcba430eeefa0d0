"""Time commands in turns, so that a machine that slows down slows all of them; runs by itself on the measured host.

Reads `{"rounds": N, "commands": {name: {"argv": [...], "before": SCRIPT, "says": TEXT}}}` as its argument and prints the
seconds that each command took, by name. `before` is a shell script that is not timed. A command that fails, or does not
print what it shall, ends everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any


def main(asked: Mapping[str, Any]) -> None:
    taken: dict[str, list[float]] = {name: [] for name in asked["commands"]}
    for _ in range(asked["rounds"]):
        for name, command in asked["commands"].items():
            taken[name].append(_seconds(**command))
    print(json.dumps(taken))


def _seconds(argv: list[str], before: str, says: str) -> float:
    if before:
        subprocess.run(["/bin/sh", "-ec", before], check=True, stdout=subprocess.DEVNULL)
    started = time.perf_counter()
    said = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.perf_counter() - started
    if says not in said:
        sys.exit(f"{argv} does not say {says!r}, but: {said[-500:]}")
    return seconds


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
