"""agentctl as a process: on a terminal, in a pipe, interrupted, as a user without rights, and beside another pass."""

from __future__ import annotations

import importlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import cli
from agent.cli.progress import CLEAR
from modules.registry import kinds
from tests.hosts.git import GitRepository

AGENTCTL = str(Path(sys.executable).with_name("agentctl"))
NAME = "web-01"
NOBODY = 65534
ONE = "resources:\n  - directory: /etc\n  - file: /etc/a\n    content: one\n"


class Site:
    """A repository and a root, both readable by everybody."""

    def __init__(self, directory: Path) -> None:
        self.repository, self.root = GitRepository(directory), directory / "root"
        self.root.mkdir()
        self.first = self.hold(ONE, "first")

    def hold(self, text: str, message: str = "change") -> str:
        return self.repository.commit({"fleet.yaml": "format: 1\n", f"hosts/{NAME}.yaml": text}, message)

    def command(self, verb: str, *more: str) -> list[str]:
        place = ("--repo", str(self.repository.bare), "--host", NAME, "--root", str(self.root))
        return [AGENTCTL, verb, *place, *more]

    def run(self, verb: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(verb, *more), capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def site() -> Iterator[Site]:
    directory = Path(tempfile.mkdtemp(dir="/var/tmp"))
    directory.chmod(0o755)
    yield Site(directory)
    shutil.rmtree(directory)


def on_terminal(command: list[str], **environment: str) -> tuple[int, str]:
    """Run on a terminal of its own; the exit status and what it shows."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ |= {"TERM": "xterm", **environment}
        os.execv(command[0], command)
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # how a terminal tells its end
            break
        if not chunk:
            break
        shown += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_colour_is_for_a_terminal_that_wants_it(site: Site) -> None:
    command = site.command("plan")
    status, shown = on_terminal(command)
    assert status == 2
    assert "\033[32m+\033[0m file:/etc/a" in shown
    assert "\033" not in on_terminal(command, NO_COLOR="1")[1].replace(CLEAR, ""), (
        "the line that is written over is no colour"
    )
    assert "\033" not in on_terminal(command, TERM="dumb")[1]
    assert "\033[32m" in on_terminal(command, NO_COLOR="")[1], "no-color.org: an empty value is none"
    assert "\033" not in site.run("plan").stdout


def state_of(site: Site) -> dict[str, tuple[int, int]]:
    paths = (path for path in (site.root / "var/lib/gitops-agent").rglob("*"))
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in paths}


def test_a_revision_by_name_and_what_it_changes_to(site: Site) -> None:
    assert site.run("apply").returncode == 0
    second = site.hold(ONE.replace("one", "two"), "second")
    before = state_of(site)
    plan = site.run("plan")
    assert plan.returncode == 2
    assert state_of(site) == before, "what a plan has to fetch is thrown away"
    assert f'{NAME} under {site.root}: {site.first[:7]} -> {second[:7]} "second" by ops@example.com (' in plan.stdout
    assert site.run("plan", "--ref", site.first).returncode == 0
    assert site.run("apply").returncode == 0
    assert (site.root / "etc/a").read_text() == "two"
    assert site.run("plan", "--ref", "nosuch").returncode == 1


def test_a_refused_revision_ends_with_1_and_the_one_in_force_is_held(site: Site) -> None:
    site.run("apply")
    site.hold(ONE.replace("content", "contend"), "oops")
    (site.root / "etc/a").write_text("drift")
    done = site.run("apply")
    assert done.returncode == 1
    assert f"the newest revision is refused, {site.first[:7]} stays in force:" in done.stderr
    assert 'hosts/web-01.yaml:4: unknown field "contend"' in done.stderr
    assert (site.root / "etc/a").read_text() == "one"
    status = subprocess.run([AGENTCTL, "status", "--root", str(site.root)], capture_output=True, text=True, check=False)
    assert status.returncode == 1
    assert status.stdout.startswith(f"WARNING {NAME} holds main@{site.first[:7]}, a newer revision is refused: ")


def test_a_working_tree_leaves_the_revision_in_force(site: Site, tmp_path: Path) -> None:
    site.run("apply")
    (tmp_path / "hosts").mkdir()
    (tmp_path / "fleet.yaml").write_text("format: 1\n")
    (tmp_path / f"hosts/{NAME}.yaml").write_text(ONE.replace("one", "tried"))
    tried = [AGENTCTL, "apply", "--repo", str(tmp_path), "--working-tree", "--host", NAME, "--root", str(site.root)]
    assert subprocess.run(tried, capture_output=True, check=False).returncode == 0
    assert (site.root / "etc/a").read_text() == "tried"
    site.hold(ONE.replace("content", "contend"), "oops")
    assert site.run("apply").returncode == 1
    assert (site.root / "etc/a").read_text() == "one", "what was in force before is held"


def as_nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call a verb as a user who may do nothing, in a process that has loaded all that it needs while it still could."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            for verb, (module, _) in cli.VERBS.items():
                if verb not in ("run", "sync"):
                    importlib.import_module(module)
            for module in ("jinja2.sandbox", "yaml", "agent.catalog.compile", "agent.manifest", "agent.lock",
                           "agent.cli.failures", "modules.registry"):  # fmt: skip
                importlib.import_module(module)
            kinds()
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.environ |= {"HOME": "/nonexistent"}
            status = cli.main(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


def test_a_user_without_rights_plans_and_is_told_what_else_needs(site: Site) -> None:
    tree = ("--repo", str(site.repository.bare.with_suffix(".work")), "--working-tree")
    plan = as_nobody(*site.command("plan", *tree)[1:])
    assert plan.returncode == 2, plan.stderr
    assert "file:/etc/a" in plan.stdout
    done = as_nobody(*site.command("apply")[1:])
    assert done.returncode == 1
    assert "cannot be used: Permission denied; run as root, or give --root DIR or --state-dir DIR" in done.stderr
    assert "Traceback" not in plan.stderr + done.stderr
    assert list(site.root.iterdir()) == []
    site.run("apply")
    plan = as_nobody(*site.command("plan", *tree)[1:])
    assert plan.returncode == 0, plan.stdout + plan.stderr
    status = as_nobody("status", "--root", str(site.root))
    assert (status.returncode, status.stdout.split()[0]) == (0, "OK"), "the verdict is for everybody"


def test_a_reader_that_leaves_is_no_error(site: Site) -> None:
    many = "".join(f"  - file: /etc/f{number}\n    content: x\n" for number in range(2000))
    site.hold(f"resources:\n{many}")
    for verb in ("plan", "show", "facts", "version"):
        command = site.command(verb) if verb in ("plan", "show") else [AGENTCTL, verb]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == ""
            process.wait(30)
            assert process.returncode in (0, 1, 2), verb


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_pass_says_so_and_the_next_goes_on(site: Site, number: int) -> None:
    site.hold(ONE + "  - file: /etc/b\n    content: x\n    validate: [sh, -c, 'sleep 2', '%s']\n"
              "  - symlink: /etc/link\n    target: a\n    after: ['file:/etc/b']\n")  # fmt: skip
    # What starts the tests in the background may have it ignore SIGINT.
    command = ["env", "--default-signal=INT", *site.command("apply")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 20
        while not list((site.root / "etc").glob(".*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    if number == signal.SIGINT:
        assert (process.returncode, err) == (130, "agentctl: interrupted\n")
    else:
        assert process.returncode == 4
        assert "stopped before 1 resource: the pass was asked to stop" in err
        assert "Traceback" not in err
    assert site.run("apply").returncode == 0
    assert sorted(os.listdir(site.root / "etc")) == ["a", "b", "link"]


def test_another_pass_is_waited_for(site: Site) -> None:
    site.hold(ONE + "  - file: /etc/b\n    content: x\n    validate: [sh, -c, 'sleep 1', '%s']\n")
    with subprocess.Popen(site.command("apply"), stdout=subprocess.PIPE) as first:
        second = site.run("apply", "--json")
        first.communicate(timeout=30)
    assert (first.returncode, second.returncode) == (0, 0)
    assert {json.loads(second.stdout)["counts"]["converged"], 3} in ({0, 3}, {3})
