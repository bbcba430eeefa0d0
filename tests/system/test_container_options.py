"""Every option of containers on real engines: made, changed and taken away, and judged by the engine's own inspection."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.system.conftest import HELD_BY, ContainerHost
from tests.system.containers import converge, declared

IMAGE_COMMAND = ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"]
HOST = "{{{{json .HostConfig.{}}}}}"
CONFIG = "{{{{json .Config.{}}}}}"
MEGABYTE = 1 << 20


class Option(NamedTuple):
    container: str
    name: str
    template: str
    values: tuple[object, object]  # in Git, at first and then
    shown: tuple[object, object, object]  # by the engine: at first, then, and when it is gone; ... for whatever


def sleeping(seconds: int) -> list[str]:
    return ["sleep", str(seconds)]


OPTIONS = [
    Option("proc", "command", CONFIG.format("Cmd"), (sleeping(1000), sleeping(2000)),
           (sleeping(1000), sleeping(2000), IMAGE_COMMAND)),
    Option("proc", "user", CONFIG.format("User"), ("1000:1000", "0"), ("1000:1000", "0", "")),
    Option("proc", "workdir", CONFIG.format("WorkingDir"), ("/www", "/tmp"), ("/www", "/tmp", ...)),
    Option("kept", "labels", '{{json (index .Config.Labels "team")}}', ({"team": "a b"}, {"team": "b"}), ("a b", "b", "")),
    Option("kept", "stop_signal", CONFIG.format("StopSignal"), ("INT", "SIGKILL"), ("SIGINT", "SIGKILL", ...)),
    Option("proc", "group_add", HOST.format("GroupAdd"), (["2000"], ["2001", "2000"]), (["2000"], ["2000", "2001"], [])),
    Option("proc", "entrypoint", CONFIG.format("Entrypoint"), (["/bin/busybox"], ["/bin/env"]),
           (["/bin/busybox"], ["/bin/env"], [])),
    Option("kept", "hostname", CONFIG.format("Hostname"), ("alpha", "beta"), ("alpha", "beta", ...)),
    Option("kept", "restart", '{{json (or .HostConfig.RestartPolicy.Name "no")}}', ("on-failure:3", "always"),
           ("on-failure", "always", "no")),
    Option("net", "dns", HOST.format("Dns"), (["10.0.0.53"], ["10.0.0.54", "10.0.0.53"]),
           (["10.0.0.53"], ["10.0.0.54", "10.0.0.53"], [])),
    Option("net", "dns_search", HOST.format("DnsSearch"), (["example.com"], ["example.org"]),
           (["example.com"], ["example.org"], [])),
    Option("net", "extra_hosts", HOST.format("ExtraHosts"), ({"db": "10.0.0.5"}, ["db:10.0.0.6"]),
           (["db:10.0.0.5"], ["db:10.0.0.6"], [])),
    Option("net", "sysctls", HOST.format("Sysctls"), ({"net.core.somaxconn": 1000}, ["net.core.somaxconn=2000"]), (..., ..., ...)),
    Option("safe", "cap_add", HOST.format("CapAdd"), (["SYS_TIME"], ["CAP_NET_ADMIN", "sys_time"]),
           ({"SYS_TIME"}, {"NET_ADMIN", "SYS_TIME"}, set())),
    Option("safe", "cap_drop", HOST.format("CapDrop"), (["NET_RAW"], ["MKNOD"]), (..., ..., ...)),
    Option("safe", "security_opt", HOST.format("SecurityOpt"), (["no-new-privileges"], ["seccomp=unconfined"]),
           (["no-new-privileges"], ["seccomp=unconfined"], [])),
    Option("safe", "read_only", HOST.format("ReadonlyRootfs"), (True, False), (True, False, False)),
    Option("safe", "devices", "{{json (len .HostConfig.Devices)}}", (["/dev/null:/dev/nothing:r"], ["/dev/null:/dev/n", "/dev/zero:/dev/z"]),
           (1, 2, 0)),
    Option("safe", "ulimits", HOST.format("Ulimits"), ({"nofile": 512}, {"nofile": {"soft": 256, "hard": 512}}), (..., ..., ...)),
    Option("safe", "shm_size", HOST.format("ShmSize"), ("1m", "2m"), (MEGABYTE, 2 * MEGABYTE, ...)),
    Option("safe", "init", HOST.format("Init"), (True, False), (..., ..., ...)),
    Option("kept", "privileged", HOST.format("Privileged"), (True, False), (True, False, False)),
    Option("kept", "logging", "{{json .HostConfig.LogConfig.Type}}",
           ({"driver": "none"}, {"driver": "journald", "options": {"tag": "x"}}), ("none", "journald", ...)),
    Option("lone", "network_mode", HOST.format("NetworkMode"), ("backend", "none"), (..., "none", ...)),
    Option("kept", "stop_timeout", CONFIG.format("StopTimeout"), (0, 1), (0, 1, ...)),
]  # fmt: skip

INSIDE: list[tuple[str, str, tuple[object, object], tuple[str, ...], tuple[str, str, str]]] = [
    ("proc", "env", ({"A": "1", "B": 'x "$y" %z'}, {"A": "2"}), ("sh", "-c", "echo $A,$B"), ('1,x "$y" %z', "2,", ",")),
    ("proc", "secrets", ({"key": "hush"}, {"key": "louder"}), ("cat", "/run/secrets/key"), ("hush", "louder", "")),
    (
        "net",
        "tmpfs",
        (["/cache:size=64k"], ["/temp"]),
        ("sh", "-c", "grep -o ' /cache tmpfs' /proc/mounts"),
        (" /cache tmpfs", "", ""),
    ),
    (
        "net",
        "volumes",
        (["data:/data", "/srv:/srv:ro"], ["data:/other"]),
        ("sh", "-c", "ls -d /data /other /srv 2>/dev/null || true"),
        ("/data\n/srv", "/other", ""),
    ),
    (
        "net",
        "sysctls",
        ({"net.core.somaxconn": 1000}, ["net.core.somaxconn=2000"]),
        ("cat", "/proc/sys/net/core/somaxconn"),
        ("1000", "2000", "4096"),
    ),
    (
        "safe",
        "cap_drop",
        (["NET_RAW"], ["ALL"]),
        ("sh", "-c", "grep CapBnd /proc/self/status"),
        ("", "CapBnd:\t0000000002001000", ""),
    ),
    (
        "safe",
        "ulimits",
        (
            {"memlock": 1 << 19},
            {"memlock": {"soft": 1 << 18, "hard": 1 << 19}},
        ),  # Go programs raise nofile by themselves
        ("sh", "-c", "ulimit -Sl"),
        ("512", "256", ""),
    ),
    ("safe", "init", (True, False), ("sh", "-c", "cat /proc/1/comm"), ("", "httpd", "httpd")),
]
"""What the running container itself is asked: container, option, values in Git, question, answers; "" for whatever."""


def wanted(image: str, step: int, *, quadlet: bool) -> str:
    """Every container of the tables with its options of this step; at the last, with none."""
    fields: dict[str, dict[str, Any]] = {option.container: {} for option in OPTIONS}
    if step < 2:
        for container, name, values in [(o.container, o.name, o.values) for o in OPTIONS] + [row[:3] for row in INSIDE]:
            fields[container][name] = values[step]
    kept = fields["kept"]
    kept |= {"stop_timeout": kept.get("stop_timeout", 0)} if quadlet else {"ensure": "stopped"}
    if quadlet:
        kept.pop("privileged", None)  # it would have to run, and the machine itself lacks some capabilities
    return "".join(declared(name, image=image, **given) for name, given in fields.items())


def test_every_option_is_made_changed_and_taken_away(on: ContainerHost) -> None:
    host, engine = on.fleet.host, on.engine
    if "backend" not in engine.run("network", "ls", "--format", "{{.Name}}").split():
        engine.run("network", "create", "backend")
    made: list[set[str]] = []
    for step in range(3):
        converge(on.fleet, wanted(on.app.one, step, quadlet=on.held_by == "quadlet"), engine)
        for option in OPTIONS:
            shown(on, option, step)
        for container, name, _, question, answers in INSIDE:
            if answers[step]:
                said = engine.run("exec", container, *question).rstrip("\n")
                assert said == answers[step], (container, name, step)
        made.append({engine.inspect(option.container)["Id"] for option in OPTIONS})
    assert made[0].isdisjoint(made[1])
    assert made[1].isdisjoint(made[2])
    assert "hush" not in host.run("grep", "-r", "hush", "/etc/containers", "/var/lib/gitops-agent", check=False).stdout


def shown(on: ContainerHost, option: Option, step: int) -> None:
    expected = option.shown[step]
    if expected is ... or (on.held_by == "quadlet" and option.name in ("restart", "privileged")):
        return
    found = on.engine.inspect(option.container, option.template)
    if isinstance(expected, set):
        found = {name.removeprefix("CAP_") for name in found or ()}
    if option.name == "entrypoint" and isinstance(found, str):
        found = [found] if found else []
    assert (found or type(expected)()) == expected, (option.name, step)


def test_variables_come_from_templates_and_those_given_outright_win(on: ContainerHost) -> None:
    def held(template: str, **env: str) -> dict[str, str]:
        wanted = declared("web", image=on.app.one, env_file="web.env.j2", env=env)
        return {
            "fleet.yaml": "format: 1\n",
            "hosts/web-01.yaml": f"vars: {{name: x y}}\nresources:\n{wanted}",
            "templates/web.env.j2": template,
        }

    def said() -> list[str]:
        applied = on.fleet.apply()
        assert applied.returncode == 0, applied.stdout
        assert on.fleet.plan().returncode == 0
        return [line for line in on.engine.run("exec", "web", "env").splitlines() if line[:2] in ("A=", "B=", "C=")]

    on.fleet.repository.commit(held("# ours\nA={{ vars.name }}\nB=file\n", B="outright", C="3"))
    assert sorted(said()) == ["A=x y", "B=outright", "C=3"]
    made = on.engine.inspect("web")["Id"]
    on.fleet.repository.commit(held("A=$HOME %h\n", C="3"))
    assert sorted(said()) == ["A=$HOME %h", "C=3"]
    assert on.engine.inspect("web")["Id"] != made


@pytest.mark.parametrize("on", [held for held in HELD_BY if held[0] == "trixie"], indirect=True, ids="-".join)
def test_a_privileged_container_runs_with_all_that_the_host_has(on: ContainerHost) -> None:
    """Not on Debian 12, whose runc asks for capabilities that the machine of the tests may not have itself."""
    on.converge(declared("mighty", image=on.app.one, privileged=True))
    status = on.engine.run("exec", "mighty", "cat", "/proc/1/status")
    assert on.fleet.host.shell("grep CapBnd /proc/1/status") in status
