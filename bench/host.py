"""The host that is measured: booted, with the built package and the distribution's own Python."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.report import Figure
from tests.hosts import images
from tests.hosts.git import GitRepository
from tests.hosts.machine import Machine

HERE = Path(__file__).resolve().parent.parent
START = "python3 -c pass"
TOOLS = (  # with what they depend on, as many packages as a server has
    "bind9-dnsutils", "curl", "git", "htop", "jq", "less", "lsof", "man-db", "rsync", "strace", "tcpdump", "tmux", "vim",
)  # fmt: skip
_TIMING = (HERE / "bench/timing.py").read_text()


@dataclass(frozen=True)
class Command:
    """What is timed, a shell script that puts things in place for it and is not, and what it prints when it is right."""

    argv: Sequence[str]
    before: str = ""
    says: str = ""


PYTHON = Command(("/usr/bin/python3", "-c", "pass"))


class Bench:
    """A booted host to measure on, and how often."""

    def __init__(self, machine: Machine, suite: str, rounds: int) -> None:
        self.machine, self.suite, self.rounds = machine, suite, rounds

    def times(self, commands: Mapping[str, Command], rounds: int = 0) -> dict[str, list[float]]:
        """What each command took in milliseconds, all taken in turns with the start of Python."""
        asked = {name: asdict(command) for name, command in {START: PYTHON, **commands}.items()}
        order = json.dumps({"rounds": rounds or self.rounds, "commands": asked})
        shown = self.machine.run("/usr/bin/python3", "-I", "-c", _TIMING, order, timeout=1200).stdout
        return {name: [1000 * seconds for seconds in taken] for name, taken in json.loads(shown).items()}

    def medians(self, commands: Mapping[str, Command]) -> dict[str, float]:
        """The median of each."""
        return {name: median(taken) for name, taken in self.times(commands).items()}

    def added(self, what: str, some: Command, none: Command, floor: tuple[str, Command], bar: float) -> Figure:
        """What the resources of one process add to the same process without them: the median of the rounds' differences."""
        name, cheapest = floor
        found = self.times({"some": some, "none": none, name: cheapest}, 3 * self.rounds)
        differences = [more - less for more, less in zip(found["some"], found["none"], strict=True)]
        return Figure(f"{what}, added", median(differences), "ms", bar, floors={name: median(found[name])})

    def apply(self, name: str, resources: str, files: Mapping[str, str] | None = None) -> Command:
        """`agentctl apply` of a repository of its own, with settings and state of its own in /srv/bench/NAME."""
        place = f"/srv/bench/{name}"
        with tempfile.TemporaryDirectory() as directory:
            made = GitRepository(Path(directory))
            made.commit({"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": f"resources:\n{resources}", **(files or {})})
            shutil.copytree(made.bare, self.machine.path(f"{place}/fleet.git"))
        settings = {"repository": f"{place}/fleet.git", "state_dir": f"{place}/state", "runtime_dir": f"/run/{name}"}
        settings["health_soak"] = "0s"  # while a revision is new, passes look at its health as well
        text = "".join(f"{key}: {value}\n" for key, value in settings.items())
        self.machine.write(f"{place}/agent.yaml", text)
        return Command(("/usr/bin/agentctl", "apply", "--config", place))

    def idle(self, name: str, resources: str, files: Mapping[str, str] | None = None) -> Command:
        """The same once it has converged: there is nothing to do."""
        command = self.apply(name, resources, files)
        self.machine.run(*command.argv, timeout=600)
        return Command(command.argv, says=f": {resources.count('  - ')} in sync in ")


@contextlib.contextmanager
def booted(suite: str, rounds: int) -> Iterator[Bench]:
    """A host of a Debian suite with the package installed."""
    subprocess.run(["make", "-s", "deb"], cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    package = max((HERE / "dist").glob("*.deb"), key=lambda path: path.stat().st_mtime)
    with Machine(images.Image(suite, (images.RUNTIME, TOOLS))) as machine:
        machine.install(package)
        yield Bench(machine, suite, rounds)
