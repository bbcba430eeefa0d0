"""Units and timers on booted hosts, held by the installed agent and judged with systemctl and the journal."""
# Over 500 lines because all of it shares one booted host of each release.

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
    """What is-enabled says; of a unit file that is no good it fails, and the list of all says why."""
    said = host.run("systemctl", "is-enabled", name, check=False).stdout.strip()
    listed = host.run("systemctl", "list-unit-files", "--no-legend", name, check=False).stdout.split()
    return said or (listed[1] if listed else "not-found")


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
    "bad": ("printf '[Service]\nExecStart=/bin/true\n[Install\n' > $LIB/$u", "", "bad", "masked"),
    "alias": (
        "mv $LIB/$u $LIB/of-$u; echo Alias=$u >> $LIB/of-$u; systemctl -q enable of-$u",
        "alias", "not-found", "",
    ),
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
    assert [is_enabled(host, f"of-s-alias-{number}.service") for number in range(2)] == ["enabled", "disabled"]
    assert "`enabled: true` does nothing: it is static" in notes


def test_what_cannot_be_is_said(fleet: Fleet) -> None:
    host = fleet.host
    host.shell(f"mkdir -p {LIB}; printf '[Service]\\nRestart=always\\n' > {LIB}/bad.service; systemctl daemon-reload")
    host.shell(f"printf '[Service\n' > {LIB}/broken.service; systemctl daemon-reload")
    resources = unit("nope.service", enabled=True) + unit("bad.service", active=True)
    host.shell(
        f"printf '{SLEEP.replace(chr(10), chr(92) + 'n')}Alias=other.service\\n' > {LIB}/one.service; systemctl -q enable one"
    )
    resources += unit("broken.service", enabled=True) + unit("other.service", masked=True)
    status = failing(fleet, resources)
    assert "other.service is another name of one.service; declare that one as masked" in status, status
    assert is_enabled(host, "other.service") == "alias"
    assert "systemd cannot load broken.service: " in status, status
    assert "unit nope.service does not exist on this host; declare the file or the package that brings it" in status, (
        status
    )
    assert "systemd cannot load bad.service" in status, status
    host.shell(f"systemctl -q disable one; rm {LIB}/*; systemctl daemon-reload")


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


CHOICES = {  # whether what runs is started again, or reloads, and whether one that has failed is an error
    "restart": (True, False, True),
    "try-restart": (True, False, False),
    "reload-or-restart": (False, True, True),
    "try-reload-or-restart": (False, True, False),
    "reload": (False, True, True),
    "report": (False, False, False),
}


def test_each_choice_of_what_a_change_does(fleet: Fleet) -> None:
    host = fleet.host

    def resources(note: str, *states: str) -> str:
        """Units for each choice, of which the text has a note in it."""
        text = SLEEP.replace("[Install]", f"ExecReload=/bin/sh -c 'echo {note} >> /run/%n'\n[Install]")
        names = [(f"{choice}-{state}.service", choice) for choice in CHOICES for state in states]
        return "".join(unit(name, content=text, on_change=choice) for name, choice in names)

    converge(fleet, resources("one", "runs", "stopped", "failed"))
    host.shell("for u in " + " ".join(CHOICES) + "; do systemctl start $u-runs $u-failed; done")
    before = {choice: show(host, f"{choice}-runs.service", "InvocationID") for choice in CHOICES}
    time.sleep(1.1)
    converge(fleet, resources("two", "runs", "stopped", "failed").replace("-failed", "-later"))
    for choice, (restarts, reloads, _) in CHOICES.items():
        assert (show(host, f"{choice}-runs.service", "InvocationID") != before[choice]) is restarts, choice
        assert host.exists(f"/run/{choice}-runs.service") is reloads, choice
        assert is_active(host, f"{choice}-stopped.service") == "inactive", choice
    host.shell("for u in " + " ".join(CHOICES) + "; do systemctl start $u-later; systemctl kill -s KILL $u-later; done")
    fleet.hold(resources("three", "later"))
    applied = fleet.apply("--confirm-removals")
    assert applied.returncode == 4, said(applied)
    for choice, (*_, is_error) in CHOICES.items():
        message = f"{choice}-later.service has failed and is not started by a re"
        assert (message in said(applied)) is is_error, (choice, said(applied))
        assert is_active(host, f"{choice}-later.service") == "failed", choice
    host.shell("systemctl reset-failed")
    converge(fleet, resources("three", "later"))


def test_instances_follow_the_text_of_their_template(fleet: Fleet) -> None:
    host, names = fleet.host, ("many@one.service", "many@two.service", "many@off.service")

    def resources(nice: int, sleep: str = "infinity") -> str:
        dropins = {"nice.conf": f"[Service]\nNice={nice}\n"}
        template = unit("many@.service", content=SLEEP.replace("infinity", sleep), dropins=dropins)
        return template + unit(names[0], active=True) + unit(names[1], enabled=True) + unit(names[2], masked=False)

    converge(fleet, resources(1))
    host.run("systemctl", "start", names[1])
    before = [show(host, name, "InvocationID") for name in names[:2]]
    assert "restart, because unit:many@.service change" in converge(fleet, resources(2))
    between = [show(host, name, "InvocationID") for name in names[:2]]
    assert not [one for one, other in zip(before, between, strict=True) if one == other]
    assert [show(host, name, "Nice") for name in names[:2]] == [["2"], ["2"]]
    converge(fleet, resources(2, "1h"))
    assert [" 1h " in show(host, name, "ExecStart")[0] for name in names[:2]] == [True, True]
    assert not [name for name, was in zip(names, between, strict=False) if show(host, name, "InvocationID") == was]
    assert is_active(host, names[2]) == "inactive"
    host.run("systemctl", "disable", "-q", "many@.service", check=False)
    after = [show(host, name, "InvocationID") for name in names[:2]]
    converge(fleet, resources(2, "1h"))
    assert [show(host, name, "InvocationID") for name in names[:2]] == after


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
    assert "start of limit.service failed: " in status, status
    assert "  no such port\n" in status, status
    time.sleep(1)  # systemd tries again until its own limit is reached, which the pass does not wait for
    assert is_active(fleet.host, "limit.service") == "failed"
    before = unit(
        "fails.service", content=text.replace("no such port", "ends before").replace("exit 3", "exit 4"), active=True
    )
    status = failing(fleet, before.replace("ExecStart=", "ExecStart=/bin/true\\nExecStartPre="))
    assert "start of fails.service failed: exit status 4 of ExecStartPre=/bin/sh; its journal ends:" in status, status
    assert "  ends before\n" in status
    assert "no such port" not in status, "only the run that failed is of interest"
    waiting = unit("waits.service", content=text + "Restart=always\nRestartSec=1h\n", active=True)
    for _ in range(2):
        assert "start of waits.service failed: exit status 3" in failing(fleet, waiting)
    converge(fleet, unit("waits.service", content=SLEEP, active=True))


def test_one_that_dies_after_a_while_is_never_called_well(fleet: Fleet) -> None:
    host = fleet.host
    text = "[Service]\nExecStart=/bin/sh -c 'echo run >> /run/%n; sleep 3; echo no database >&2; exit 9'\n"
    again = f"{text}Restart=always\nRestartSec=1\n[Install]\nWantedBy=multi-user.target\n"
    resources = unit("dies.service", content=text, active=True)
    resources += unit("again.service", content=again, enabled=True, active=True)
    fleet.hold(resources)
    fleet.apply("--confirm-removals")
    time.sleep(5)
    for starts in (2, 3):
        planned = fleet.plan()
        assert planned.returncode == 2, said(planned)
        assert "active failed -> true" in planned.stdout, planned.stdout
        applied = fleet.apply()
        assert applied.returncode == 4, said(applied)
        status = host.run("agentctl", "status", check=False).stdout
        for name in ("dies", "again"):
            assert f"start of {name}.service failed: exit status 9" in status, status
        assert status.count("  no database\n") >= 2, status
        assert json.loads(host.read("/run/gitops-agent/status.json"))["verdict"] == "CRITICAL"
        assert host.read("/run/dies.service") == "run\n" * starts, "once in each pass"
        time.sleep(1)
    time.sleep(6)
    assert show(host, "again.service", "NRestarts") != ["0"], "systemd goes on by itself"
    planned = fleet.plan()
    assert "unit:again.service" in planned.stdout, planned.stdout
    converge(
        fleet, unit("dies.service", content=SLEEP, active=True) + unit("again.service", content=SLEEP, active=True)
    )


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
    fleet.apply()
    for name in ("dbus", "mine"):
        trail = host.run("agentctl", "log", f"unit:{name}.service").stdout.splitlines()
        left = [line for line in trail if "pending: restart, because file:/srv/bus changed; " in line]
        # The bus was owed one for the first text, too; the other was only then started.
        assert len(left) == (2 if name == "dbus" else 1), trail
    time.sleep(1.1)
    host.run("systemctl", "restart", "mine.service")
    fleet.apply()
    status = json.loads(host.run("agentctl", "status", "--json", check=False).stdout)
    assert [item["id"] for item in status["owed"]] == ["unit:dbus.service"]
