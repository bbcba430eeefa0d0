"""make demo: a throw-away host becomes what the example fleet says, is broken by hand, and is repaired."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.cli.text import paint
from tests.hosts import images
from tests.hosts.git import GitRepository, http_server
from tests.hosts.machine import ENVIRONMENT, Machine
from tests.hosts.registry import push, registry

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
SUITE, RELEASE = "trixie", "Debian 13"
GIT_PORT = 8418
# Nothing soaks, or a look at what is on trial could repair what is broken here before it was shown.
SETTINGS = f"repository: http://127.0.0.1:{GIT_PORT}/fleet.git\nbranch: main\nhealth_soak: 0s\n"
HELLO = "hello from a container\n"
CONVERGE_SECONDS = 300
STARTED = time.monotonic()

CHECKS: Mapping[str, Callable[[Machine], bool]] = {
    "http://web-01/ shows the page that is in Git": lambda host: "first of the example fleet" in host.http(80),
    "http://web-01/hello is answered by the container": lambda host: host.http(80, "/hello") == HELLO,
    "disk-usage.service is active (systemctl)": lambda host: _prints(
        host, "active", "systemctl", "is-active", "disk-usage"
    ),
    "nginx is installed (dpkg-query)": lambda host: _prints(
        host, "installed", "dpkg-query", "-Wf${db:Status-Status}", "nginx"
    ),
}
BREAKAGE = (
    "echo '<h1>Edited by hand</h1>' >/srv/www/index.html",
    "systemctl stop disk-usage.service",
    "docker rm --force hello",
)


class DemoFailed(Exception):
    """What the demonstration shows is not so."""


def main() -> int:
    """Demonstrate; 0 only if everything was seen to work."""
    if os.geteuid() != 0:
        print("demo: needs root, because it boots a host: sudo make demo", file=sys.stderr)
        return 1
    try:
        demonstrate()
    except KeyboardInterrupt:
        print("\ndemo: interrupted; the host is gone", file=sys.stderr)
        return 130
    except (DemoFailed, AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(paint(f"demo: failed: {error}", "red", sys.stderr), file=sys.stderr)
        return 1
    return 0


def demonstrate() -> None:
    """Build, boot, install, converge, break, repair, and leave the host to whoever sits at the terminal."""
    step("Installing what a throw-away host takes, where it is missing on this machine")
    subprocess.run([CHECKOUT / "tests/provision"], check=True)
    step("Building the package")
    package = built_package()
    step(f"Booting a throw-away {RELEASE} host, web-01, with Docker in it (its image is built the first time: minutes)")
    with tempfile.TemporaryDirectory(prefix="gitops-agent-demo-") as home, contextlib.ExitStack() as stack:
        host = stack.enter_context(Machine(images.with_engine(SUITE)))
        repository = serve(host, Path(home), stack)
        install(host, package)
        converge(host, repository)
        break_and_repair(host)
        step("What the agent says")
        inside(host, "agentctl status")
        look_around(host, repository)


def built_package() -> Path:
    """Build the .deb from this checkout; its path."""
    build = [sys.executable, "packaging/build.py", "deb"]
    printed = subprocess.run(build, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(printed.strip())
    return CHECKOUT / printed.strip()


def serve(host: Machine, home: Path, stack: contextlib.ExitStack) -> GitRepository:
    """Give the host a Git server and a container registry of its own while the stack is open."""
    repository = GitRepository(home)
    stack.enter_context(http_server(home, pid=host.leader, port=GIT_PORT))
    address = stack.enter_context(registry(home / "registry", host.leader))
    push(home, host.leader, f"{address}/hello:1.0", text=HELLO)
    return repository


def install(host: Machine, package: Path) -> None:
    """What an admin does on a new host."""
    step("Installing it there with apt, and writing its settings")
    print(prompt(f"apt install ./{package.name}"), flush=True)
    host.install(package)
    host.write("/etc/gitops-agent/agent.yaml", SETTINGS)
    inside(host, "cat /etc/gitops-agent/agent.yaml")


def converge(host: Machine, repository: GitRepository) -> None:
    """Commit the fleet and let the daemon bring the host there."""
    step("Committing examples/fleet to the Git repository that those name")
    print(repository.copy(HERE / "fleet", "the example fleet")[:7], "the example fleet")
    step("Starting the agent: the host becomes what Git says")
    inside(host, "systemctl start gitops-agent")
    follow_first_pass(host)
    expect(host, broken=0)


def follow_first_pass(host: Machine) -> None:
    """Show the journal until the first pass is over. Raises DemoFailed when that takes too long."""
    follow = ("journalctl", "-f", "-t", "gitops-agent", "-t", "agentctl")  # its entries, and what it prints
    print(prompt(" ".join(follow)), flush=True)
    command = host.command(*follow, "-n", "all", "-o", "json")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as journal:
        overdue = threading.Timer(CONVERGE_SECONDS, journal.kill)
        overdue.start()
        try:
            for line in journal.stdout or ():
                entry = json.loads(line)
                print(entry["MESSAGE"], flush=True)
                if entry.get("GITOPS_RESULT") == "report":
                    return
        finally:
            overdue.cancel()
            journal.kill()
    raise DemoFailed(f"no pass has ended in {CONVERGE_SECONDS} s")


def break_and_repair(host: Machine) -> None:
    """Break three things by hand, show what the agent sees, and let it put them right."""
    step("Breaking it by hand")
    for command in BREAKAGE:
        inside(host, command)
    expect(host, broken=3)
    step("What the agent would do about it, and why; this changes nothing")
    inside(host, "agentctl plan", status=2)
    step("Repairing it now; by itself it looks every five minutes")
    inside(host, "agentctl sync")
    expect(host, broken=0)


def look_around(host: Machine, repository: GitRepository) -> None:
    """Keep the host up while somebody looks at it."""
    if not sys.stdin.isatty():
        step("Done. The host ends now; in a terminal `make demo` opens a shell on it here")
        return
    step("Look around: this is a shell on the host, and leaving it ends the host")
    print("Try:                      agentctl show; agentctl explain site.title; agentctl facts; agentctl --help")
    print(f"From another terminal:    nsenter -t {host.leader} -a bash")
    print(f"Change what it shall be:  git clone {repository.bare}, commit, push; within a minute the host follows")
    sys.stdout.flush()
    run_inside(host, "bash", stdin=None)


def expect(host: Machine, *, broken: int) -> None:
    """Look at the host from outside, and print what holds. Raises DemoFailed when not that many things are broken."""
    held = {what: check(host) for what, check in CHECKS.items()}
    print("Seen from outside:")
    for what, holds in held.items():
        print(f"  {paint('ok    ', 'green') if holds else paint('BROKEN', 'red')} {what}")
    found = list(held.values()).count(False)
    if found != broken:
        raise DemoFailed(f"{found} of {len(held)} things are broken, and {broken} should be")


def inside(host: Machine, command: str, status: int = 0) -> None:
    """Show a shell command, and run it on the host with its output here. Raises DemoFailed for another exit status."""
    print(prompt(command), flush=True)
    found = run_inside(host, command, stdin=subprocess.DEVNULL)
    if found != status:
        raise DemoFailed(f"`{command}` on the host ended with {found}, not {status}")


def run_inside(host: Machine, command: str, *, stdin: int | None) -> int:
    """Run a shell command on the host, in our terminal if there is one; its exit status."""
    environment = ENVIRONMENT | {name: os.environ[name] for name in ("TERM", "NO_COLOR") if name in os.environ}
    argv = host.command("sh", "-c", command)
    return subprocess.run(argv, stdin=stdin, cwd="/", env=environment, check=False).returncode


def _prints(host: Machine, wanted: str, *command: str) -> bool:
    return host.run(*command, check=False).stdout.strip() == wanted


def prompt(command: str) -> str:
    """A command as it looks where it is typed."""
    return f"{paint('web-01#', 'cyan')} {command}"


def step(what: str) -> None:
    """Say what comes, and how long it took to get here."""
    print(f"\n{paint(f'[{time.monotonic() - STARTED:3.0f} s] {what}', 'bold')}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
