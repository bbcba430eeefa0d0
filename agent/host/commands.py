"""Commands: the only place of the project that starts a process.

Every command is an argument list, looked up in one fixed path, with a clean environment, no standard input unless it
is given some, a process group of its own, a time limit and a limit on what is kept of its output.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from agent.host.output import Output, drain
from agent.host.staging import write_all
from modules.api import Completed, Interrupted, ResourceError, Unsupported

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT = 1 << 20  # bytes of each stream of a command that changes things; head and tail of what is longer
_PROBED = 32 << 20  # bytes of each stream of a command that is read; more is an error
_GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL
PATIENCE_SECONDS = 10.0  # for what another program does, before anybody asks whether it is worth while
_LOOK_SECONDS = 0.02  # how often a group that was asked to end is looked at
_LAST_LINES = 8

READ_ONLY: tuple[tuple[str, ...], ...] = (
    ("systemctl", "show"),
    ("systemctl", "cat"),
    ("systemctl", "is-active"),
    ("systemctl", "is-enabled"),
    ("systemctl", "is-failed"),
    ("systemctl", "is-system-running"),
    ("systemctl", "list-units"),
    ("systemctl", "list-unit-files"),
    ("systemctl", "list-jobs"),
    ("systemctl", "list-dependencies"),
    ("systemd-analyze", "calendar"),
    ("systemd-analyze", "condition"),
    ("systemd-analyze", "timespan"),
    ("systemd-analyze", "verify"),
    ("systemd-escape",),
    ("apt-cache", "policy"),
    ("apt-cache", "show"),
    ("apt-cache", "madison"),
    ("apt-config", "dump"),
    ("apt-get", "-s"),
    ("apt-get", "--simulate"),
    ("apt-mark", "showhold"),
    ("dpkg-deb", "-f"),
    ("dpkg-query", "-W"),
    ("dpkg-query", "--show"),
    ("dpkg", "--audit"),
    ("dpkg", "--compare-versions"),
    ("dpkg", "--print-architecture"),
    ("dpkg", "--print-foreign-architectures"),
    ("rpm", "-q"),
    ("rpm", "-qa"),
    ("rpm", "-qp"),
    ("rpm", "--test"),
    ("rpm", "--eval"),
    ("dnf", "repoquery"),
    ("dnf5", "repoquery"),
)
"""Commands that only read, each reviewed: the program, and the word that must come first among its arguments."""
_SKIPPED = ("--root=", "--admindir=", "--dbpath=", "--no-pager", "--no-legend", "--plain")
_SKIPPED_WITH_VALUE = ("-o", "-c")

_PACKAGES = {
    "apt-cache": "apt",
    "apt-config": "apt",
    "apt-get": "apt",
    "apt-mark": "apt",
    "dpkg": "dpkg",
    "dpkg-deb": "dpkg",
    "dpkg-query": "dpkg",
    "debconf-set-selections": "debconf",
    "journalctl": "systemd",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "systemd-escape": "systemd",
    "systemd-run": "systemd",
    "rpm": "rpm",
    "dnf": "dnf",
    "dnf5": "dnf5",
    "age": "age",
    "gpgv": "gpgv",
    "ssh-keygen": "openssh-client",
    "sops": "sops",
}

_transactions = itertools.count(1)


@dataclass(frozen=True)
class Command:
    """A command and its limits; `accept` lists the statuses that are not errors."""

    argv: tuple[str, ...]
    accept: Sequence[int] = (0,)
    timeout_seconds: float = 60
    stdin: str | bytes = ""
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The command line, to be pasted into a shell."""
        return shlex.join(self.argv)


def probe(command: Command) -> Completed:
    """Run a command that only reads. Raises ResourceError, also when it is not in the reviewed list."""
    if not reads_only(command.argv):
        raise ResourceError(f"{command} is not one of the commands that are known only to read; nothing was run")
    stdout, stderr = Output(_PROBED), Output(_KEPT)
    completed = _run(command, stdout, stderr)
    if stdout.lost:
        raise ResourceError(f"{command} printed more than {_PROBED} bytes, more than the agent takes in")
    return completed


def run(command: Command) -> Completed:
    """Run a command that may change the host. Raises ResourceError."""
    return _run(command, Output(_KEPT), Output(_KEPT))


def run_job(command: Command, given_up: Callable[[], str]) -> None:
    """Run a command that waits for what another program does. Raises ResourceError, and Interrupted when it is given up."""
    patient_until = time.monotonic() + PATIENCE_SECONDS
    why = ""

    def impatient() -> bool:
        nonlocal why
        why = given_up() if time.monotonic() >= patient_until else ""
        return bool(why)

    try:
        _run(command, Output(_KEPT), Output(_KEPT), impatient)
    except ResourceError as error:
        if why:
            raise Interrupted(f"{command} was not waited for any longer, and goes on: {why}") from error
        raise


def convert(
    argv: Sequence[str], data: bytes, *, env: Mapping[str, str] | None = None, timeout_seconds: float = 30
) -> bytes:
    """What a command makes of `data`, which it reads from standard input. Raises ResourceError, which quotes no output."""
    stdout, stderr = Output(_PROBED), Output(_KEPT)
    command = Command(tuple(argv), (0,), timeout_seconds, data, env or {})
    try:
        _run(command, stdout, stderr)
    except Unsupported:
        raise
    except ResourceError as error:
        if stdout.lost or not stderr.text().strip():
            raise ResourceError(f"{command} failed and did not say why") from error
        raise ResourceError(" ".join(stderr.text().split())[-400:]) from error
    if stdout.lost:
        raise ResourceError(f"{command} printed more than {_PROBED} bytes, more than the agent takes in")
    return stdout.data()


def ask(argv: Sequence[str], data: bytes, *, timeout_seconds: float = 30) -> Completed:
    """What a command says of `data`, which it reads from standard input; any status is an answer. Raises ResourceError."""
    return _run(Command(tuple(argv), range(256), timeout_seconds, data), Output(_KEPT), Output(_KEPT))


def reads_only(argv: Sequence[str]) -> bool:
    """Whether a command is in the reviewed list; options that only say where to look may come first."""
    words = iter(argv[1:])
    first = ""
    for word in words:
        if word in _SKIPPED_WITH_VALUE:
            next(words, "")
        elif not word.startswith(_SKIPPED):
            first = word
            break
    return any(pattern in ((argv[0],), (argv[0], first)) for pattern in READ_ONLY)


def run_detached(argv: Sequence[str], env: Mapping[str, str], timeout_seconds: float, *, scope: bool) -> Completed:
    """Run a command that outlives the agent, in a systemd scope of its own when the host has those; any status is fine.

    It writes to memory files, so it is not killed by a closed pipe either. Raises ResourceError when it overruns.
    """
    argv = (_program(argv[0]), *argv[1:])
    unit = f"gitops-agent-transaction-{os.getpid()}-{next(_transactions)}"
    if scope:
        argv = (_program("systemd-run"), "--scope", "--quiet", "--collect", f"--unit={unit}", "--", *argv)
    with _memory_file("stdout") as stdout, _memory_file("stderr") as stderr:
        process = _start(argv, env, (subprocess.DEVNULL, stdout, stderr))
        try:
            status = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            where = f"see systemctl status {unit}.scope" if scope else f"see ps {process.pid}"
            raise ResourceError(
                f"{shlex.join(argv)} is still running after {timeout_seconds:g} s and was left to end; {where}"
            ) from error
        return Completed(_status(status), Output.of_file(stdout, _KEPT).text(), Output.of_file(stderr, _KEPT).text())


def _run(command: Command, stdout: Output, stderr: Output, impatient: Callable[[], bool] = lambda: False) -> Completed:
    argv = (_program(command.argv[0]), *command.argv[1:])
    with _input(command.stdin) as stdin:
        process = _start(argv, command.env, (stdin, subprocess.PIPE, subprocess.PIPE))
        try:
            if not drain(process, (stdout, stderr), time.monotonic() + command.timeout_seconds, impatient):
                raise ResourceError(_say(f"{command} did not end in {command.timeout_seconds:g} s", stdout, stderr))
        finally:
            _end(process)
    status = _status(process.returncode)
    if status not in command.accept:
        raise ResourceError(_say(f"{command} failed with status {status}", stdout, stderr))
    return Completed(status, stdout.text(), stderr.text())


def _start(argv: Sequence[str], env: Mapping[str, str], streams: tuple[int, int, int]) -> subprocess.Popen[bytes]:
    home = "/root" if os.geteuid() == 0 else "/"
    environment = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": home, **env}
    stdin, stdout, stderr = streams
    try:
        return subprocess.Popen(
            argv, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, cwd="/", start_new_session=True
        )
    except OSError as error:
        raise ResourceError(f"cannot start {shlex.join(argv)}: {(error.strerror or str(error)).lower()}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a command that is still running: its group is asked to end, then made to."""
    if process.poll() is None:
        with suppress(ProcessLookupError):  # nobody of the group is left
            os.killpg(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_SECONDS
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(_LOOK_SECONDS)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        package = _PACKAGES.get(name)
        advice = f"install the package {package}" if package else "install the package that brings it"
        raise Unsupported(f"{name} is not installed on this host; {advice}")
    return found


def _status(returncode: int) -> int:
    """As shells say it: 128 and the number for a command that a signal ended."""
    return returncode if returncode >= 0 else 128 - returncode


def _say(what: str, stdout: Output, stderr: Output) -> str:
    """What failed, with the last lines of what it printed, of its errors first."""
    lines = (stderr.text().strip() or stdout.text().strip()).splitlines()[-_LAST_LINES:]
    return what + (": " + "\n".join(lines) if lines else "; it printed nothing")


@contextmanager
def _memory_file(name: str) -> Iterator[int]:
    descriptor = os.memfd_create(f"gitops-agent-{name}")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _input(text: str | bytes) -> Iterator[int]:
    """Standard input: a file in memory, so that nobody has to feed it, or nothing."""
    if not text:
        yield subprocess.DEVNULL
        return
    with _memory_file("stdin") as descriptor:
        write_all(descriptor, text.encode() if isinstance(text, str) else text)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
