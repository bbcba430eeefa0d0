"""Containers on a booted host with Docker's engine, held by the installed agent and judged with docker and HTTP."""
# Over 300 lines because one booted host with an engine, dear to make, serves all of it.

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from tests.hosts import images
from tests.hosts.machine import Machine
from tests.hosts.registry import push, registry
from tests.system.conftest import Fleet

PORT = 8080


@pytest.fixture(scope="module")
def machine(suite: str, deb: Path) -> Iterator[Machine]:
    """A host with the agent and an engine."""
    with Machine(images.with_engine(suite)) as host:
        host.install(deb)
        yield host


class Images(NamedTuple):
    """References in the host's own registry."""

    one: str
    two: str
    two_digest: str
    ill: str  # its health check fails
    slow: str  # healthy only after a second


@pytest.fixture(scope="module")
def app(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """Tiny images that answer HTTP with their name."""
    folder = tmp_path_factory.mktemp("registry")
    with registry(folder, machine.leader) as address:

        def made(tag: str, **options: Any) -> str:
            return push(folder, machine.leader, f"{address}/app:{tag}", text=tag, **options)

        digests = {"one": made("one"), "two": made("two")}
        made("ill", healthcheck=["false"])
        made("slow", healthcheck=["true"])
        ref = f"{address}/app:"
        yield Images(ref + "one", ref + "two", f"{address}/app@{digests['two']}", ref + "ill", ref + "slow")


def declared(name: str, **fields: object) -> str:
    """One container in the format of a repository; JSON is YAML."""
    return f"  - {json.dumps({'container': name, 'stop_timeout': 0, **fields})}\n"


def web(image: str, **fields: object) -> str:
    """The container that answers on PORT."""
    return declared("web", image=image, ports=[f"127.0.0.1:{PORT}:8080"], **fields)


def inspected(host: Machine, name: str, template: str = "{{json .}}") -> Any:
    return json.loads(host.run("docker", "inspect", "--type", "container", "-f", template, name).stdout)


def standing(host: Machine) -> dict[str, str]:
    """The names of all containers, and their states."""
    lines = host.run("docker", "ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines)


def converge(fleet: Fleet, resources: str) -> None:
    """Commit and apply; a second pass finds and does nothing."""
    fleet.hold(resources)
    applied = fleet.apply()
    assert applied.returncode == 0, applied.stdout + applied.stderr
    listing = ("docker", "ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}")
    before = fleet.host.run(*listing).stdout
    assert fleet.plan().returncode == 0
    assert fleet.apply().returncode == 0
    assert fleet.host.run(*listing).stdout == before


def refused(fleet: Fleet, resources: str) -> str:
    """Commit and apply what must fail; what was said."""
    fleet.hold(resources)
    applied = fleet.apply()
    assert applied.returncode == 4, applied.stdout + applied.stderr
    return applied.stdout + applied.stderr


# Options: created, changed, taken away

IMAGE_COMMAND = ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"]
CHECK = {"Test": ["CMD-SHELL", "true"], "Interval": 300_000_000, "Retries": 2}


class Option(NamedTuple):
    container: str
    name: str
    template: str
    values: tuple[object, object]  # in Git, at first and then
    shown: tuple[object, object, object]  # by docker: at first, then, and when it is gone


OPTIONS = [
    Option("proc", "command", "{{json .Config.Cmd}}", (["sleep", "1000"], ["sleep", "2000"]),
           (["sleep", "1000"], ["sleep", "2000"], IMAGE_COMMAND)),
    Option("proc", "entrypoint", "{{json .Config.Entrypoint}}", (["/bin/busybox"], ["/bin/env"]),
           (["/bin/busybox"], ["/bin/env"], None)),
    Option("proc", "env", "{{json .Config.Env}}", ({"A": "1", "B": "x y"}, {"A": "2"}),
           (["A=1", "B=x y", "PATH=/bin"], ["A=2", "PATH=/bin"], ["PATH=/bin"])),
    Option("proc", "user", "{{json .Config.User}}", ("1000:1000", "0"), ("1000:1000", "0", "")),
    Option("proc", "workdir", "{{json .Config.WorkingDir}}", ("/www", "/tmp"), ("/www", "/tmp", "")),
    Option("proc", "labels", '{{json (index .Config.Labels "team")}}', ({"team": "a"}, {"team": "b"}), ("a", "b", "")),
    Option("net", "ports", "{{json .HostConfig.PortBindings}}",
           (["127.0.0.1:8081:8080"], ["8082-8083:8080-8081", "127.0.0.1:8084:53/udp"]),
           ({"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8081"}]},
            {"8080/tcp": [{"HostIp": "", "HostPort": "8082"}], "8081/tcp": [{"HostIp": "", "HostPort": "8083"}],
             "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "8084"}]}, {})),
    Option("net", "volumes", "{{json .HostConfig.Mounts}}", (["data:/data", "/srv:/srv:ro"], ["data:/other"]),
           ([{"Type": "bind", "Source": "/srv", "Target": "/srv", "ReadOnly": True},
             {"Type": "volume", "Source": "data", "Target": "/data"}],
            [{"Type": "volume", "Source": "data", "Target": "/other"}], None)),
    Option("net", "hostname", "{{json .Config.Hostname}}", ("alpha", "beta"), ("alpha", "beta", ...)),
    Option("net", "restart", '{{json (or .HostConfig.RestartPolicy.Name "no")}}', ("on-failure:3", "always"),
           ("on-failure", "always", "no")),
    Option("lone", "network_mode", "{{json .HostConfig.NetworkMode}}", ("backend", "none"), ("backend", "none", ...)),
    Option("lone", "healthcheck", "{{json .Config.Healthcheck}}",
           ({"test": "true", "interval": "300ms", "retries": 2}, {"test": ["NONE"]}), (CHECK, {"Test": ["NONE"]}, None)),
    Option("timed", "stop_timeout", "{{json .Config.StopTimeout}}", (0, 1), (0, 1, None)),
]  # fmt: skip


def optioned(app: Images, step: int) -> str:
    """Every container of the table with its options of this step; at the last, with none."""
    wanted: dict[str, dict[str, object]] = {option.container: {} for option in OPTIONS}
    for option in OPTIONS:
        if step < 2:
            wanted[option.container][option.name] = option.values[step]
    text = "".join(declared(name, image=app.one, **fields) for name, fields in wanted.items() if name != "timed")
    return text + f"  - {json.dumps({'container': 'timed', 'image': app.one, **wanted['timed']})}\n"


def test_every_option_is_made_changed_and_taken_away(fleet: Fleet, app: Images) -> None:
    host = fleet.host
    host.run("docker", "network", "create", "backend")
    made: list[set[str]] = []
    for step in range(3):
        converge(fleet, optioned(app, step))
        for option in OPTIONS:
            shown = option.shown[step]
            if shown is not ...:
                assert inspected(host, option.container, option.template) == shown, (option.name, step)
        made.append({inspected(host, option.container, "{{json .Id}}") for option in OPTIONS})
    assert made[0].isdisjoint(made[1])
    assert made[1].isdisjoint(made[2])
    assert inspected(host, "net", "{{json .Config.Hostname}}") not in ("alpha", "beta")
    assert inspected(host, "lone", "{{json .HostConfig.NetworkMode}}") in ("default", "bridge")
    host.run("docker", "kill", "timed")  # it would take its ten seconds to stop


def test_what_leaves_git_is_removed_and_its_volume_stays(fleet: Fleet, app: Images) -> None:
    converge(fleet, web(app.one))
    assert standing(fleet.host) == {"web": "running"}
    assert "data" in fleet.host.run("docker", "volume", "ls", "-q").stdout.split()


# One container's life


def test_an_image_is_pulled_by_tag_and_by_digest(fleet: Fleet, app: Images) -> None:
    host = fleet.host
    converge(fleet, web(app.one))
    assert host.http(PORT) == "one"
    host.run("docker", "image", "rm", "-f", app.two, check=False)
    converge(fleet, web(app.two_digest))
    assert host.http(PORT) == "two"
    assert inspected(host, "web", "{{json .Config.Image}}") == app.two_digest


def test_the_plan_says_what_changes_and_no_secret_is_kept_or_said(fleet: Fleet, app: Images) -> None:
    host = fleet.host
    converge(fleet, web(app.two))
    fleet.hold(web(app.one, env={"TOKEN": "correct-horse"}))
    planned = fleet.plan().stdout
    assert f"image {app.two} -> {app.one}" in planned
    assert "env" in planned
    applied = fleet.apply("--json").stdout
    assert host.http(PORT) == "one"
    assert "TOKEN=correct-horse" in inspected(host, "web", "{{json .Config.Env}}")
    journal = host.run("journalctl", "-o", "export").stdout
    assert "correct-horse" not in planned + applied + journal
    assert host.run("grep", "-c", "correct-horse", "/var/lib/gitops-agent/state.db", check=False).returncode == 1
    labels = inspected(host, "web", "{{json .Config.Labels}}")
    assert "correct-horse" not in json.dumps(labels)


@pytest.mark.parametrize("harm", ["rm -f", "stop", "pause", "kill"])
def test_harm_done_by_hand_is_repaired(fleet: Fleet, app: Images, harm: str) -> None:
    converge(fleet, web(app.one))
    fleet.host.run("docker", *harm.split(), "web")
    assert fleet.plan().returncode == 2
    assert fleet.apply().returncode == 0
    assert fleet.host.http(PORT) == "one"


def test_stopped_and_absent(fleet: Fleet, app: Images) -> None:
    host = fleet.host
    converge(fleet, web(app.one))
    made = inspected(host, "web", "{{json .Id}}")
    converge(fleet, web(app.one, ensure="stopped"))
    assert standing(host) == {"web": "exited"}
    assert inspected(host, "web", "{{json .Id}}") == made
    converge(fleet, "  - {container: web, ensure: absent}\n")
    assert standing(host) == {}


def test_a_changed_file_restarts_the_container_that_asked_for_it(fleet: Fleet, app: Images) -> None:
    host = fleet.host

    def resources(text: str) -> str:
        mounted = web(app.one, volumes=["/srv/conf:/www:ro"], restart_on=["file:/srv/conf/*"])
        file = {"file": "/srv/conf/index.html", "content": text}
        return f'{mounted}  - {json.dumps(file)}\n  - directory: /srv/conf\n    mode: "0755"\n'

    converge(fleet, resources("first"))
    assert host.http(PORT) == "first"
    before = inspected(host, "web")
    converge(fleet, resources("second"))
    assert host.http(PORT) == "second"
    after = inspected(host, "web")
    assert after["Id"] == before["Id"]
    assert after["State"]["StartedAt"] > before["State"]["StartedAt"]


def test_one_that_shares_a_network_follows_the_other(fleet: Fleet, app: Images) -> None:
    host = fleet.host

    def resources(image: str) -> str:
        beside = declared("beside", image=app.one, network_mode="container:web", command=["sleep", "1000"])
        return beside + web(image)

    for image, text in ((app.one, "one"), (app.two, "two")):
        converge(fleet, resources(image))
        assert host.run("docker", "exec", "beside", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/").stdout == text


# Faults


def test_a_strangers_container_is_refused_and_left(fleet: Fleet, app: Images) -> None:
    host = fleet.host
    converge(fleet, web(app.one))
    host.run("docker", "run", "-d", "--name", "theirs", app.one)
    made = inspected(host, "theirs", "{{json .Id}}")
    said = refused(fleet, web(app.one) + declared("theirs", image=app.two))
    assert "made by somebody else; remove it (`docker rm -f theirs`)" in said
    assert inspected(host, "theirs", "{{json .Id}}") == made
    host.run("docker", "rm", "-f", "theirs")


def test_an_image_that_cannot_be_pulled_leaves_the_old_one_running(fleet: Fleet, app: Images) -> None:
    host = fleet.host
    converge(fleet, web(app.one))
    before = inspected(host, "web", "[{{json .Id}}, {{json .State.StartedAt}}]")
    nobody = "127.0.0.1:5999/app:one"
    for image, reason in ((app.one + "-typo", "check the image's name and tag"), (nobody, "reaches the registry")):
        said = refused(fleet, web(image))
        assert f"image {image} cannot be pulled: " in said
        assert reason in said
    assert inspected(host, "web", "[{{json .Id}}, {{json .State.StartedAt}}]") == before
    assert standing(host) == {"web": "running"}


class Client:
    """Asks the port again and again; the longest time without an answer."""

    def __init__(self, host: Machine) -> None:
        self._host, self._done = host, threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest_gap = 0.0
        self.answers: set[str] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _ask(self) -> None:
        last = time.monotonic()
        while not self._done.is_set():
            answer, now = self._host.http(PORT, timeout=1), time.monotonic()
            if answer:
                self.answers.add(answer)
                self.longest_gap, last = max(self.longest_gap, now - last), now
            time.sleep(0.05)


FAILURES: Mapping[str, tuple[dict[str, object], str]] = {
    "unhealthy": ({}, "container web is unhealthy"),
    "ends": (
        {"command": ["sh", "-c", "echo cannot find my database; exit 3"]},
        "its last lines: cannot find my database",
    ),
    "loops": ({"command": ["sh", "-c", "exit 3"], "restart": "always"}, "container web keeps restarting"),
    "no program": ({"command": ["serve"]}, "check command and entrypoint"),
    "no network": ({"ports": [], "network_mode": "nowhere"}, "docker network create"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_new_version_that_fails_gives_way_to_the_old_one_once(fleet: Fleet, app: Images, failure: str) -> None:
    host, (fields, reason) = fleet.host, FAILURES[failure]
    converge(fleet, web(app.one))
    made = inspected(host, "web", "{{json .Id}}")
    bad = declared("web", **{"image": app.ill, "ports": [f"127.0.0.1:{PORT}:8080"], **fields})
    assert reason in refused(fleet, bad)
    assert inspected(host, "web", "{{json .Id}}") == made
    assert host.http(PORT) == "one"
    with Client(host) as client:
        assert "this very spec failed" in fleet.apply().stdout
    assert client.answers == {"one"}
    assert client.longest_gap < 1
    converge(fleet, web(app.two))
    assert standing(host) == {"web": "running"}
    assert host.http(PORT) == "two"


def test_a_replacement_costs_a_client_no_more_than_the_swap(fleet: Fleet, app: Images) -> None:
    converge(fleet, web(app.one))
    with Client(fleet.host) as client:
        converge(fleet, web(app.two))
    assert client.answers == {"one", "two"}
    assert client.longest_gap < 5


def test_a_port_that_is_taken_is_said(fleet: Fleet, app: Images) -> None:
    host = fleet.host
    converge(fleet, declared("web", image=app.one))
    taker = host.run("systemd-run", "--unit", "taker", "python3", "-m", "http.server", "--bind", "127.0.0.1", str(PORT))
    assert taker.returncode == 0
    host.shell(f"until ss -ltn | grep -q ':{PORT} '; do sleep 0.1; done")
    assert "`ss -ltnup` shows who has the port" in refused(fleet, web(app.one))
    assert standing(host)["web"] == "running"
    host.run("systemctl", "stop", "taker")
    host.run("docker", "rm", "web.gitops-agent-failed")
    assert fleet.apply().returncode == 0
    assert host.http(PORT) == "one"


@pytest.mark.parametrize("moment", ["web.gitops-agent-new", "web.gitops-agent-old"])
def test_an_agent_that_is_killed_in_a_replacement_is_taken_up_from(fleet: Fleet, app: Images, moment: str) -> None:
    host = fleet.host
    converge(fleet, web(app.one))
    fleet.hold(web(app.slow))
    applying = subprocess.Popen(
        ["nsenter", "-t", str(host.leader), "-a", "--", "agentctl", "apply"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while moment not in standing(host):
        assert applying.poll() is None
        assert time.monotonic() < deadline
    applying.kill()
    applying.wait()
    fleet.hold(web(app.two))
    assert fleet.apply().returncode == 0
    assert standing(host) == {"web": "running"}
    assert host.http(PORT) == "two"


def test_without_an_engine_the_rest_converges_and_containers_follow_when_it_is_back(fleet: Fleet, app: Images) -> None:
    host = fleet.host
    converge(fleet, web(app.one))
    host.run("systemctl", "stop", "docker.service", "docker.socket")
    said = refused(fleet, web(app.two) + "  - file: /srv/proof\n    content: here\n")
    assert "container engine at unix:///var/run/docker.sock" in said
    assert host.read("/srv/proof") == "here"
    host.run("systemctl", "start", "docker.service")
    assert fleet.apply().returncode == 0
    assert host.http(PORT) == "two"
