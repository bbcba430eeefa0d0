"""A checkout and a root in temporary directories, and the command on both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent import cli

NAME = "web-01"
RESOURCES = """\
  - directory: /etc
  - file: /etc/a
    content: "one\\ntwo\\n"
  - file: /etc/secret
    content: hunter2
    mode: "0600"
"""


class Site:
    """A checkout and a root, and the command on both."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.repo, self.root, self._capsys = directory / "repo", directory / "root", capsys
        self.root.mkdir()
        self.out = self.err = ""

    def hold(self, resources: str = RESOURCES, host: str = NAME, **files: str) -> None:
        self.write("fleet.yaml", "format: 1\n")
        self.write(f"hosts/{host}.yaml", f"resources:\n{resources}")
        for path, text in files.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        (self.repo / path).parent.mkdir(parents=True, exist_ok=True)
        (self.repo / path).write_text(text)

    def call(self, *arguments: str) -> int:
        status = cli.main(arguments)
        self.out, self.err = self._capsys.readouterr()
        return status

    def on(self, verb: str, *more: str) -> int:
        """A verb on the root, with the files of the checkout as they lie."""
        place = ("--repo", str(self.repo), "--working-tree", "--host", NAME, "--root", str(self.root))
        return self.call(verb, *more, *place)

    @property
    def state(self) -> Path:
        return self.root / "var/lib/gitops-agent"

    def status_file(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "run/gitops-agent/status.json").read_text())
        return found
