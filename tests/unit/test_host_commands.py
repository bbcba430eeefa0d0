"""Commands of a host: real processes, their limits, and what is left of them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from agent.host import LocalHost, LocalView, commands
from agent.host.commands import reads_only
from modules.api import Completed, Interrupted, ResourceError, Unsupported

HOST = LocalHost()


def running(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not running(pid)


def test_a_command_gives_its_status_and_both_streams() -> None:
    assert HOST.run("sh", "-c", "echo out; echo err >&2") == Completed(0, "out\n", "err\n")
    assert HOST.run("sh", "-c", "exit 3", accept=(0, 3)).status == 3
    assert HOST.run("sh", "-c", "kill -9 $$", accept=(137,)).status == 137
    assert HOST.run("printf", r"\377\303\244").stdout == "�ä"


def test_its_environment_is_clean_its_input_closed_and_its_session_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("LD_PRELOAD", "/evil.so")
    monkeypatch.setenv("SECRET", "token")
    shown = dict(line.split("=", 1) for line in HOST.run("env").stdout.splitlines())
    assert shown.pop("HOME") in ("/root", "/")
    assert shown == {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    assert HOST.run("cat").stdout == ""
    assert HOST.run("pwd").stdout == "/\n"
    pid, group, session = HOST.run(
        "sh", "-c", "read -r p c s pp g ss r < /proc/self/stat; echo $p $g $ss"
    ).stdout.split()
    assert int(group) == int(session) != os.getpgrp(), pid


def test_a_job_is_waited_for_with_patience_and_then_given_up_if_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.5)
    asked: list[float] = []
    began = time.monotonic()

    def why() -> str:
        asked.append(time.monotonic() - began)
        return "a newer one is there" * (len(asked) > 2)

    host, said = LocalHost(given_up=why), tmp_path / "pid"
    host.run_job("sleep", "0.2", timeout_seconds=5)
    assert asked == [], "what ends soon is not asked about"
    script = f"echo $$ > {said}; exec sleep 60"
    with pytest.raises(Interrupted, match="was not waited for any longer, and goes on: a newer one is there"):
        host.run_job("sh", "-c", script, timeout_seconds=30)
    assert asked[0] >= 0.5
    assert time.monotonic() - began < 10
    assert gone(int(said.read_text())), "whoever only waited is gone"
    with pytest.raises(ResourceError, match="sh -c 'exit 3' failed with status 3") as error:
        host.run_job("sh", "-c", "exit 3", timeout_seconds=5)
    assert not isinstance(error.value, Interrupted)


def test_input_is_given_whole_however_large() -> None:
    text = "line\n" * 500_000
    assert HOST.run("wc", "-c", stdin=text).stdout.strip() == str(len(text))
    assert HOST.run("true", stdin=text) == Completed(0, "", "")


def test_a_failure_can_be_pasted_and_shows_its_last_lines() -> None:
    script = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $n >&2; done; exit 2"
    with pytest.raises(ResourceError) as caught:
        HOST.run("sh", "-c", script)
    message = str(caught.value)
    assert message.startswith(f"sh -c '{script}' failed with status 2: ")
    assert message.endswith("line 11\nline 12")
    assert "line 4\n" not in message
    with pytest.raises(ResourceError, match="failed with status 1: only said on standard output"):
        HOST.run("sh", "-c", "echo only said on standard output; exit 1")
    with pytest.raises(ResourceError, match="failed with status 1; it printed nothing"):
        HOST.run("false")


def test_a_program_that_is_missing_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PATH", "/nowhere")
    with pytest.raises(Unsupported, match="systemctl is not installed on this host; install the package systemd"):
        HOST.probe("systemctl", "show", "x")
    with pytest.raises(Unsupported, match="nginx is not installed on this host; install the package that brings it"):
        HOST.run("nginx", "-t")


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\0 no program")
    (tmp_path / "broken").chmod(0o755)
    with pytest.raises(ResourceError, match=r"cannot start .*broken: exec format error"):
        HOST.run(str(tmp_path / "broken"))


def test_a_command_that_overruns_is_ended_with_all_its_group(tmp_path: Path) -> None:
    script = f"echo begun; sleep 100 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait"
    with pytest.raises(ResourceError, match=r"did not end in 0\.5 s: begun"):
        HOST.run("sh", "-c", script, timeout_seconds=0.5)
    assert gone(int((tmp_path / "self").read_text()))
    assert gone(int((tmp_path / "child").read_text()))


def test_a_command_that_ignores_the_request_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_GRACE_SECONDS", 0.2)
    script = f"trap '' TERM; (trap '' TERM; echo $$ > {tmp_path}/self; while :; do sleep 0.05; done)"
    begun = time.monotonic()
    with pytest.raises(ResourceError, match="did not end"):
        HOST.run("sh", "-c", script, timeout_seconds=0.3)
    assert time.monotonic() - begun < 5
    assert gone(int((tmp_path / "self").read_text()))


def test_all_of_a_group_is_asked_to_end_and_made_to_when_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process ends at once when it is asked; one of its children takes its time, the other would never."""
    monkeypatch.setattr(commands, "_GRACE_SECONDS", 1.5)
    polite = f"trap 'sleep 0.3; touch {tmp_path}/tidied; exit' TERM; while :; do sleep 0.05; done"
    stubborn = f"trap '' TERM; echo $$ > {tmp_path}/stubborn; while :; do sleep 0.05; done"
    with pytest.raises(ResourceError, match="did not end"):
        HOST.run(
            "sh", "-c", f'sh -c "{polite}" & sh -c "{stubborn}" & wait'.replace("$$", r"\$\$"), timeout_seconds=0.5
        )
    assert (tmp_path / "tidied").exists()
    assert gone(int((tmp_path / "stubborn").read_text()))


def test_a_command_that_closed_its_output_is_still_held_to_its_time() -> None:
    with pytest.raises(ResourceError, match="did not end"):
        HOST.run("sh", "-c", "exec >&- 2>&-; sleep 100", timeout_seconds=0.3)


def test_a_grandchild_that_keeps_the_output_open_does_not_hold_us(tmp_path: Path) -> None:
    begun = time.monotonic()
    done = HOST.run("sh", "-c", f"echo before; sleep 60 & echo $! > {tmp_path}/child; echo after")
    assert time.monotonic() - begun < 10
    assert done.stdout == "before\nafter\n"
    child = int((tmp_path / "child").read_text())
    assert running(child), "a daemon that a command started is not ours to end"
    os.kill(child, signal.SIGKILL)


def test_output_is_kept_within_its_limit_head_and_tail() -> None:
    done = HOST.run("sh", "-c", "echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo last")
    assert len(done.stdout) < 2 << 20
    assert done.stdout.startswith("first\nxxx")
    assert done.stdout.endswith("xxxlast\n")
    kept = done.stdout.count("x")
    left_out = int(done.stdout.partition("\n[... ")[2].partition(" ")[0])
    assert kept + left_out == 20_000_000


def test_a_probe_that_says_too_much_is_an_error_not_half_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_PROBED", 100)
    monkeypatch.setattr(commands, "READ_ONLY", (("seq",),))
    assert HOST.probe("seq", "20").stdout.splitlines()[-1] == "20"
    with pytest.raises(ResourceError, match="seq 1000 printed more than 100 bytes"):
        HOST.probe("seq", "1000")


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("systemctl show a.service", True),
        ("systemctl --root=/x is-enabled a.service", True),
        ("systemctl --no-pager cat a.service", True),
        ("systemctl stop show", False),
        ("systemctl", False),
        ("systemctl --now enable show", False),
        ("apt-get -s install x", True),
        ("apt-get -o Dir=/x -s install x", True),
        ("apt-get -o -s install x", False),
        ("apt-get install -s x", False),
        ("apt-cache policy x", True),
        ("dpkg --compare-versions 1 lt 2", True),
        ("dpkg --install --compare-versions", False),
        ("dpkg-query -W", True),
        ("rpm --root=/x -q y", True),
        ("rpm -e -q y", False),
        ("systemd-escape a/b", True),
        ("sh -c systemctl", False),
        ("/tmp/systemctl show", False),
    ],
)
def test_only_reviewed_commands_are_probed(command: str, allowed: bool) -> None:
    assert reads_only(command.split()) == allowed


def test_a_view_refuses_a_command_that_may_write(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="is not one of the commands that are known only to read; nothing was run"):
        LocalView().probe("touch", str(tmp_path / "made"))
    assert not (tmp_path / "made").exists()
    assert LocalView().probe("dpkg", "--print-architecture").stdout.strip().isalnum()


def test_a_detached_command_gives_any_status_and_takes_its_environment() -> None:
    done = HOST.run_detached(
        "sh", "-c", 'echo "$FRONTEND"; echo err >&2; exit 100', env={"FRONTEND": "x"}, timeout_seconds=9
    )
    assert done == Completed(100, "x\n", "err\n")


def test_a_detached_command_is_left_to_end_when_it_overruns(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/self; sleep 1.5; echo said to nobody; touch {tmp_path}/done"
    with pytest.raises(ResourceError, match=r"is still running after 0\.5 s and was left to end; see .*"):
        HOST.run_detached("sh", "-c", script, env={}, timeout_seconds=0.5)
    assert running(int((tmp_path / "self").read_text()))
    assert gone(int((tmp_path / "self").read_text()))
    assert (tmp_path / "done").exists(), "it could go on printing"


def test_a_detached_command_survives_the_agent_and_its_process_group(tmp_path: Path) -> None:
    script = f"touch {tmp_path}/begun; sleep 1; echo out; echo err >&2; touch {tmp_path}/done"
    agent = os.fork()
    if agent == 0:
        os.setsid()
        LocalHost().run_detached("sh", "-c", script, env={}, timeout_seconds=60)
        os._exit(0)
    deadline = time.monotonic() + 20
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(agent, signal.SIGKILL)
    os.waitpid(agent, 0)
    assert not (tmp_path / "done").exists()
    while not (tmp_path / "done").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (tmp_path / "done").exists()


def test_a_repair_is_run_once_and_remembered_to_be_told(tmp_path: Path) -> None:
    host, counted = LocalHost(str(tmp_path)), tmp_path / "count"
    command = ("sh", "-c", f"echo ran >> {counted}; exit 3")
    assert host.repair("it was broken", *command, env={}, timeout_seconds=30).status == 3
    with pytest.raises(ResourceError, match=r"it was broken, and sh -c .* has not mended it in this pass"):
        host.repair("it was broken", *command, env={}, timeout_seconds=30)
    assert counted.read_text() == "ran\n"
    assert [(repair.what, repair.status) for repair in host.repairs] == [("it was broken", 3)]
