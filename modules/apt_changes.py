"""apt, to be changed: transactions that are looked at before they are run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from modules.api import Completed, Host, ResourceError
from modules.apt import STAMP, AptView, target_release
from modules.package_backend import (
    LAST_LINES,
    LOCK_TIMEOUT_SECONDS,
    TRANSACTION_TIMEOUT_SECONDS,
    Ask,
    ConfigFiles,
    TransactionFailed,
    check_removals,
)
from modules.package_locks import Holder, Waiting, held_for_long

_UPDATE_TIMEOUT_SECONDS = 900
_SIMULATE_TIMEOUT_SECONDS = 120

_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",  # list what needs a restart: units are restarted by those who declare `restart_on`
}
_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/cache/apt/archives/lock")
_LIST_LOCKS = ("/var/lib/apt/lists/lock",)
_KEEP = ("--force-confdef", "--force-confold")
_REPLACE = ("--force-confnew",)  # with confdef, dpkg's default would win, which is to keep
_UCF = {"keep": "UCF_FORCE_CONFFOLD", "replace": "UCF_FORCE_CONFFNEW"}
_OPTIONS = (
    *("-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_SECONDS}"),
    *("-o", "Dpkg::Use-Pty=0"),
    *("-o", "APT::Get::AutomaticRemove=false"),
    *(
        "-o",
        "APT::Get::Purge=false",
    ),  # a host may be set to purge whatever is removed; the verb `purge` goes before this
)
_RECOMMENDS = {None: (), True: ("--install-recommends",), False: ("--no-install-recommends",)}
_HOLDER = re.compile(r"Could not get lock (\S+)\. It is held by process (\d+) \(([^)]*)\)")
_FAILED = re.compile(r"error processing (?:package|archive) (\S+) \(")
_STEP = re.compile(
    r"(?:Setting up|Removing|Purging configuration files for|Unpacking|Preparing to unpack|Processing) (\S+)|Errors were"
)
_NOISE = ("W: ", "N: ", "debconf: delaying package configuration")


class Apt(AptView):
    """apt on one host (modules.package_backend.Packages)."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._host = host

    def refresh_index(self, repositories: Collection[str] = ()) -> None:  # noqa: ARG002  (for apt none is disabled)
        """Fetch the package lists. Raises ResourceError, also when only one source failed."""
        self._update()
        # apt leaves no trace of an update that found nothing new; this stamp is where its own timers look.
        if self._host.files.lstat(STAMP.rpartition("/")[0]):
            self._host.run("touch", "--", STAMP)

    def try_source(self, path: str) -> None:
        """Fetch the lists of one file of sources alone. Raises ResourceError with apt's words when it cannot use it.

        It is read with all the others first: two that contradict each other keep apt from reading any.
        """
        _checked(self._host.probe("apt-cache", "policy", accept=(0, 100)), noise=_NOISE[1:])
        only = (f"Dir::Etc::SourceList={path}", "Dir::Etc::SourceParts=-", "APT::Get::List-Cleanup=false")
        self._update(*(word for option in only for word in ("-o", option)))

    def _update(self, *options: str) -> None:
        argv = ("apt-get", "-q", "-o", "APT::Update::Error-Mode=any", *options, "update")
        waiting = Waiting(self._host)
        waiting.until_free(_LIST_LOCKS)
        completed = self._host.run_detached(*argv, env=_ENVIRONMENT, timeout_seconds=_UPDATE_TIMEOUT_SECONDS)
        waiting.tell()
        _checked(completed, noise=_NOISE[1:])  # why a signature is not believed is only a warning to apt

    def mend(self) -> None:
        """Nothing here: apt itself says, when it is run, that dpkg was interrupted."""

    def change(self, asks: Sequence[Ask], removable: Collection[str]) -> Mapping[str, str]:
        """Install and remove in one transaction that removes nothing asked for by name but what is `removable`."""
        for ask in asks:
            self._check_file(ask)
        options = asks[0].options
        arguments = (
            *_forced(options.config_files),
            *_RECOMMENDS[options.recommends],
            *target_release(options.repository),
            *(["--allow-downgrades"] if any(ask.downgrade for ask in asks) else []),
            *(["--reinstall"] if asks[0].again else []),
            "install",
            *(_argument(ask) for ask in asks),
        )
        environment = {**_ENVIRONMENT, _UCF[options.config_files]: "1"}
        self._transact(arguments, {*removable, *(ask.name for ask in asks if ask.remove)}, environment)
        return {}

    def purge(self, names: Sequence[str]) -> None:
        """Remove packages with their configuration files. Raises as `change` does."""
        self._transact((*_forced("keep"), "purge", *names), set(names), _ENVIRONMENT)

    def hold(self, names: Sequence[str]) -> None:
        """As apt-mark(8) does it."""
        self._host.run("apt-mark", "hold", *names)

    def unhold(self, names: Sequence[str]) -> None:
        """As apt-mark(8) does it."""
        self._host.run("apt-mark", "unhold", *names)

    def mark_manual(self, names: Sequence[str]) -> None:
        """As apt-mark(8) does it."""
        self._host.run("apt-mark", "manual", *names)

    def answer(self, answers: str) -> None:
        """Through standard input, for answers may be secret and arguments are not."""
        self._host.run("debconf-set-selections", stdin=answers)

    def _check_file(self, ask: Ask) -> None:
        if not ask.path:
            return
        fields = self._host.probe("dpkg-deb", "-f", ask.path, "Package", "Version").stdout.splitlines()
        found = [line.partition(": ")[2] for line in fields]
        if found != [ask.name.partition(":")[0], ask.version]:
            raise TransactionFailed(
                f"the file holds {' '.join(found)}, not {ask.name} {ask.version}; correct `version`"
            )

    def _transact(self, arguments: tuple[str, ...], permitted: set[str], environment: Mapping[str, str]) -> None:
        completed = self._attempt(arguments, permitted, environment)
        if _interrupted(completed):
            self._finish_interrupted()
            completed = self._attempt(arguments, permitted, environment)
        _checked(completed)

    def _attempt(self, arguments: tuple[str, ...], permitted: set[str], environment: Mapping[str, str]) -> Completed:
        waiting = Waiting(self._host)
        waiting.until_free(_LOCKS)  # before the look, which would be of what another is just changing
        simulated = self._host.probe(
            *("apt-get", "-s", "-q", "-y", *_OPTIONS, *arguments),
            accept=(0, 100),
            timeout_seconds=_SIMULATE_TIMEOUT_SECONDS,
        )
        if _interrupted(simulated):
            return simulated
        if simulated.status:
            raise TransactionFailed(_reason(simulated))
        check_removals(set(_removed(simulated)), permitted, self.automatic)
        argv = ("apt-get", "-q", "-y", *_OPTIONS, *arguments)
        completed = self._host.run_detached(*argv, env=environment, timeout_seconds=TRANSACTION_TIMEOUT_SECONDS)
        waiting.tell()
        return completed

    def _finish_interrupted(self) -> None:
        argv = ("dpkg", *_KEEP, "--configure", "-a")
        mended = self._host.repair(
            "dpkg was interrupted", *argv, env=_ENVIRONMENT, timeout_seconds=TRANSACTION_TIMEOUT_SECONDS
        )
        if mended.status:
            raise ResourceError(f"dpkg was interrupted, and `dpkg --configure -a` did not mend it: {_reason(mended)}")


def _argument(ask: Ask) -> str:
    """One package as apt-get(8) takes it."""
    if ask.remove:
        return f"{ask.name}-"
    return ask.path or (f"{ask.name}={ask.version}" if ask.version else ask.name)


def _forced(config_files: ConfigFiles) -> tuple[str, ...]:
    options = _KEEP if config_files == "keep" else _REPLACE
    return tuple(word for option in options for word in ("-o", f"Dpkg::Options::={option}"))


def _checked(completed: Completed, noise: tuple[str, ...] = _NOISE) -> None:
    """Raise why apt failed, if it did."""
    if not completed.status:
        return
    if holder := _HOLDER.search(completed.stdout + completed.stderr):
        raise held_for_long(Holder(holder[2], holder[3], holder[1]))
    if _interrupted(completed):
        raise ResourceError(f"dpkg was interrupted again after it was mended: {_reason(completed)}")
    raise TransactionFailed(_reason(completed, noise))


def _interrupted(completed: Completed) -> bool:
    return completed.status != 0 and "dpkg was interrupted" in completed.stderr


def _removed(simulated: Completed) -> Iterator[str]:
    for line in simulated.stdout.splitlines():
        if line.startswith(("Remv ", "Purg ")):
            yield line.split()[1]


def _reason(completed: Completed, noise: tuple[str, ...] = _NOISE) -> str:
    """Why apt failed: unmet dependencies or what a script printed when there is such, then the last of its errors."""
    printed = completed.stdout.splitlines()
    start = next((at for at, line in enumerate(printed, 1) if "have unmet dependencies" in line), len(printed))
    unmet = [line.strip() for line in printed[start:] if line.startswith(" ")]
    said = [line for name in _FAILED.findall(completed.stderr) for line in _script_output(printed, name)]
    errors = [line.strip() for line in completed.stderr.splitlines() if line.strip() and not line.startswith(noise)]
    lines = [*unmet[:LAST_LINES], *said[-LAST_LINES:], *errors[-LAST_LINES:]]
    lines = lines or [line for line in printed if line.strip()][-LAST_LINES:]
    return "\n".join(lines) or f"it ended with status {completed.status} and said nothing"


def _script_output(printed: Sequence[str], package: str) -> list[str]:
    """What was printed between the last step of dpkg with a package and its next step."""
    begun = [at for at, line in enumerate(printed) if (step := _STEP.match(line)) and step[1] == package]
    if not begun:
        return []
    after = printed[begun[-1] + 1 :]
    return list(itertools.takewhile(lambda line: not _STEP.match(line), after))[-LAST_LINES:]
