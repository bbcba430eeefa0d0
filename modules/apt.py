"""apt: what the archives offer, and transactions that are looked at before they are run."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from modules.api import Completed, FileView, Host, HostView, ResourceError

OWN_PACKAGE = "gitops-agent"
LISTS_MAX_AGE_SECONDS = 24 * 3600  # older package lists are fetched again before something is installed
LOCK_TIMEOUT_SECONDS = 300
TRANSACTION_TIMEOUT_SECONDS = 3600
_UPDATE_TIMEOUT_SECONDS = 900
_SIMULATE_TIMEOUT_SECONDS = 120
_LAST_LINES = 6

_SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")
_STAMP = "/var/lib/apt/periodic/update-success-stamp"
_STAMPS = (_STAMP, "/var/lib/apt/periodic/update-stamp", "/var/lib/apt/lists/partial", "/var/lib/apt/lists")
_MARKS = "/var/lib/apt/extended_states"
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",  # list what needs a restart: units are restarted by those who declare `restart_on`
    "UCF_FORCE_CONFFOLD": "1",
}
_KEEP_CONFIGURATION = ("--force-confdef", "--force-confold")
_OPTIONS = (
    *("-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_SECONDS}"),
    *("-o", "Dpkg::Use-Pty=0"),
    *("-o", "APT::Get::AutomaticRemove=false"),
    *(word for option in _KEEP_CONFIGURATION for word in ("-o", f"Dpkg::Options::={option}")),
)
_VERSION_LINE = re.compile(r"(?: \*\*\*|    ) (\S+) -?\d+")
_HOLDER = re.compile(r"Could not get lock (\S+)\. It is held by process (\d+) \(([^)]*)\)")
_NOISE = ("W: ", "N: ", "debconf: delaying package configuration")


class TransactionFailed(ResourceError):
    """This set of changes was refused or failed; a part of it may still work."""


@dataclass(frozen=True)
class Offer:
    """What the archives have of one package."""

    candidate: str = ""  # what apt would install, by its pins; empty when it may install none
    versions: tuple[str, ...] = ()  # newest first, the installed one among them

    def pick(self, pattern: str | None) -> str:
        """What apt would install, of the versions that match a pattern if there is one; empty when nothing does.

        The candidate goes before newer versions that apt's pins rate lower.
        """
        if not pattern:
            return self.candidate
        return next((version for version in (self.candidate, *self.versions) if matches(pattern, version)), "")

    def newest(self) -> str:
        """The newest versions, as text."""
        return ", ".join(self.versions[:5]) + (", ..." if len(self.versions) > 5 else "")

    def is_newer(self, version: str, other: str) -> bool:
        """Whether one version stands above another in apt's own order; false when either is unknown."""
        if version not in self.versions or other not in self.versions:
            return False
        return self.versions.index(version) < self.versions.index(other)


@dataclass(frozen=True)
class Ask:
    """One package to install (a version, or whatever is apt's candidate) or to remove."""

    name: str
    version: str = ""
    remove: bool = False

    @property
    def argument(self) -> str:
        """As apt-get(8) takes it."""
        if self.remove:
            return f"{self.name}-"
        return f"{self.name}={self.version}" if self.version else self.name


def matches(pattern: str, version: str) -> bool:
    """Whether a version is the asked one; `*` and `?` are globs, and a pattern without epoch matches any epoch."""
    if not version:
        return False
    return fnmatchcase(version, pattern) or fnmatchcase(version.partition(":")[2], pattern)


def read_offers(host: HostView, names: Sequence[str]) -> Mapping[str, Offer]:
    """What the archives have, by name as apt writes it (without the native architecture); unknown names are missing."""
    offers: dict[str, Offer] = {}
    candidate, versions, name = "", list[str](), ""
    for line in host.probe("apt-cache", "policy", *names).stdout.splitlines():
        if not line.startswith(" "):
            name, candidate, versions = line.removesuffix(":"), "", []
        elif line.startswith("  Candidate: "):
            candidate = line.split(": ", 1)[1].replace("(none)", "")
        elif found := _VERSION_LINE.fullmatch(line):
            versions.append(found[1])
        offers[name] = Offer(candidate, tuple(versions))
    return offers


def lists_age_seconds(host: HostView) -> float:
    """How long ago apt's package lists were fetched; infinite when never, or when a source has changed since."""
    fetched = max((found.mtime_ns for path in _STAMPS if (found := host.files.lstat(path))), default=0)
    if not fetched or any(changed > fetched for changed in _sources_changed(host.files)):
        return float("inf")
    return time.time() - fetched / 1e9


def _sources_changed(files: FileView) -> Iterator[int]:
    for path in (*_SOURCES, *(f"{_SOURCES[1]}/{name}" for name in files.listdir(_SOURCES[1]))):
        if found := files.lstat(path):
            yield found.ctime_ns


class Apt:
    """apt on one host."""

    def __init__(self, host: Host, native: str) -> None:
        """`native` is the host's own architecture, which apt leaves out of names."""
        self._host = host
        self._native = native

    def update(self) -> None:
        """Fetch the package lists. Raises ResourceError, also when only one source failed."""
        argv = ("apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
        self._complete(argv, _UPDATE_TIMEOUT_SECONDS)
        # apt leaves no trace of an update that found nothing new; this stamp is where its own timers look.
        if self._host.files.lstat(_STAMP.rpartition("/")[0]):
            self._host.run("touch", "--", _STAMP)

    def change(self, asks: Sequence[Ask], removable: Iterable[str]) -> None:
        """Install and remove in one transaction that removes nothing asked for by name but what is `removable`.

        Raises TransactionFailed when a part of it may still work, and ResourceError when nothing would.
        """
        self._transact(("install", *(ask.argument for ask in asks)), {*removable, *(a.name for a in asks if a.remove)})

    def purge(self, names: Sequence[str]) -> None:
        """Remove packages with their configuration files. Raises as `change` does."""
        self._transact(("purge", *names), set(names))

    def _transact(self, arguments: tuple[str, ...], removable: set[str]) -> None:
        simulated = self._simulate(arguments)
        if _interrupted(simulated):
            self._complete(("dpkg", *_KEEP_CONFIGURATION, "--configure", "-a"), TRANSACTION_TIMEOUT_SECONDS)
            simulated = self._simulate(arguments)
        if simulated.status:
            raise TransactionFailed(_reason(simulated))
        self._check_removals(set(_removed(simulated)), removable)
        self._complete(("apt-get", "-q", "-y", *_OPTIONS, *arguments), TRANSACTION_TIMEOUT_SECONDS)

    def _simulate(self, arguments: tuple[str, ...]) -> Completed:
        return self._host.probe(
            *("apt-get", "-s", "-q", "-y", *_OPTIONS, *arguments),
            accept=(0, 100),
            timeout_seconds=_SIMULATE_TIMEOUT_SECONDS,
        )

    def _check_removals(self, removed: set[str], removable: set[str]) -> None:
        if OWN_PACKAGE in removed:
            others = sorted(removed - {OWN_PACKAGE})
            raise TransactionFailed(
                f"refused, because it would remove {OWN_PACKAGE}, the agent itself"
                + (f" (with {', '.join(others)})" if others else "")
            )
        others = sorted(removed - removable)
        if others and (others := [name for name in others if name not in self._installed_automatically()]):
            raise TransactionFailed(
                f"refused, because it would also remove {', '.join(others)}, installed by name; "
                "declare that with `ensure: absent` too, if it is meant"
            )

    def _installed_automatically(self) -> set[str]:
        """Names of packages that came as dependencies of others, as apt-mark(8) tells them."""
        if self._host.files.lstat(_MARKS) is None:
            return set()
        found = set()
        for stanza in self._host.files.read(_MARKS).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
            if fields.get("Auto-Installed") == "1":
                architecture = fields.get("Architecture", self._native)
                found.add(fields["Package"] + ("" if architecture == self._native else f":{architecture}"))
        return found

    def _complete(self, argv: tuple[str, ...], timeout_seconds: float) -> None:
        completed = self._host.run_detached(*argv, env=_ENVIRONMENT, timeout_seconds=timeout_seconds)
        if not completed.status:
            return
        if holder := _HOLDER.search(completed.stdout + completed.stderr):
            path, process, name = holder.groups()
            raise ResourceError(
                f"another package manager is at work: {name} (pid {process}) holds {path}; "
                f"this pass waited, the next one tries again (look at `ps -fp {process}` if it never ends)"
            )
        if _interrupted(completed) or argv[0] == "dpkg":
            raise ResourceError(
                f"dpkg was interrupted, and `dpkg --configure -a` did not mend it: {_reason(completed)}"
            )
        raise TransactionFailed(_reason(completed))


def _interrupted(completed: Completed) -> bool:
    return completed.status != 0 and "dpkg was interrupted" in completed.stderr


def _removed(simulated: Completed) -> Iterator[str]:
    for line in simulated.stdout.splitlines():
        if line.startswith(("Remv ", "Purg ")):
            yield line.split()[1]


def _reason(completed: Completed) -> str:
    """Why apt failed: unmet dependencies when it names some, then the last lines of its errors."""
    printed = completed.stdout.splitlines()
    start = next((at for at, line in enumerate(printed, 1) if "have unmet dependencies" in line), len(printed))
    unmet = [line.strip() for line in printed[start:] if line.startswith(" ")]
    errors = [line.strip() for line in completed.stderr.splitlines() if line.strip() and not line.startswith(_NOISE)]
    lines = [*unmet[:_LAST_LINES], *errors[-_LAST_LINES:]] or [line for line in printed if line.strip()][-_LAST_LINES:]
    return "\n".join(lines) or f"apt-get ended with status {completed.status} and said nothing"
