"""dnf, to be changed. Two transactions at most: what goes, then what comes; dnf 4 and 5 have no common word for both."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from modules.api import Completed, Host, ResourceError, Unsupported
from modules.dnf import DnfView, specification
from modules.package_backend import (
    LAST_LINES,
    TRANSACTION_TIMEOUT_SECONDS,
    Ask,
    TransactionFailed,
    check_removals,
)
from modules.package_locks import Waiting
from modules.rpm import DATABASES

_LOCKED = 200  # dnf's status when it is told not to wait by itself, which it would do without an end
_REFRESH_TIMEOUT_SECONDS = 900
_OPTIONS = (
    "-y",
    "--setopt=exit_on_lock=True",
    "--setopt=clean_requirements_on_remove=False",  # what came along stays, as with apt
)
_WEAK = {None: (), True: ("--setopt=install_weak_deps=True",), False: ("--setopt=install_weak_deps=False",)}
_LOCKS = (
    *(f"{path}/.rpm.lock" for path in DATABASES),
    *("/var/lib/dnf/system-repo.lock", "/run/dnf/rpmtransaction.lock"),  # of dnf 5, which waits without an end
)
_HOLDER = re.compile(r"The application with PID (\d+) is: (\S+)")
_HARMLESS = re.compile(r"Non-critical error in %\w+ scriptlet")  # dnf 5 fails for it, though all was done
_FAILED = re.compile(r"(?:Error in \w+ scriptlet in rpm package |%\w+\()([^\s)]+)")
_STEP = re.compile(r"Running scriptlet|\[\d+/\d+\]|Running %")
_SAID_OF_SCRIPTS = ("Non-critical error in", "Scriptlet output:")
_NOISE = ("Unable to detect release version", "Last metadata expiration check", "(try to add")


class Dnf(DnfView):
    """dnf on one host, or on another root (modules.package_backend.Packages)."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._host = host

    def refresh_index(self, repositories: Collection[str] = ()) -> None:
        """Fetch the index of every enabled repository, and of these. Raises ResourceError, also when only one failed."""
        more = (f"--enablerepo={repository}" for repository in sorted(repositories))
        _checked(self._run(_REFRESH_TIMEOUT_SECONDS, "makecache", "-q", *_OPTIONS, *more, "--refresh"))

    def mend(self) -> None:
        """Finish an upgrade that was interrupted: the newest of what is there twice is installed again, the rest goes."""
        if not self.database().doubled():
            return
        waiting = Waiting(self._host)
        waiting.until_free(_LOCKS)  # a running one shows the same
        waiting.tell()
        doubled = self.database().doubled()
        if not doubled:
            return
        argv = self.command("remove", *_OPTIONS, "--duplicates")
        what = f"a transaction of rpm was interrupted, {', '.join(doubled)} is there twice"
        mended = self._host.repair(what, *argv, env={}, timeout_seconds=TRANSACTION_TIMEOUT_SECONDS)
        if mended.status:
            raise ResourceError(f"{what}, and `dnf remove --duplicates` did not mend it: {_reason(mended)}")

    def change(self, asks: Sequence[Ask], removable: Collection[str]) -> Mapping[str, str]:
        """Remove, then install; what scripts failed that rpm does not count."""
        leaving = [ask.name for ask in asks if ask.remove]
        coming = [ask for ask in asks if not ask.remove]
        for ask in coming:
            self._check_file(ask)
        if leaving:
            check_removals(self.removed_with(leaving), {*removable, *leaving}, self.automatic)
            _checked(self._run(TRANSACTION_TIMEOUT_SECONDS, "remove", *_OPTIONS, *map(specification, leaving)))
        if not coming:
            return {}
        options = asks[0].options
        place = (f"--enablerepo={options.repository}",) if options.repository else ()
        words = (*_OPTIONS, *_WEAK[options.recommends], *place, *map(self._argument, coming))
        completed = self._run(TRANSACTION_TIMEOUT_SECONDS, "install", *words)
        if not _HARMLESS.search(completed.stdout + completed.stderr):
            _checked(completed)
        return _complaints(completed, [ask.name for ask in coming])

    def purge(self, names: Sequence[str]) -> None:
        """Nothing: rpm knows of nothing that a removed package left."""

    def hold(self, names: Sequence[str]) -> None:
        """By the versionlock plugin."""
        self._versionlock("add", names)

    def unhold(self, names: Sequence[str]) -> None:
        """By the versionlock plugin."""
        self._versionlock("delete", names)

    def mark_manual(self, names: Sequence[str]) -> None:
        """As `dnf mark` does it, without a look at any repository."""
        verb = "user" if self.is_dnf_5 else "install"
        self._host.run(
            *self.command("mark", "-C", "-q", *(["-y"] if self.is_dnf_5 else []), verb, *map(specification, names))
        )

    def answer(self, answers: str) -> None:
        """Packages of rpm ask nothing."""
        raise Unsupported(f"`debconf` is for apt: packages of rpm ask no questions ({answers.partition(' ')[0]})")

    def _versionlock(self, verb: str, names: Sequence[str]) -> None:
        if self._host.root != "/":
            raise Unsupported("dnf keeps what is held in a file of the running system, so not for another root")
        completed = self._host.run(self.program, "versionlock", "-q", verb, *names, accept=range(256))
        if completed.status:
            advice = "; install python3-dnf-plugin-versionlock" if "No such command" in completed.stderr else ""
            raise ResourceError(f"dnf versionlock {verb} {' '.join(names)}: {_reason(completed)}{advice}")

    def _argument(self, ask: Ask) -> str:
        if ask.path or not ask.version:
            return ask.path or specification(ask.name)
        name, _, architecture = ask.name.partition(":")
        version = ask.version if ":" in ask.version else f"0:{ask.version}"
        return f"{name}-{version}" + (f".{architecture}" if architecture else "")

    def _check_file(self, ask: Ask) -> None:
        if not ask.path:
            return
        asked = ("rpm", "-qp", "--nosignature", r"--qf=%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}", ask.path)
        name, _, version = self._host.probe(*asked).stdout.partition(" ")
        if name != ask.name.partition(":")[0] or ask.version not in self.spellings(version.removeprefix("0:")):
            raise TransactionFailed(f"the file holds {name} {version}, not {ask.name} {ask.version}; correct `version`")

    def _run(self, timeout_seconds: float, verb: str, *arguments: str) -> Completed:
        """Run dnf once nobody else does; who does for too long is named in a ResourceError."""
        waiting = Waiting(self._host)
        argv = self.command(verb, *arguments)
        while True:
            waiting.until_free(_LOCKS)
            completed = self._host.run_detached(*argv, env={}, timeout_seconds=timeout_seconds)
            if completed.status != _LOCKED:
                waiting.tell()
                return completed
            holder = _HOLDER.search(completed.stdout + completed.stderr)
            if holder is None:
                raise ResourceError(f"another package manager is at work: {_reason(completed)}")
            waiting.until_ended(holder[1], holder[2], "dnf's lock")


def _checked(completed: Completed) -> None:
    if completed.status:
        raise TransactionFailed(_reason(completed))


def _complaints(completed: Completed, names: Sequence[str]) -> Mapping[str, str]:
    """Scripts that failed without failing the transaction, by the package asked for (the first for one that came along)."""
    printed = completed.stdout + completed.stderr
    complaints: dict[str, str] = {}
    for failed in _FAILED.findall(printed):
        name = next((name for name in names if _is_of(failed, name)), names[0])
        said = "\n".join(_script_lines(printed))
        complaints[name] = f"it is installed, but a script of {failed} failed, and is not run again by itself: {said}"
    return complaints


def _is_of(failed: str, name: str) -> bool:
    plain = name.partition(":")[0]
    return failed == plain or re.fullmatch(rf"{re.escape(plain)}-[^-]+-[^-]+", failed) is not None


def _script_lines(printed: str) -> list[str]:
    """What the first script that failed printed, up to the line that says so."""
    lines = [line.removeprefix(">>>").strip().removeprefix("[RPM] ") for line in printed.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_SAID_OF_SCRIPTS)]
    end = next(at for at, line in enumerate(lines) if _FAILED.search(line))
    begun = [at for at, line in enumerate(lines[:end]) if _STEP.match(line)]
    return lines[max(begun[-1] + 1 if begun else end, end + 1 - LAST_LINES) : end + 1]


def _reason(completed: Completed) -> str:
    """Why dnf failed: the last lines of its errors."""
    errors = [line.strip() for line in completed.stderr.splitlines() if line.strip() and not line.startswith(_NOISE)]
    lines = errors or [line.strip() for line in completed.stdout.splitlines() if line.strip()]
    return "\n".join(lines[-LAST_LINES:]) or f"it ended with status {completed.status} and said nothing"
