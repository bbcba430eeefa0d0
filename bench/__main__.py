"""`python -m bench [AREA ...]`: measure on booted hosts, print ratios; exit status 1 when a bar is missed."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterable, Mapping

from bench import containers, daemon, files, latency, packages, units
from bench.host import Bench, booted
from bench.report import Figure, table

AREAS: Mapping[str, Callable[[Bench], Iterable[Figure]]] = {
    "packages": packages.figures,
    "units": units.figures,
    "containers": containers.figures,
    "daemon": daemon.figures,
    "latency": latency.figures,
    "files": files.figures,  # last, when the file system has forgotten the files of the host before (see files.py)
}
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
ROUNDS, QUICK_ROUNDS = 11, 3


def main() -> int:
    """Measure what is asked for."""
    options = _options()
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    missed = 0
    for suite in options.suite or SUITES:
        with booted(suite, rounds) as bench:
            figures = [figure for area in options.areas or AREAS for figure in AREAS[area](bench)]
            python = bench.machine.run("python3", "--version").stdout.strip()
        print(f"{SUITES[suite]}, {python}, {_processor()}, medians of {rounds}\n{table(figures)}\n", flush=True)
        missed += sum(not figure.met for figure in figures)
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"only these: {', '.join(AREAS)}")
    parser.add_argument("--suite", action="append", choices=SUITES, help="only on this Debian (may be repeated)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    options = parser.parse_args()
    if unknown := set(options.areas) - set(AREAS):
        parser.error(f"there is no area {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    return options


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
