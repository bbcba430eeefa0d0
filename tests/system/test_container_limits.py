"""What containers and services may use, on hosts whose kernel holds them to it: limits in control groups, lack of memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.system.conftest import ContainerHost, container_host
from tests.system.containers import NOTHING, Client, web
from tests.system.daemon_host import UNIT, await_that

SECONDS = 120
EATING = "echo eating; exec busybox dd if=/dev/zero of=/dev/null bs=64M count=1"
KILLED = "killed for lack of memory (limit 16m)"
NEXT_STEP = "; raise `memory`, or find what in it needs so much; its last lines: eating"
FAILED = "web.gitops-agent-failed"


@pytest.fixture(scope="module", params=[("bookworm", "docker"), ("trixie", "podman")], ids="-".join)
def on(
    request: pytest.FixtureRequest, deb: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerHost]:
    suite, held_by = request.param
    with container_host(suite, held_by, deb, tmp_path_factory.mktemp("on"), limits=True) as made:  # type: ignore[arg-type]
        yield made


def hungry(on: ContainerHost, restart: str, first: str = "") -> str:
    """The web container of a version that needs more memory than it may have."""
    return web(on.app.two, memory="16m", restart=restart, command=["sh", "-c", first + EATING])


def inside(on: ContainerHost, *names: str) -> str:
    """A file of the container's control group: by its name in version 1 or the one in version 2."""
    paths = [f"/sys/fs/cgroup/{name}" for name in names]
    return on.engine.run("exec", "web", "sh", "-c", f"cat {' '.join(paths)} 2>/dev/null || true").strip()


def restarts(on: ContainerHost) -> int:
    return int(on.engine.inspect("web", "{{json .RestartCount}}"))


def plain(text: str) -> str:
    """The text as if the engine had heard of the lack before the end; a busy one hears of it later, and "perhaps" is said."""
    return text.replace("killed, perhaps for lack", "killed for lack")


def wait_for(what: Callable[[], bool]) -> None:
    await_that(what, SECONDS)


def test_limits_are_those_of_the_control_groups(on: ContainerHost) -> None:
    def held() -> tuple[str, str, str]:
        return (
            inside(on, "memory/memory.limit_in_bytes", "memory.max"),
            inside(on, "cpu/cpu.cfs_quota_us", "cpu,cpuacct/cpu.cfs_quota_us", "cpu.max"),
            inside(on, "pids/pids.max", "pids.max"),
        )

    on.converge(web(on.app.one, memory="16m", cpus=0.5, pids_limit=20, memory_reservation="8m"))
    memory, processors, processes = held()
    assert (memory, processors.split()[0], processes) == (str(16 << 20), "50000", "20")
    assert inside(on, "memory/memory.soft_limit_in_bytes", "memory.low") == str(8 << 20)
    on.converge(web(on.app.one, memory="32m", cpus="1.5", pids_limit=30))
    memory, processors, processes = held()
    assert (memory, processors.split()[0], processes) == (str(32 << 20), "150000", "30")
    on.converge(web(on.app.one))
    memory, processors, processes = held()
    assert memory == "max" or int(memory) > 1 << 40
    assert processors.split()[0] in ("max", "-1")
    assert processes in ("max", "0") or int(processes) > 30


@pytest.mark.parametrize("restart", ["always", "on-failure:2", "no"])
def test_one_that_needs_more_than_it_may_have_fails_for_that_reason(on: ContainerHost, restart: str) -> None:
    on.converge(NOTHING)
    assert f"{KILLED}{NEXT_STEP}" in plain(on.refused(hungry(on, restart)))
    again = on.fleet.apply()
    assert again.returncode == 4
    assert KILLED in plain(again.stdout)
    said = on.fleet.host.run("agentctl", "status", check=False).stdout
    assert KILLED in plain(said)
    assert "0 in sync, 1 failed" in said


@pytest.mark.parametrize("restart", ["always", "on-failure:2", "no"])
def test_the_version_before_it_is_put_back_and_it_is_held_back(on: ContainerHost, restart: str) -> None:
    on.engine.run("rm", "-f", FAILED, check=False)
    on.converge(web(on.app.one))
    made = on.engine.inspect("web")["Id"]
    said = on.refused(hungry(on, restart))
    assert "the new container failed, and the one before it was put back" in said, said
    assert f"{KILLED}{NEXT_STEP}" in plain(said)
    assert on.engine.inspect("web")["Id"] == made
    assert on.http() == "one"
    with Client(on.fleet.host) as client:
        said = on.fleet.apply().stdout
    assert "this very spec failed" in said
    assert f"UTC, {KILLED}, so the container before it stays" in plain(said)
    assert client.answers == {"one"}
    assert on.engine.standing()[FAILED] == "exited", "it does not come back by itself"


def test_one_that_ran_well_and_begins_to_loop_is_called_ill_until_it_has_enough(on: ContainerHost) -> None:
    """A pass that repairs drift must not call it converged, and the daemon's verdict is CRITICAL while it loops."""
    host, wanted = on.fleet.host, hungry(on, "always", "while ! test -e /tmp/hungry; do sleep 0.1; done; ")
    on.converge(wanted)
    on.engine.run("exec", "web", "touch", "/tmp/hungry")
    wait_for(lambda: restarts(on) > 1)
    planned = on.fleet.plan()
    assert planned.returncode == 2
    assert "ensure restarting -> running" in planned.stdout
    applied = on.fleet.apply()
    assert applied.returncode == 4, applied.stdout
    assert KILLED in plain(applied.stdout)
    host.run("systemctl", "start", UNIT)
    wait_for(lambda: host.run("agentctl", "status", check=False).returncode == 2)
    assert KILLED in plain(host.run("agentctl", "status", check=False).stdout)
    host.run("systemctl", "stop", UNIT)
    on.converge(wanted.replace("16m", "256m").replace(" exec ", " sleep 100000; "))
    assert on.engine.standing()["web"] == "running"


def test_one_that_runs_well_between_two_kills_is_not_taken_for_well(on: ContainerHost) -> None:
    on.converge(hungry(on, "always", "sleep 4; "))
    wait_for(lambda: restarts(on) > 0)
    said = on.fleet.apply()
    assert said.returncode == 4, said.stdout
    assert "keeps restarting, " in said.stdout
    assert KILLED in plain(said.stdout)
    on.converge(NOTHING)


def test_a_service_that_is_killed_for_lack_of_memory_says_so(on: ContainerHost) -> None:
    def service(restart: str) -> str:
        text = (
            f"[Service]\nMemoryMax=16M\nRestart={restart}\nExecStart=/bin/dd if=/dev/zero of=/dev/null bs=64M count=1\n"
        )
        return f"  - {json.dumps({'unit': 'hungry.service', 'content': text, 'active': True})}\n"

    for restart in ("no", "always"):
        said = on.refused(service(restart))
        assert "for lack of memory (MemoryMax=16M; raise it, or find what in it needs so much)" in said
        status = on.fleet.host.run("agentctl", "status", check=False).stdout
        assert "for lack of memory (MemoryMax=16M" in status
        assert "hungry.service" in status
    on.converge(NOTHING)
