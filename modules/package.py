"""package: hold one package installed, at a version, or away."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Drift, Host, HostView, Observation, Resource, ResourceError, State, Value
from modules.apt import LISTS_MAX_AGE_SECONDS, OWN_PACKAGE, Offer, lists_age_seconds, matches, read_offers
from modules.dpkg import Database, Known, read_database
from modules.fields import NAME, choice, identity, option

_GONE = ("absent", "purged")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?")
_VERSION = re.compile(r"[A-Za-z0-9*?\[][A-Za-z0-9.+:~*?\[\]!^_-]*")


@dataclass(frozen=True, kw_only=True)
class Package(Resource, kind="package", identity="name"):
    """A package of the host's package manager (apt), installed, at a version, or away.

    All packages that are ready go to the package manager in one transaction, which waits for its lock, keeps
    configuration files that were edited, and asks nothing. The package lists are fetched first when they are older
    than a day or do not have what is asked for. Nothing that somebody installed by name is removed on the way: declare
    it absent too, if that is meant. Downgrades are refused.
    """

    gathers = True

    name: str = identity(NAME, "The package; `name:architecture` for one of another architecture.")
    ensure: str = option(
        choice("present", "absent", "purged", "latest"),
        "`present` never upgrades; `absent` leaves configuration files; `purged` leaves nothing; `latest` follows the "
        "version that apt would install, by its pins and holds.",
        "present",
    )
    version: str | None = option(
        NAME,
        'The version to hold, with epoch and revision as the package manager writes it, or a glob such as `"1.22.*"`. '
        "What is installed stays when it matches.",
    )

    def problems(self) -> Sequence[str]:
        """Find names and versions that no package can have, and wishes that contradict each other."""
        found = []
        if not _NAME.fullmatch(self.name):
            found.append(
                f"`{self.name}` is not the name of one package: letters, digits, `+`, `-`, `.`, `_`, then "
                "`:architecture` if need be; no globs and no versions (use `version`)"
            )
        if self.name.partition(":")[2] in ("any", "all", "native"):
            found.append(f"`{self.name}` names no one architecture; write one such as amd64, or leave it out")
        if self.version is not None and not _VERSION.fullmatch(self.version):
            found.append(f"`version: {self.version}` is neither a version nor a glob; ranges are not supported")
        if self.version is not None and self.ensure != "present":
            found.append(f"`version` contradicts `ensure: {self.ensure}`; keep one of them")
        if self.name == OWN_PACKAGE and self.ensure in _GONE:
            found.append("the agent does not remove itself; use the package manager by hand")
        return found

    def provides(self) -> Sequence[str]:
        """Its name."""
        return (f"package:{self.name}",)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """Everything that says where packages come from."""
        directories = ("sources.list.d", "preferences.d", "keyrings", "apt.conf.d", "trusted.gpg.d", "auth.conf.d")
        return (
            *((f"in:/etc/apt/{name}",) for name in directories),
            ("in:/usr/share/keyrings",),
            ("path:/etc/apt/sources.list",),
            ("path:/etc/apt/preferences",),
        )

    def desired(self, observed: State) -> State:
        """Presence, and the version that the wish comes to on this host.

        A glob that the installed version matches is that version; else it is what the archive would bring, else the
        glob as it is written. `archive` is only there when the archives do not have what is asked for.
        """
        if self.ensure in _GONE:
            return {"ensure": self.ensure}
        wanted: dict[str, Value] = {"ensure": "present"}
        if "archive" in observed:
            wanted["archive"] = "available"
        if "lists" in observed:
            wanted["lists"] = "current"
        if self.version is None:
            wanted["version"] = observed.get("candidate")
        elif matches(self.version, str(observed.get("version", ""))):
            wanted["version"] = observed["version"]
        else:
            wanted["version"] = observed.get("candidate", self.version)
        return wanted

    def undo(self, prior: State) -> Self | None:
        """Take away what was not there before; a version that was changed stays."""
        if self.ensure in _GONE or prior.get("ensure") != "absent":
            return None
        return type(self)(name=self.name, ensure="absent")

    def observe(self, host: HostView) -> State:
        """Read dpkg's database. Raises ResourceError, Unsupported where there is no apt."""
        found = self.observe_all(host, [self])[0]
        if isinstance(found, ResourceError):
            raise found
        return found

    def apply(self, host: Host, drift: Drift) -> None:
        """Install or remove this one. Raises ResourceError."""
        if error := self.apply_all(host, [(self, drift)])[0]:
            raise error

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """One read of dpkg's database; apt is asked, once, only when something is missing or its newest is wanted."""
        database = read_database(host)
        known = [database.find(package.name) for package in wanted]
        questions = [package.name for package, found in zip(wanted, known, strict=True) if package.asks_archive(found)]
        offers = read_offers(host, questions) if questions else {}
        lists_are_old = (
            any(package.ensure == "latest" for package in wanted) and lists_age_seconds(host) > LISTS_MAX_AGE_SECONDS
        )
        observations: list[Observation] = []
        for package, found in zip(wanted, known, strict=True):
            if problem := _unusable(package, found, database):
                observations.append(problem)
                continue
            state = _installed_state(package, found)
            if package.asks_archive(found):
                offer = offers.get(database.plain_name(package.name))
                state |= _archive_state(package, found, offer, database.providers(package.name))
            if package.ensure == "latest" and lists_are_old:
                state["lists"] = "old"
            observations.append(state)
        return observations

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """Bring all in one transaction; when that fails, in smaller ones, until what fails is known."""
        from modules.package_wave import converge_packages

        packages = {package.name: package for package, _ in steps}

        def drifting(names: Collection[str]) -> Collection[str]:
            wanted = [packages[name] for name in names]
            seen = cls.observe_all(host, wanted)
            return {package.name for package, state in zip(wanted, seen, strict=True) if package.drifts(state)}

        return converge_packages(host, list(packages.values()), drifting)

    def drifts(self, seen: Observation) -> bool:
        """Whether it is not as Git wants it, or cannot be observed."""
        if isinstance(seen, ResourceError):
            return True
        return any(want is not None and seen.get(key) != want for key, want in self.desired(seen).items())

    def asks_archive(self, known: Known | None) -> bool:
        """Whether the archives must be asked what this comes to."""
        if self.ensure in _GONE:
            return False
        if self.ensure == "latest" or known is None or known.status == "config-files":
            return True
        return self.version is not None and not matches(self.version, known.version)


def _unusable(package: Package, known: Known | None, database: Database) -> ResourceError | None:
    if known is not None and known.flag == "reinstreq":
        return ResourceError(
            f"dpkg says that {package.name} is broken and must be installed again; "
            f"do that by hand: apt-get install --reinstall {package.name}"
        )
    if known is None and package.ensure in _GONE and (providers := database.providers(package.name)):
        return ResourceError(
            f"{package.name} is a virtual package, here provided by {', '.join(providers)}; name that one"
        )
    return None


def _installed_state(package: Package, known: Known | None) -> dict[str, Value]:
    """What dpkg says of a package; states between installed and not are shown in dpkg's own words."""
    if known is None:
        return {"ensure": "purged" if package.ensure == "purged" else "absent"}
    if known.status == "config-files":
        return {"ensure": "absent"}
    state: dict[str, Value] = {"ensure": "present" if known.is_whole else known.status, "version": known.version}
    if known.wish == "hold":
        state["hold"] = True
    return state


def _archive_state(
    package: Package, known: Known | None, offer: Offer | None, providers: list[str]
) -> dict[str, Value]:
    """What the archives would bring for the wish, or why they cannot."""
    offer = offer or Offer()
    picked = offer.pick(package.version)
    if known is not None and known.status != "config-files":
        if package.ensure == "latest" and (known.wish == "hold" or not offer.is_newer(picked, known.version)):
            picked = known.version
    elif providers and not picked and package.version is None:
        return {"ensure": "present", "provided_by": tuple(providers)}
    if picked:
        return {"candidate": picked}
    return {"archive": f"has {offer.newest()}" if offer.versions else "no such package"}
