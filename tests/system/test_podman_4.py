"""What Podman 4 on Debian 12 has of its own: no Quadlet, and restart policies that cannot be changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import ContainerHost, container_host
from tests.system.containers import NOTHING, resource, web


@pytest.fixture(scope="module")
def four(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerHost]:
    """A Debian 12 with Podman."""
    with container_host("bookworm", "podman", deb, tmp_path_factory.mktemp("four")) as made:
        assert made.engine.run("version", "-f", "{{.Server.Version}}").startswith("4.")
        yield made


def test_a_container_with_its_network_and_volume_lives_changes_and_goes(four: ContainerHost) -> None:
    parts = resource("container_network", "backend") + resource("container_volume", "data", prune="delete")
    for image, text in ((four.app.one, "one"), (four.app.two, "two")):
        four.converge(web(image, networks=["backend"], volumes=["data:/data"], secrets={"key": text}) + parts)
        assert four.http() == text
        assert four.engine.run("exec", "web", "cat", "/run/secrets/key") == text
    for harm in ("stop -t0", "rm -f"):
        four.engine.run(*harm.split(), "web")
        assert four.fleet.apply().returncode == 0, harm
        assert four.http() == "two", harm
    four.converge(NOTHING)
    assert four.engine.standing() == {}


def test_a_failed_version_does_not_come_back_though_it_keeps_its_restart_policy(four: ContainerHost) -> None:
    four.converge(web(four.app.one, restart="always"))
    dying = web(four.app.two, restart="always", command=["sh", "-c", "sleep 0.2; exit 3"])
    said = four.refused(dying)
    assert "the one before it was put back" in said, said
    assert "this very spec failed" in four.fleet.apply().stdout
    four.engine.run("exec", "web", "sleep", "3")
    standing = four.engine.standing()
    assert standing["web"].startswith("Up") or standing["web"] == "running"
    assert not standing["web.gitops-agent-failed"].startswith(("Up", "running"))
    assert four.http() == "one"


def test_quadlet_is_refused_with_what_it_needs(four: ContainerHost) -> None:
    four.configure(container_engine="quadlet")
    try:
        assert "there is no Quadlet on this host; it comes with Podman 4.4" in four.refused(
            resource("container_network", "backend")
        )
    finally:
        four.configure()
