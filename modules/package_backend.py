"""What `package` knows of a package manager: its database, what its archives offer, and transactions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from modules.api import ResourceError

OWN_PACKAGE = "gitops-agent"
INDEX_MAX_AGE_SECONDS = 24 * 3600  # an older package index is fetched again before something is installed
LOCK_TIMEOUT_SECONDS = 300  # how long the lock of another package manager is waited for
TRANSACTION_TIMEOUT_SECONDS = 3600
LAST_LINES = 6  # of what a package manager printed, in a message

ConfigFiles = Literal["keep", "replace"]


class TransactionFailed(ResourceError):
    """This set of changes was refused or failed; a part of it may still work."""


@dataclass(frozen=True)
class Known:
    """One package that the host's database knows."""

    name: str
    architecture: str
    version: str  # in full, as the package manager writes it; the newest of several
    status: str = "installed"  # or config-files, or a word of the package manager for what is neither
    held: bool = False
    broken: bool = False  # it must be installed again before anything else can be done with it
    several: bool = False  # more versions of it are there than there may be

    @property
    def is_there(self) -> bool:
        """Whether more is there than configuration files."""
        return self.status != "config-files"


@dataclass(frozen=True)
class Offer:
    """What the archives have of one package."""

    candidate: str = ""  # what would be installed, by pins and holds; empty when none may be
    versions: tuple[str, ...] = ()  # newest first, the installed one among them

    def pick(self, accepted: Callable[[str], bool] | None) -> str:
        """What would be installed, of the versions that are accepted; empty when nothing is.

        The candidate goes before newer versions that pins rate lower.
        """
        if accepted is None:
            return self.candidate
        return next((version for version in (self.candidate, *self.versions) if version and accepted(version)), "")

    def newest(self) -> str:
        """The newest versions, as text."""
        return ", ".join(self.versions[:5]) + (", ..." if len(self.versions) > 5 else "")

    def is_newer(self, version: str, other: str) -> bool:
        """Whether one version stands above another in the package manager's order; false when either is unknown."""
        if version not in self.versions or other not in self.versions:
            return False
        return self.versions.index(version) < self.versions.index(other)


@dataclass(frozen=True)
class Options:
    """How a transaction is run; packages with the same options share one."""

    config_files: ConfigFiles = "keep"
    recommends: bool | None = None  # None leaves it to the host's configuration
    repository: str = ""  # where it comes from before all others: a release of apt, the id of a repository of dnf


@dataclass(frozen=True)
class Ask:
    """One package to install (a version, or whatever is the candidate; or from a file) or to remove."""

    name: str
    version: str = ""
    remove: bool = False
    path: str = ""  # a package file to install it from
    downgrade: bool = False  # to a version older than the installed one
    again: bool = False  # it was never unpacked to the end, though the version may be the right one
    options: Options = Options()


class Database(Protocol):
    """What is installed, from one read whatever the number of packages."""

    def find(self, name: str) -> Known | None:
        """The package of a name (`name:architecture` for one that is not native); None when nothing is known of it."""

    def providers(self, names: Collection[str]) -> Mapping[str, Sequence[str]]:
        """The installed packages that provide each virtual package that is provided at all, sorted."""


class PackagesView(Protocol):
    """The package manager of a host, read only. Every method raises ResourceError."""

    @property
    def suffix(self) -> str:
        """How the names of its package files end."""

    def database(self) -> Database:
        """One read of the database."""

    def automatic(self) -> Collection[str]:
        """Names of packages known to have come as dependencies of others only, as `find` takes them."""

    def offers(self, names: Sequence[str], repository: str = "") -> Mapping[str, Offer]:
        """What the archives, or one `repository`, have as of the last fetch of the index; unknown names are missing."""

    def index_age_seconds(self, repository: str = "") -> float:
        """How long ago the index, or of dnf that of one `repository`, was fetched.

        Infinite when never, or when a repository has changed since.
        """

    def spellings(self, version: str) -> Sequence[str]:
        """The ways a person may write a version: in full, and with what may be left out left out."""

    def shaped(self, version: str, bound: str) -> str:
        """A version with only those parts (epoch, release) that a bound has, to be compared with it."""

    def is_newer(self, version: str, other: str) -> bool:
        """Whether one version stands above another, by the package manager's own comparison."""

    def needed_by_agent(self, names: Sequence[str]) -> Collection[str]:
        """Those of some installed packages that cannot go without the agent's own package."""

    def unsupported(self, options: Options, *, answers: bool) -> str:
        """Why it cannot do as the options say, or answer questions if it must; empty when it can."""


class Packages(PackagesView, Protocol):
    """The same, to be changed."""

    def refresh_index(self, repositories: Collection[str] = ()) -> None:
        """Fetch the index, also of these repositories of dnf that may be disabled. Raises ResourceError when one failed."""

    def mend(self) -> None:
        """Recover a transaction that the database shows to have been interrupted, at most once a pass."""

    def change(self, asks: Sequence[Ask], removable: Collection[str]) -> Mapping[str, str]:
        """Install and remove, with one set of options; what failed of packages that count as installed all the same.

        What was installed by name and is neither asked to go nor `removable` is never removed, nor is what the agent
        needs. Raises TransactionFailed when a part of it may still work, and ResourceError when nothing would.
        """

    def purge(self, names: Sequence[str]) -> None:
        """Remove the configuration files that packages left behind. Raises as `change` does."""

    def hold(self, names: Sequence[str]) -> None:
        """Keep installed packages at their versions."""

    def unhold(self, names: Sequence[str]) -> None:
        """Let them go."""

    def mark_manual(self, names: Sequence[str]) -> None:
        """Have them kept when nothing depends on them."""

    def answer(self, answers: str) -> None:
        """Store answers to the questions that packages ask, in the form of debconf-set-selections(1)."""


def check_removals(
    removed: Collection[str], permitted: Collection[str], automatic: Callable[[], Collection[str]]
) -> None:
    """Refuse a transaction that takes the agent, or what was installed by name and may not go, with it."""
    if OWN_PACKAGE in removed:
        others = sorted({*removed} - {OWN_PACKAGE})
        raise TransactionFailed(
            f"refused, because it would remove {OWN_PACKAGE}, the agent itself"
            + (f" (with {', '.join(others)})" if others else "")
        )
    others = sorted({*removed} - {*permitted})
    if others:
        came_along = automatic()
        others = [name for name in others if name not in came_along]
    if others:
        raise TransactionFailed(
            f"refused, because it would also remove {', '.join(others)}, installed by name; "
            "declare that with `ensure: absent` too, if it is meant"
        )
