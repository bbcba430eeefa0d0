"""Time commands in turns, so that a machine that slows down slows all of them; runs by itself on the measured host.

Reads `{"rounds": N, "commands": {name: {"argv": [...], "before": SCRIPT}}}` as its argument and prints the seconds that
each command took, by name. `before` is a shell script that is not timed. A command that fails ends everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any


def main(asked: dict[str, Any]) -> None:
    taken: dict[str, list[float]] = {name: [] for name in asked["commands"]}
    for _ in range(asked["rounds"]):
        for name, command in asked["commands"].items():
            if command["before"]:
                subprocess.run(["/bin/sh", "-ec", command["before"]], check=True, stdout=subprocess.DEVNULL)
            started = time.perf_counter()
            subprocess.run(command["argv"], check=True, stdout=subprocess.DEVNULL)
            taken[name].append(time.perf_counter() - started)
    print(json.dumps(taken))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
