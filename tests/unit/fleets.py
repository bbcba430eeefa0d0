"""Repositories for unit tests: written as files, or committed by pygit2, and `agentctl` called on them as a function."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pygit2
import pytest

from agent.cli import main

Files = Mapping[str, str | bytes]


def host(*resources: str) -> Files:
    """A fleet of one host with these resources, each given as lines of YAML without the dash."""
    listed = "".join(f"  - {resource.strip()}\n" for resource in resources)
    return {"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": f"resources:\n{listed}"}


def write(directory: Path, files: Files) -> Path:
    """Write files below a directory."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return directory


def commit(directory: Path, files: Files, message: str = "change", parents: int = 1) -> str:
    """Commit exactly these files to the branch main of a bare repository, made when it is missing; the commit's id."""
    repository = pygit2.init_repository(str(directory), bare=True)
    index = pygit2.Index()
    for name, content in files.items():
        blob = repository.create_blob(content.encode() if isinstance(content, str) else content)
        index.add(pygit2.IndexEntry(name, blob, pygit2.enums.FileMode.BLOB))
    tree = index.write_tree(repository)
    person = pygit2.Signature("Operations", "ops@example.com", 1_700_000_000, 0)
    before = [repository.references["refs/heads/main"].target] if "refs/heads/main" in repository.references else []
    made = repository.create_commit(None, person, person, message, tree, before if parents else [])
    repository.references.create("refs/heads/main", made, force=True)
    return str(made)


class Host:
    """An empty root, and `agentctl` for it."""

    def __init__(self, root: Path, said: pytest.CaptureFixture[str]) -> None:
        self.root, self._said = root, said
        (root / "etc").mkdir(parents=True)
        (root / "etc/motd").write_text("as it was\n")

    def apply(self, repository: Path, *options: str) -> tuple[int, str]:
        """Apply files as they lie; the exit status and what was said on standard error."""
        return self.run("apply", "--repo", str(repository), "--working-tree", *options)

    def follow(self, repository: Path) -> tuple[int, str]:
        """Apply the newest commit."""
        return self.run("apply", "--repo", str(repository))

    def run(self, verb: str, *options: str) -> tuple[int, str]:
        """Run a verb on this root; the exit status and what was said on standard error."""
        before = signal.getsignal(signal.SIGTERM)
        try:
            status = main([verb, "--root", str(self.root), "--host", "web-01", *options])
        finally:
            signal.signal(signal.SIGTERM, before)
        return status, self._said.readouterr().err

    def state(self) -> dict[str, tuple[int, bytes | None]]:
        """Every path of the host, its mode and its bytes, but what the agent keeps for itself."""
        found: dict[str, tuple[int, bytes | None]] = {}
        for above, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name != "gitops-agent"]
            for name in (*folders, *files):
                path = Path(above, name)
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
                found[str(path)] = (path.lstat().st_mode, content)
        return {path: state for path, state in found.items() if not path.endswith(("/var", "/var/lib", "/run"))}
