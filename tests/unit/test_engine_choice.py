"""Which engine is taken: what the settings say, or what is installed, and never one of two."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.host import engine_choice
from agent.host.engine_choice import EngineChoice
from modules.api import Unsupported


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any engine; what a test makes in this folder is there."""
    monkeypatch.setattr(engine_choice, "SOCKETS", {name: f"{tmp_path}/{name}.sock" for name in ("docker", "podman")})
    monkeypatch.setattr(engine_choice, "_PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, program: str) -> None:
    shutil.copy("/bin/true", folder / program)


def test_the_one_that_is_installed_is_taken(sockets: Path) -> None:
    assert EngineChoice().address() == f"unix://{sockets}/docker.sock"
    install(sockets, "podman")
    assert EngineChoice().address() == f"unix://{sockets}/podman.sock"


def test_of_two_none_is_taken(sockets: Path) -> None:
    install(sockets, "podman")
    install(sockets, "dockerd")
    with pytest.raises(Unsupported, match=r"both Docker and Podman are installed; .*`container_engine: docker`"):
        EngineChoice().address()
    assert EngineChoice("docker").address() == f"unix://{sockets}/docker.sock"
    assert EngineChoice("quadlet").address() == f"unix://{sockets}/podman.sock"


def test_podman_under_the_name_of_docker_is_one_engine(sockets: Path) -> None:
    install(sockets, "podman")
    (sockets / "podman.sock").touch()
    (sockets / "docker.sock").symlink_to(sockets / "podman.sock")
    assert EngineChoice().address() == f"unix://{sockets}/podman.sock"
    (sockets / "docker.sock").unlink()
    (sockets / "docker.sock").touch()
    with pytest.raises(Unsupported, match="both"):
        EngineChoice().address()


@pytest.mark.parametrize("name", ["/run/x.sock", "unix:///run/x.sock"])
def test_a_socket_is_taken_as_it_is(name: str) -> None:
    assert EngineChoice(name).address() == "unix:///run/x.sock"
    assert EngineChoice("quadlet").quadlet
    assert not EngineChoice(name).quadlet
