"""Containers after a power cut: those that need nothing start with the host, those with secrets with the first pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.git import http_server
from tests.system.conftest import REPOSITORY_PORT, container_host
from tests.system.containers import declared, resource


@pytest.mark.parametrize(("suite", "held_by"), [("bookworm", "docker"), ("trixie", "quadlet")])
def test_containers_are_back_after_a_power_cut(suite: str, held_by: str, deb: Path, tmp_path: Path) -> None:
    with container_host(suite, held_by, deb, tmp_path) as on:
        host, engine = on.fleet.host, on.engine
        shared = {"image": on.app.one, "restart": "always", "networks": ["backend"], "volumes": ["data:/data"]}
        secret = declared("secret", secrets={"key": "hush"}, **shared)
        parts = resource("container_network", "backend") + resource("container_volume", "data")
        on.converge(secret + declared("plain", **shared) + parts)
        engine.run("exec", "plain", "touch", "/data/kept")
        host.run("sync")
        host.power_cut()
        host.boot_again()  # which sees to it that no unit has failed
        running = f"for wait in $(seq 60); do {engine.program} ps | grep -q NAME && exit; sleep 0.5; done; exit 1"
        for name in ("plain", "secret"):
            host.shell(running.replace("NAME", name))
        assert engine.run("exec", "secret", "cat", "/run/secrets/key") == "hush", "the agent's first pass wrote it"
        assert engine.run("exec", "secret", "ls", "/data") == "kept\n"
        with http_server(tmp_path / "git", pid=host.leader, port=REPOSITORY_PORT):
            applied = on.fleet.apply()
        assert (applied.returncode, "converged" in applied.stdout) == (0, False), applied.stdout
