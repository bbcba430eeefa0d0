"""Real Git servers with one repository, and sources that follow them into a clone in a temporary directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.source import Remote, Source
from tests.hosts.git import (
    GitRepository,
    HttpServer,
    SshServer,
    http_server,
    ssh_server,
)
from tests.system.source.refusals import SECRET, MakeSource


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "served")
    made.commit({"fleet.yaml": "format: 1\n"}, "first")
    return made


@pytest.fixture
def http(repository: GitRepository) -> Iterator[HttpServer]:
    with http_server(repository.bare.parent) as server:
        yield server


@pytest.fixture
def locked(repository: GitRepository) -> Iterator[HttpServer]:
    with http_server(repository.bare.parent, login=f"deploy:{SECRET}") as server:
        yield server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def source(tmp_path: Path) -> MakeSource:
    def make(url: object, **settings: object) -> Source:
        limits = {"connect_timeout_seconds": 5, "transfer_timeout_seconds": 5}
        return Source(Remote(str(url), **{**limits, **settings}), str(tmp_path / "state" / "repo.git"))  # type: ignore[arg-type]

    (tmp_path / "state").mkdir()
    return make


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return str(path)
