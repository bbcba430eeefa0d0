"""rpm and dnf of the small machine."""

from __future__ import annotations

from collections.abc import Sequence

from modules.api import Completed
from tests.unit.fake_host import FakeHost


class FakeRpm:
    """An rpm whose database is a list of (name, epoch:version-release, architecture), and a dnf that says what it is told."""

    def __init__(self, host: FakeHost, *rows: tuple[str, str, str]) -> None:
        self.rows = list(rows)
        self.offered: list[tuple[str, ...]] = []  # the same, and the repository if it is not main
        self.answers: dict[str, list[Completed]] = {}  # by verb of dnf, in turn
        host.files.put("/var/lib/rpm", kind="directory")
        host.files.put("/usr/bin/dnf")
        host.programs |= {"rpm": self._rpm, "dnf": self._dnf}

    def _rpm(self, words: Sequence[str]) -> Completed:
        if words[0] == "-qa":
            return Completed(0, "".join("\t".join(row) + "\n" for row in self.rows), "")
        if words[:2] == ["--eval", "%{_arch}"] or tuple(words) == ("--eval", "%{_arch}"):
            return Completed(0, "x86_64\n", "")
        if words[0] == "--eval":
            lists = words[1].partition("lists = {")[2].partition("} for")[0].removeprefix("{").removesuffix("}")
            ordered = [sorted((v.strip('"') for v in one.split(",")), reverse=True) for one in lists.split("},{")]
            return Completed(0, ";".join(" ".join(one) for one in ordered) + "\n", "")
        return Completed(0, "", "")

    def _dnf(self, words: Sequence[str]) -> Completed:
        if words[0] == "repoquery":
            return Completed(0, "".join("\t".join((*row, "main")[:4]) + "\n" for row in self.offered), "")
        return self.answers.get(words[0], [Completed(0, "", "")]).pop(0)
