"""One container's life and its faults on booted hosts, judged with the engine's own command line and HTTP.

The engine holds them here, Docker on Debian 12 and Podman on Debian 13; what systemd holds is in test_quadlet.py.
"""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.system.conftest import ContainerHost
from tests.system.containers import PORT, Client, declared, web

HELD_BY = [("bookworm", "docker"), ("trixie", "podman")]
pytestmark = pytest.mark.parametrize("on", HELD_BY, indirect=True, ids="-".join)
FAILED = "web.gitops-agent-failed"


def test_an_image_is_pulled_by_tag_and_by_digest(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    assert on.http() == "one"
    on.engine.run("image", "rm", "-f", on.app.two, check=False)
    on.converge(web(on.app.two_digest))
    assert on.http() == "two"
    assert on.app.two_digest in (on.engine.inspect("web")["Config"]["Image"], on.engine.inspect("web").get("ImageName"))
    assert on.engine.standing() == {"web": "running"}, "what left Git is gone"


def test_the_plan_says_what_changes_and_no_secret_is_kept_or_said(on: ContainerHost) -> None:
    on.converge(web(on.app.two))
    on.fleet.hold(web(on.app.one, env={"TOKEN": "correct-horse"}))
    planned = on.fleet.plan().stdout
    assert f"image {on.app.two} -> {on.app.one}" in planned
    assert "env" in planned
    applied = on.fleet.apply("--json").stdout
    assert on.http() == "one"
    assert "TOKEN=correct-horse" in on.engine.inspect("web")["Config"]["Env"]
    journal = on.fleet.host.run("journalctl", "-o", "export").stdout
    assert "correct-horse" not in planned + applied + journal
    assert (
        on.fleet.host.run("grep", "-c", "correct-horse", "/var/lib/gitops-agent/state.db", check=False).returncode == 1
    )
    assert "correct-horse" not in json.dumps(on.engine.inspect("web")["Config"]["Labels"])


def test_harm_done_by_hand_is_repaired(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    for harm in ("rm -f", "stop -t0", "pause", "kill"):
        on.engine.run(*harm.split(), "web")
        assert on.fleet.plan().returncode == 2, harm
        assert on.fleet.apply().returncode == 0, harm
        assert on.http() == "one", harm


def test_many_are_watched_together_and_each_fails_alone(on: ContainerHost) -> None:
    names = [f"many-{number}" for number in range(4)]
    on.converge("".join(declared(name, image=on.app.one) for name in names))
    on.engine.run("stop", "-t0", *names)
    dying = declared("dying", image=on.app.one, command=["sh", "-c", "echo no database; sleep 0.3; exit 3"])
    said = on.refused(dying + "".join(declared(name, image=on.app.one) for name in names))
    assert "its last lines: no database" in said
    assert {on.engine.standing()[name] for name in names} == {"running"}
    on.converge("  - {container: dying, ensure: absent}\n")


def test_stopped_and_absent(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    made = on.engine.inspect("web")["Id"]
    on.converge(web(on.app.one, ensure="stopped"))
    assert on.engine.standing() == {"web": "exited"}
    assert on.engine.inspect("web")["Id"] == made
    on.converge("  - {container: web, ensure: absent}\n")
    assert on.engine.standing() == {}


def test_a_changed_file_restarts_the_container_that_asked_for_it(on: ContainerHost) -> None:
    def resources(text: str) -> str:
        mounted = web(on.app.one, volumes=["/srv/conf:/www:ro"], restart_on=["file:/srv/conf/*"])
        file = {"file": "/srv/conf/index.html", "content": text}
        return f'{mounted}  - {json.dumps(file)}\n  - directory: /srv/conf\n    mode: "0755"\n'

    on.converge(resources("first"))
    assert on.http() == "first"
    before = on.engine.inspect("web")
    on.converge(resources("second"))
    assert on.http() == "second"
    after = on.engine.inspect("web")
    assert after["Id"] == before["Id"]
    assert after["State"]["StartedAt"] > before["State"]["StartedAt"]


def test_one_that_shares_a_network_follows_the_other(on: ContainerHost) -> None:
    def resources(image: str) -> str:
        beside = declared("beside", image=on.app.one, network_mode="container:web", command=["sleep", "1000"])
        return beside + web(image)

    for image, text in ((on.app.one, "one"), (on.app.two, "two")):
        on.converge(resources(image))
        assert on.engine.run("exec", "beside", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/") == text


def test_secrets_are_written_again_when_they_are_gone_as_after_a_reboot(on: ContainerHost) -> None:
    host, files = on.fleet.host, "/run/gitops-agent/secrets"
    on.converge(declared("web", image=on.app.one, secrets={"key": "hush"}))
    (held,) = host.shell(f"find {files} -type f").split()
    assert host.stat(held) == "444 root root regular file"
    assert host.run("runuser", "-u", "nobody", "--", "cat", held, check=False).returncode != 0
    on.engine.run("stop", "-t0", "web")
    host.run("rm", "-r", files)
    assert on.fleet.apply().returncode == 0
    assert on.engine.run("exec", "web", "cat", "/run/secrets/key") == "hush"
    on.converge("  - {container: web, ensure: absent}\n")
    assert host.shell(f"find {files} -type f") == ""


# Faults


def test_a_strangers_container_is_left_unless_it_is_to_be_adopted(on: ContainerHost) -> None:
    on.engine.run("run", "-d", "--name", "theirs", "-p", f"127.0.0.1:{PORT}:8080", on.app.one)
    made = on.engine.inspect("theirs")["Id"]
    ours = {"image": on.app.two, "ports": [f"127.0.0.1:{PORT}:8080"]}
    said = on.refused(declared("theirs", **ours))
    assert f"made by somebody else; remove it (`{on.engine.program} rm -f theirs`)" in said
    assert on.engine.inspect("theirs")["Id"] == made
    on.converge(declared("theirs", adopt=True, **ours))
    assert on.http() == "two"
    assert on.engine.standing() == {"theirs": "running"}
    on.converge("  - {container: theirs, ensure: absent}\n")


def test_an_image_that_cannot_be_pulled_leaves_the_old_one_running(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    before = on.engine.inspect("web")
    nobody = "127.0.0.1:5999/app:one"
    for image, reason in ((on.app.one + "-typo", "check the image's name and tag"), (nobody, "reaches the registry")):
        said = on.refused(web(image))
        assert f"image {image} cannot be pulled: " in said
        assert reason in said
    assert "`pull: never` keeps it from being pulled" in on.refused(web(nobody, pull="never"))
    after = on.engine.inspect("web")
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert on.engine.standing() == {"web": "running"}


def test_a_new_version_that_is_unhealthy_gives_way_to_the_old_one_once(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    made = on.engine.inspect("web")["Id"]
    with Client(on.fleet.host) as client:
        assert "container web is unhealthy" in on.refused(web(on.app.ill))
    assert client.answers <= {"one", "ill"}
    assert on.engine.inspect("web")["Id"] == made
    before = on.engine.inspect("web")["State"]["StartedAt"]
    assert "this very spec failed" in on.fleet.apply().stdout
    assert on.engine.inspect("web")["State"]["StartedAt"] == before, "the old one was left alone the second time"
    assert on.http() == "one"
    on.converge(web(on.app.two))
    assert on.engine.standing() == {"web": "running"}
    assert on.http() == "two"


def test_one_that_dies_as_if_it_were_stopped_is_held_back_and_one_that_was_stopped_is_not(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    for status in (137, 143):
        assert "the one before it was put back" in on.refused(web(on.app.two, command=["sh", "-c", f"exit {status}"]))
        assert "this very spec failed" in on.fleet.apply().stdout, status
    on.fleet.hold(web(on.app.slow))
    with subprocess.Popen(on.fleet.host.command("agentctl", "apply"), stdout=subprocess.PIPE, text=True) as applying:
        while (on.engine.standing().get("web"), "web.gitops-agent-old" in on.engine.standing()) != ("running", True):
            assert applying.poll() is None
        on.engine.run("kill", "web")
        said, _ = applying.communicate(timeout=120)
    assert "the one before it was put back" in said
    assert on.http() == "one"
    assert on.fleet.apply().returncode == 0, "it had not failed"
    assert on.http() == "slow"


def test_each_way_to_fail_is_said_and_the_old_one_is_back(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    made = on.engine.inspect("web")["Id"]
    failures = (
        ({"command": ["sh", "-c", "echo cannot find my database; exit 3"]}, "its last lines: cannot find my database"),
        ({"command": ["sh", "-c", "exit 3"], "restart": "always"}, "container web "),
        ({"command": ["serve"]}, "check command and entrypoint"),
        ({"ports": [], "network_mode": "nowhere"}, "network create"),
        ({"volumes": ["/nowhere:/srv"]}, "make what is mounted"),
    )
    for fields, reason in failures:
        said = on.refused(declared("web", **{"image": on.app.two, "ports": [f"127.0.0.1:{PORT}:8080"], **fields}))
        assert reason in said
        assert on.engine.inspect("web")["Id"] == made, reason
        assert on.http() == "one", reason


def test_a_replacement_costs_a_client_no_more_than_the_swap(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    with Client(on.fleet.host) as client:
        on.converge(web(on.app.two))
    assert client.answers == {"one", "two"}
    assert client.longest_gap < 10


def test_a_port_that_is_taken_is_said(on: ContainerHost) -> None:
    host = on.fleet.host
    on.converge(declared("web", image=on.app.one))
    host.run("systemd-run", "--unit", "taker", "python3", "-m", "http.server", "--bind", "127.0.0.1", str(PORT))
    host.shell(f"until ss -ltn | grep -q ':{PORT} '; do sleep 0.1; done")
    assert "`ss -ltnup` shows who has the port" in on.refused(web(on.app.one))
    assert on.engine.standing()["web"] == "running"
    host.run("systemctl", "stop", "taker")
    on.engine.run("rm", FAILED)
    assert on.fleet.apply().returncode == 0
    assert on.http() == "one"


@pytest.mark.parametrize("moment", ["web.gitops-agent-new", "web.gitops-agent-old"])
def test_an_agent_that_is_killed_in_a_replacement_is_taken_up_from(on: ContainerHost, moment: str) -> None:
    on.converge(web(on.app.one))
    on.fleet.hold(web(on.app.slow))
    applying = subprocess.Popen(
        on.fleet.host.command("agentctl", "apply"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while moment not in on.engine.standing():
        assert applying.poll() is None
        assert time.monotonic() < deadline
    applying.kill()
    applying.wait()
    on.fleet.hold(web(on.app.two))
    assert on.fleet.apply().returncode == 0
    assert on.engine.standing() == {"web": "running"}
    assert on.http() == "two"


def test_an_engine_that_restarts_in_the_middle_of_a_pass_is_taken_up_from(on: ContainerHost) -> None:
    on.converge(web(on.app.one))
    on.fleet.hold(web(on.app.slow) + "  - file: /srv/proof\n    content: restarted\n")
    service = f"{on.engine.program}.service"
    with subprocess.Popen(on.fleet.host.command("agentctl", "apply"), stdout=subprocess.PIPE, text=True) as applying:
        while "web.gitops-agent-old" not in on.engine.standing() and applying.poll() is None:
            time.sleep(0.02)
        on.fleet.host.run("systemctl", "restart", service)
        said, _ = applying.communicate(timeout=120)
    assert on.fleet.host.read("/srv/proof") == "restarted", said
    deadline = time.monotonic() + 60
    while (again := on.fleet.apply()).returncode != 0:
        assert time.monotonic() < deadline, again.stdout
    assert on.engine.standing() == {"web": "running"}
    assert on.http() == "slow"


def test_without_an_engine_the_rest_converges_and_containers_follow_when_it_is_back(on: ContainerHost) -> None:
    host = on.fleet.host
    on.converge(web(on.app.one))
    units = (
        ("docker.service", "docker.socket") if on.engine.program == "docker" else ("podman.service", "podman.socket")
    )
    host.run("systemctl", "stop", *units)
    said = on.refused(web(on.app.two) + "  - file: /srv/proof\n    content: here\n")
    assert "container engine at unix://" in said
    assert "container:web" in host.run("agentctl", "status", check=False).stdout
    assert host.read("/srv/proof") == "here"
    host.run("systemctl", "start", units[-1])
    assert on.fleet.apply().returncode == 0
    assert on.http() == "two"
