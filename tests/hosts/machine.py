"""A throw-away systemd host: an overlay of a cached image, booted by systemd-nspawn in a network namespace of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.hosts import control_groups
from tests.hosts.control_groups import ControlGroups
from tests.hosts.images import CACHE, Image, overlay
from tests.hosts.network import Proxy, Server, socket_inside

BOOT_SECONDS = 60
PROXY_PORT = 3128
STORES = {"docker": "/var/lib/docker", "podman": "/var/lib/containers"}
"""Where container engines keep layers: on a real file system, since overlay on overlay is refused."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}
"""What a command inside gets."""


class Machine:
    """A booted host while its `with` block runs; with `limits`, one in which memory and processes can be limited."""

    _count = 0

    def __init__(self, image: Image, name: str = "web-01", *, limits: bool = False) -> None:
        sweep()
        Machine._count += 1
        self.name = name
        self._image = image
        self._home = CACHE / "machines" / f"{os.getpid()}-{Machine._count}"
        self.root = self._home / "root"
        self._stack = contextlib.ExitStack()
        self._groups = ControlGroups(self._home.name, limits=limits)
        self.leader = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self._home, ignore_errors=True)
            stack.enter_context(overlay(self._image.directories(), self._home / "up", self._home / "work", self.root))
            self._prepare()
            self._boot()
            stack.callback(self._end)
            stack.enter_context(Server(Proxy, pid=self.leader, port=PROXY_PORT))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _prepare(self) -> None:
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        proxy = f'Acquire::http::Proxy "http://127.0.0.1:{PROXY_PORT}/";\nAcquire::https::Proxy "http://127.0.0.1:{PROXY_PORT}/";\n'
        (self.root / "etc/apt/apt.conf.d/00test-host").write_text(proxy)
        masked = self.root / "etc/systemd/system/systemd-modules-load.service"
        masked.symlink_to("/dev/null")  # there are no modules in a container, which newer systemd calls a failure
        for engine in STORES:
            (self._home / engine).mkdir()

    def _boot(self) -> None:
        self._console = (self._home / "console").open("wb")
        how, runs, unified = self._groups.booting()
        command = [
            "setpriv",
            "--pdeathsig",
            "TERM",
        ]  # a host does not outlive the tests that booted it, however they end
        command += ["systemd-nspawn", "-D", str(self.root), *how, "--register=no", "--keep-unit", "--console=pipe"]
        command += ["--private-network", "--capability=all", "--system-call-filter=add_key keyctl bpf", "--quiet"]
        command += [f"--bind={self._home / engine}:{path}" for engine, path in STORES.items()]
        command += [f"--machine=t{os.getpid()}-{Machine._count}", *runs]
        self._process = subprocess.Popen(
            [*self._groups.entering(), *command],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": unified},
            start_new_session=True,
        )
        try:
            self._await_running()
        except BaseException:
            self._end()
            raise

    def _await_running(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        state = "not started"
        while time.monotonic() < deadline and self._process.poll() is None:
            self.leader = self.leader or _child_of(self._process.pid)
            if self.leader:
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
                if state == "running":
                    return
                if state == "degraded":
                    break
            time.sleep(0.1)
        failed = self.run("systemctl", "--failed", "--no-legend", check=False).stdout if self.leader else ""
        console = (self._home / "console").read_bytes()[-3000:].decode(errors="replace")
        raise RuntimeError(f"the test host did not start: {state} {failed}\n{console}")

    def _end(self) -> None:
        if self._process.poll() is None:
            for _ in range(2):  # the second ends it at once
                self._process.send_signal(signal.SIGTERM)
                time.sleep(0.1)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.power_cut()
        self._console.close()
        self._groups.remove()

    def power_cut(self) -> None:
        """End every process of the host at once, as a power cut does."""
        if self.leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)
        self._process.wait(20)
        self.leader = 0

    def boot_again(self) -> None:
        """Boot after a power cut; the disk is as it was left."""
        self._console.close()
        self._boot()
        self._stack.enter_context(Server(Proxy, pid=self.leader, port=PROXY_PORT))

    def command(self, *argv: str) -> list[str]:
        """What this machine runs to run a command inside, as root."""
        return ["nsenter", "-t", str(self.leader), "-a", "--", *argv]

    def run(
        self, *argv: str, check: bool = True, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        ended = subprocess.run(
            self.command(*argv),
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            cwd="/",
            env=ENVIRONMENT,
        )
        if check and ended.returncode:
            raise AssertionError(
                f"{' '.join(argv)}: exit {ended.returncode}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
            )
        return ended

    def shell(self, script: str, *, check: bool = True, timeout: float = 120) -> str:
        """Run a shell script inside; what it printed."""
        return self.run("sh", "-ec", script, check=check, timeout=timeout).stdout

    def path(self, path: str) -> Path:
        """Where a path of the host is on this machine (the merged overlay)."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file inside, through the host's own mounts."""
        self.run(
            "sh",
            "-ec",
            'mkdir -p "$(dirname "$1")"; umask 077; cat >"$1"; chmod "$2" "$1"',
            "-",
            path,
            f"{mode:o}",
            stdin=text,
        )

    def read(self, path: str) -> str:
        """A file inside."""
        return self.run("cat", path).stdout

    def stat(self, path: str) -> str:
        """`mode owner group type` of a path inside, as stat(1) says."""
        return self.run("stat", "-c", "%a %U %G %F", path).stdout.strip()

    def exists(self, path: str) -> bool:
        """Tell whether a path is there, not following a link."""
        return self.run("sh", "-c", 'test -e "$1" || test -L "$1"', "-", path, check=False).returncode == 0

    def install(self, package: Path) -> None:
        """Install a .deb with apt."""
        self.run("sh", "-c", 'cat > "/root/$1"', "-", package.name, stdin=None, check=False)
        shutil.copy(package, self.path(f"/root/{package.name}"))
        self.run(
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-qq",
            "-y",
            "install",
            f"/root/{package.name}",
            timeout=300,
        )

    def journal(self, unit: str, lines: int = 50) -> str:
        """The last lines of a unit's journal."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, "-n", str(lines)).stdout

    def http(self, port: int, path: str = "/", timeout: float = 5) -> str:
        """GET from a port of the host's loopback, from outside its file system; empty when nothing answers."""
        with socket_inside(self.leader) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(("127.0.0.1", port))
                connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                data = b""
                while chunk := connection.recv(1 << 16):
                    data += chunk
            except OSError:
                return ""
        return data.partition(b"\r\n\r\n")[2].decode(errors="replace")


def _child_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
    return 0


def sweep() -> None:
    """Clear away the machines of test runs that were killed."""
    for home in (CACHE / "machines").glob("*-*"):
        if not Path(f"/proc/{home.name.partition('-')[0]}").exists():
            subprocess.run(["umount", "--lazy", str(home / "root")], check=False, capture_output=True)
            shutil.rmtree(home, ignore_errors=True)
    control_groups.sweep()
