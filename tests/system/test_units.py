"""Units and timers on booted hosts, held by the installed agent and judged with systemctl and the journal."""
# Over 300 lines because all of it shares one booted host of each release.

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.hosts.machine import Machine
from tests.system.conftest import Fleet

LIB = "/usr/local/lib/systemd/system"
ETC = "/etc/systemd/system"
SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


def declared(kind: str, name: str, **fields: object) -> str:
    """One resource in the format of a repository; JSON is YAML."""
    return f"  - {json.dumps({kind: name, **fields})}\n"


def unit(name: str, **fields: object) -> str:
    return declared("unit", name, **fields)


def show(host: Machine, name: str, *properties: str) -> list[str]:
    """Properties of a unit, in this order."""
    said = host.run("systemctl", "show", f"--property={','.join(properties)}", name).stdout.splitlines()
    found = dict(line.split("=", 1) for line in said)
    return [found[name] for name in properties]


def is_enabled(host: Machine, name: str) -> str:
    return host.run("systemctl", "is-enabled", name, check=False).stdout.strip() or "not-found"


def is_active(host: Machine, name: str) -> str:
    return host.run("systemctl", "is-active", name, check=False).stdout.strip()


def reloads(host: Machine) -> int:
    """How often systemd has read its unit files again."""
    said = host.run("journalctl", "-o", "cat", "_PID=1", "--grep", r"^Reloading\.", check=False).stdout
    return len(said.splitlines())


def said(ended: subprocess.CompletedProcess[str]) -> str:
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module", autouse=True)
def configured(fleet: Fleet) -> None:
    """The same unit is changed by hand again and again here, which is no contest; what fails is not waited for."""
    fleet.configure(contested_after=1000, health_settle="1s", health_timeout="3s")


def converge(fleet: Fleet, resources: str) -> str:
    """Plan, apply; the second pass finds and does nothing. What the plan and the first pass said."""
    fleet.hold(resources)
    planned = fleet.plan()
    applied = fleet.apply("--confirm-removals")
    assert applied.returncode == 0, said(planned) + said(applied)
    again = fleet.apply()
    assert again.returncode == 0, said(again)
    assert "converged" not in again.stdout, again.stdout
    assert fleet.plan().returncode == 0, fleet.plan().stdout
    return said(planned) + said(applied)


def failing(fleet: Fleet, resources: str) -> str:
    """Apply what must fail; what `agentctl status` says of it then."""
    fleet.hold(resources)
    applied = fleet.apply("--confirm-removals")
    assert applied.returncode == 4, said(applied)
    return fleet.host.run("agentctl", "status", check=False).stdout


# Every state of is-enabled, made for real

STATES = {  # how it is made from a unit in LIB; what is-enabled says after enabled: true, enabled: false, masked: true
    "enabled": ("systemctl -q enable $u", "enabled", "disabled", "masked"),
    "enabled-runtime": ("systemctl -q enable --runtime $u", "enabled", "disabled", "masked"),
    "disabled": ("", "enabled", "disabled", "masked"),
    "linked": ("mkdir -p /opt/units; mv $LIB/$u /opt/units; systemctl -q link /opt/units/$u", "enabled", "linked", ""),
    "linked-runtime": (
        "mkdir -p /opt/units; mv $LIB/$u /opt/units; systemctl -q link --runtime /opt/units/$u", "enabled", "linked-runtime", "masked",
    ),
    "static": ("sed -i '/Install/,$d' $LIB/$u", "static", "static", "masked"),
    "indirect": ("sed -i 's/^WantedBy.*/Also=multi-user.target/' $LIB/$u", "indirect", "indirect", "masked"),
    "generated": (
        "mv $LIB/$u /opt; g=/etc/systemd/system-generators; mkdir -p $g; printf '#!/bin/sh\\ncp /opt/%s $1/\\n' $u > $g/$u; chmod +x $g/$u",
        "generated", "generated", "masked",
    ),
    "transient": ("rm $LIB/$u; systemd-run -q --unit=$u sleep infinity", "transient", "transient", ""),
    "masked": ("systemctl -q mask $u", "enabled", "masked", "masked"),
    "masked-runtime": ("systemctl -q mask --runtime $u", "enabled", "masked-runtime", "masked-runtime"),
    "not-found": ("rm $LIB/$u", "", "not-found", "masked"),
}  # fmt: skip
WISHES = ({"enabled": True}, {"enabled": False}, {"masked": True})


def test_each_is_enabled_state_is_brought_to_each_wish(fleet: Fleet) -> None:
    host, resources, expected = fleet.host, "", {}
    script = f"LIB={LIB}; mkdir -p $LIB /opt\n"
    for state, (make, *ends) in STATES.items():
        for number, (wish, end) in enumerate(zip(WISHES, ends, strict=True)):
            name = f"s-{state}-{number}.service"
            script += f"u={name}; printf '{SLEEP.replace(chr(10), chr(92) + 'n')}' > $LIB/$u\n{make}\n"
            if end:
                resources += unit(name, **wish)
                expected[name] = end
    host.shell(script + "systemctl daemon-reload", timeout=300)
    made = {state: is_enabled(host, f"s-{state}-0.service") for state in STATES}
    assert made == {state: state for state in STATES}
    host.shell(f"ln -s s-disabled-2.service {LIB}/alias.service; systemctl daemon-reload")
    notes = converge(fleet, resources)
    assert {name: is_enabled(host, name) for name in expected} == expected
    assert "`enabled: true` does nothing: it is static" in notes


def test_what_cannot_be_is_said(fleet: Fleet) -> None:
    host = fleet.host
    host.shell(f"mkdir -p {LIB}; printf '[Service]\\nRestart=always\\n' > {LIB}/bad.service; systemctl daemon-reload")
    status = failing(fleet, unit("nope.service", enabled=True) + unit("bad.service", active=True))
    assert "unit nope.service does not exist on this host; declare the file or the package that brings it" in status, (
        status
    )
    assert "systemd cannot load bad.service" in status, status
    host.shell(f"rm {LIB}/*; systemctl daemon-reload")


# The text of units

OWN = {"content": SLEEP, "dropins": {"nice.conf": "[Service]\nNice=5\n"}, "enabled": True, "active": True}


def test_a_unit_from_one_resource(fleet: Fleet) -> None:
    host = fleet.host
    before = reloads(host)
    notes = converge(fleet, unit("own.service", **OWN))
    assert "+ExecStart=/bin/sleep infinity" in notes
    assert "+Nice=5" in notes
    assert show(host, "own.service", "ActiveState", "UnitFileState", "Nice", "NeedDaemonReload") == [
        "active",
        "enabled",
        "5",
        "no",
    ]
    assert host.stat(f"{ETC}/own.service") == "644 root root regular file"
    assert host.read(f"{ETC}/own.service").split("\n", 1)[1] == SLEEP
    assert reloads(host) == before + 1, "one reload for both files, and none in a pass with nothing to do"


@pytest.mark.parametrize(
    "spoil",
    [
        "echo '# mine' >> {etc}/own.service",
        "rm {etc}/own.service; systemctl daemon-reload",
        "ln -sf /dev/null {etc}/own.service; systemctl daemon-reload",
        "sed -i s/5/6/ {etc}/own.service.d/nice.conf; systemctl daemon-reload",
        "rm -r {etc}/own.service.d",
        "chmod 600 {etc}/own.service",
        "systemctl stop own.service",
        "systemctl -q disable own.service",
        "systemctl kill -s KILL own.service",
    ],
)
def test_a_change_by_hand_comes_back(fleet: Fleet, spoil: str) -> None:
    host = fleet.host
    host.shell(spoil.format(etc=ETC))
    assert fleet.plan().returncode == 2
    notes = converge(fleet, unit("own.service", **OWN))
    assert "drift: " in notes
    assert show(host, "own.service", "ActiveState", "UnitFileState", "Nice", "NeedDaemonReload") == [
        "active",
        "enabled",
        "5",
        "no",
    ]
    assert host.read(f"{ETC}/own.service").split("\n", 1)[1] == SLEEP
    assert host.run("systemctl", "cat", "own.service").stdout.count("sleep") == 1


def test_a_change_of_its_text_restarts_or_reloads_it(fleet: Fleet) -> None:
    host = fleet.host
    reloading = SLEEP.replace("[Install]", "ExecReload=/bin/touch /run/reloaded\n[Install]")
    before = show(host, "own.service", "InvocationID")
    assert "restart, because its own text changed" in converge(
        fleet, unit("own.service", **{**OWN, "content": reloading})
    )
    after = show(host, "own.service", "InvocationID")
    assert after != before
    chosen = {**OWN, "content": reloading + "# more\n", "on_change": "reload"}
    assert "reload, because its own text changed" in converge(fleet, unit("own.service", **chosen))
    assert show(host, "own.service", "InvocationID") == after
    assert host.exists("/run/reloaded")


def test_an_install_section_that_changed_is_followed(fleet: Fleet) -> None:
    converge(fleet, unit("own.service", **{**OWN, "content": SLEEP.replace("multi-user", "graphical")}))
    assert fleet.host.exists(f"{ETC}/graphical.target.wants/own.service")
    assert not fleet.host.exists(f"{ETC}/multi-user.target.wants/own.service")


def test_what_leaves_git_is_stopped_disabled_and_gone(fleet: Fleet) -> None:
    host, before = fleet.host, reloads(fleet.host)
    converge(fleet, unit("own.service", **{**OWN, "dropins": {}}))
    assert not host.exists(f"{ETC}/own.service.d")
    converge(fleet, declared("file", "/srv/nothing", content=""))
    assert host.run("systemctl", "show", "-p", "LoadState", "--value", "own.service").stdout.strip() == "not-found"
    assert host.shell(f"find {ETC} -name 'own*'") == ""
    assert reloads(host) == before + 2


def test_units_of_every_type(fleet: Fleet) -> None:
    types = {
        "kind.socket": "[Socket]\nListenStream=/run/kind.sock\n[Install]\nWantedBy=sockets.target\n",
        "kind.timer": "[Timer]\nOnCalendar=yearly\n[Install]\nWantedBy=timers.target\n",
        "kind.path": "[Path]\nPathExists=/run/nowhere\n[Install]\nWantedBy=multi-user.target\n",
        "srv-kind.mount": "[Mount]\nWhat=tmpfs\nWhere=/srv/kind\nType=tmpfs\n[Install]\nWantedBy=multi-user.target\n",
        "kind.target": "[Install]\nWantedBy=multi-user.target\n",
        "kind.slice": "[Slice]\nTasksMax=100\n[Install]\nWantedBy=multi-user.target\n",
    }
    resources = unit("kind.service", content=SLEEP) + unit("kind@.service", content=SLEEP)
    resources += "".join(unit(name, content=text, enabled=True, active=True) for name, text in types.items())
    resources += unit("kind@one.service", enabled=True, active=True)
    converge(fleet, resources)
    for name in (*types, "kind@one.service"):
        assert (is_active(fleet.host, name), is_enabled(fleet.host, name)) == ("active", "enabled"), name
    assert (
        is_enabled(fleet.host, "kind@.service") == "indirect" or is_enabled(fleet.host, "kind@.service") == "disabled"
    )
    converge(fleet, declared("file", "/srv/nothing", content=""))
    assert fleet.host.shell(f"find {ETC} -name '*kind*'") == ""
    assert [name for name in types if is_active(fleet.host, name) == "active"] == []


# What goes wrong


def test_a_unit_that_fails_says_why_in_status(fleet: Fleet) -> None:
    text = "[Service]\nExecStart=/bin/sh -c 'echo no such port >&2; exit 3'\n"
    status = failing(fleet, unit("fails.service", content=text, active=True))
    assert "start of fails.service failed: exit status 3; its journal ends:" in status
    assert "  no such port\n" in status
    looping = unit("loops.service", content=text + "Restart=always\nRestartSec=200ms\n", active=True)
    status = failing(fleet, looping)
    assert "start of loops.service failed: " in status, status
    limited = unit("limit.service", content=text + "Restart=always\nRestartSec=1ms\n", active=True)
    status = failing(fleet, limited)
    assert "and systemd has started it again " in status, status
    assert is_active(fleet.host, "limit.service") == "failed"
    waiting = unit("waits.service", content=text + "Restart=always\nRestartSec=1h\n", active=True)
    for _ in range(2):
        assert "start of waits.service failed: exit status 3" in failing(fleet, waiting)
    converge(fleet, unit("waits.service", content=SLEEP, active=True))


def test_what_ends_or_is_skipped_is_not_run_again_and_again(fleet: Fleet) -> None:
    host = fleet.host
    count = "ExecStart=/bin/sh -c 'echo run >> /run/%n'\n"
    install = "[Install]\nWantedBy=multi-user.target\n"
    resources = (
        unit("once.service", content=f"[Service]\nType=oneshot\n{count}{install}", enabled=True, active=True)
        + unit("stays.service", content=f"[Service]\nType=oneshot\nRemainAfterExit=yes\n{count}", active=True)
        + unit(
            "skips.service",
            content=f"[Unit]\nConditionPathExists=/run/go\n[Service]\n{SLEEP.split(chr(10))[1]}\n",
            active=True,
        )
    )
    notes = converge(fleet, resources)
    assert "unit:skips.service: it does not run, for a condition in its unit file is not met" in notes
    for _ in range(2):
        fleet.apply()
    assert host.read("/run/once.service") == host.read("/run/stays.service") == "run\n"
    assert is_active(host, "skips.service") == "inactive"
    host.shell("touch /run/go")
    converge(fleet, resources)
    assert is_active(host, "skips.service") == "active"


def test_a_slow_start_is_waited_for_and_one_that_is_too_slow_is_named(fleet: Fleet) -> None:
    slow = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStartPre=/bin/sleep {}\nExecStart=/bin/true\n"
    fleet.hold(unit("slow.service", content=slow.format(3)))
    assert fleet.apply("--confirm-removals").returncode == 0
    fleet.host.run("systemctl", "start", "--no-block", "slow.service")
    assert is_active(fleet.host, "slow.service") == "activating"
    converge(fleet, unit("slow.service", content=slow.format(3), active=True))
    status = failing(fleet, unit("slow.service", content=slow.format(60), active=True, timeout=1))
    assert "slow.service failed: it is still activating (start-pre)" in status, status
    later = "[Unit]\nAfter=slow.service\n" + SLEEP
    waiting = unit("slow.service", content=slow.format(60), timeout=1) + unit(
        "later.service", content=later, active=True, timeout=1
    )
    assert "start of later.service failed: its job still waits for slow.service" in failing(fleet, waiting)
    fleet.host.run("systemctl", "stop", "slow.service", "later.service")


def test_a_reload_that_somebody_else_owes_is_made_once(fleet: Fleet) -> None:
    host = fleet.host
    host.shell(
        f"mkdir -p {LIB}; printf '{SLEEP.replace(chr(10), chr(92) + 'n')}' | tee {LIB}/v1.service > {LIB}/v2.service"
    )
    resources = unit("v1.service", enabled=True, active=True) + unit("v2.service", active=True)
    converge(fleet, resources)
    invocation, before = show(host, "v1.service", "InvocationID"), reloads(host)
    time.sleep(1.1)  # systemd tells changes by whole seconds
    host.shell(
        f"echo '# newer' >> {LIB}/v1.service; mkdir {ETC}/v2.service.d; printf '[Service]\\nNice=3\\n' > {ETC}/v2.service.d/a.conf"
    )
    converge(fleet, resources)
    assert reloads(host) == before + 1
    assert show(host, "v2.service", "NeedDaemonReload", "Nice") == ["no", "3"]
    assert show(host, "v1.service", "InvocationID", "NeedDaemonReload") == [*invocation, "no"]


# Restarts that are owed


def owing(text: str, **fields: object) -> str:
    """A file, something slow after it, and a unit that restarts with the file."""
    slow = f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 3\n# {text}\n"
    keep = (
        "[Service]\nExecStartPre=/bin/sh -c 'test ! -e /run/broken'\nExecStartPre=/bin/cp /srv/conf /run/conf\n"
        + SLEEP[10:]
    )
    return (
        declared("file", "/srv/conf", content=text)
        + unit("between.service", content=slow, active=True)
        + unit("web.service", content=keep, restart_on=["file:/srv/conf"], **{"active": True, **fields})
    )


def test_a_restart_survives_kill_9_between_the_change_and_it(fleet: Fleet) -> None:
    host = fleet.host
    converge(fleet, owing("one"))
    fleet.hold(owing("two"))
    host.shell("setsid agentctl apply >/dev/null 2>&1 & echo $! > /run/pid; "
               "until grep -q two /srv/conf; do sleep 0.05; done; sleep 0.3; kill -9 $(cat /run/pid)")  # fmt: skip
    assert (host.read("/srv/conf"), host.read("/run/conf")) == ("two", "one")
    assert "restart, because file:/srv/conf changed" in said(fleet.apply())
    assert host.read("/run/conf") == "two"
    converge(fleet, owing("two"))


@pytest.mark.parametrize("active", [True, None])
def test_a_restart_that_failed_is_made_up_for(fleet: Fleet, active: bool | None) -> None:
    host = fleet.host
    fields = {} if active else {"active": None, "enabled": True}
    resources = [owing(text, **{k: v for k, v in fields.items() if v is not None}) for text in ("three", "four")]
    if not active:
        resources = [
            text.replace(', "active": true}', "}").replace('"enabled": true, ', '"enabled": true, ')
            for text in resources
        ]
    converge(fleet, resources[0])
    host.shell("touch /run/broken")
    assert "web.service" in failing(fleet, resources[1])
    assert fleet.apply().returncode == 4, "what failed is said again"
    host.shell("rm /run/broken; systemctl reset-failed web.service; systemctl start web.service")
    fleet.apply()
    assert host.read("/run/conf") == "four"
    converge(fleet, resources[1])


def test_what_is_left_to_a_person_is_said_until_it_is_done(fleet: Fleet) -> None:
    host = fleet.host
    resources = "".join(
        [declared("file", "/srv/bus", content="{}"), unit("dbus.service", restart_on=["file:/srv/bus"]),
         unit("mine.service", content=SLEEP, active=True, restart_on=["file:/srv/bus"], on_change="report")]
    )  # fmt: skip
    converge(fleet, resources.replace("{}", "a"))
    before = show(host, "dbus.service", "InvocationID") + show(host, "mine.service", "InvocationID")
    time.sleep(1.1)
    notes = converge(fleet, resources.replace("{}", "b"))
    assert "restart, because file:/srv/bus changes, is left to you" in notes
    assert "owed: unit:mine.service: restart, because file:/srv/bus changed; left to you by" in notes
    status = json.loads(host.run("agentctl", "status", "--json", check=False).stdout)
    assert [item["id"] for item in status["owed"]] == ["unit:dbus.service", "unit:mine.service"]
    assert json.loads(host.read("/run/gitops-agent/status.json"))["verdict"] == "WARNING"
    assert show(host, "dbus.service", "InvocationID") + show(host, "mine.service", "InvocationID") == before
    time.sleep(1.1)
    host.run("systemctl", "restart", "mine.service")
    fleet.apply()
    status = json.loads(host.run("agentctl", "status", "--json", check=False).stdout)
    assert [item["id"] for item in status["owed"]] == ["unit:dbus.service"]
