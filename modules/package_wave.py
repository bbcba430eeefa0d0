"""The packages of one wave: resolved against the archives, then converged in as few transactions as it takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from modules.api import Host, ResourceError
from modules.apt import (
    LISTS_MAX_AGE_SECONDS,
    OWN_PACKAGE,
    Apt,
    Ask,
    Offer,
    TransactionFailed,
    lists_age_seconds,
    read_offers,
)
from modules.dpkg import Known, read_database

_UNKNOWN_MAX_AGE_SECONDS = 60  # a name or version that the lists do not have is looked for in newer ones
_MAX_SPLITS = 40  # how often a failed transaction is halved to find what made it fail


class Wish(Protocol):
    """What Git says of one package."""

    @property
    def name(self) -> str:
        """The package, with its architecture when that is not the host's own."""

    @property
    def ensure(self) -> str:
        """present, absent, purged or latest."""

    @property
    def version(self) -> str | None:
        """A version or a glob."""


Drifting = Callable[[Collection[str]], Collection[str]]


def converge_packages(host: Host, wishes: Sequence[Wish], drifting: Drifting) -> list[ResourceError | None]:
    """Install and remove what the wishes say; an error for each that failed.

    `drifting` looks again, and tells which of these names are not yet as they should be.
    """
    wave = _Wave(host, drifting)
    wave.run(wishes)
    return [wave.errors.get(wish.name) for wish in wishes]


class _Wave:
    """One wave: what is asked for each name, and what went wrong with it."""

    def __init__(self, host: Host, drifting: Drifting) -> None:
        self.errors: dict[str, ResourceError] = {}
        self._host = host
        self._drifting = drifting
        self._database = read_database(host)
        self._apt = Apt(host, self._database.native)
        self._asks: dict[str, Ask] = {}
        self._splits = 0
        self._update_error: ResourceError | None = None

    def run(self, wishes: Sequence[Wish]) -> None:
        offers = self._fresh_offers([wish for wish in wishes if not _is_removal(wish)])
        for wish in wishes:
            try:
                self._asks[wish.name] = self._ask(wish, offers.get(wish.name, Offer()))
            except ResourceError as error:
                self.errors[wish.name] = error
        self._attempt([name for name in self._asks if name != OWN_PACKAGE], self._change)
        if OWN_PACKAGE in self._asks:
            self._attempt([OWN_PACKAGE], self._change)  # last, so that nothing is left to do with the old code
        self._database = read_database(self._host)
        purged = [wish.name for wish in wishes if wish.ensure == "purged" and wish.name not in self.errors]
        self._attempt([name for name in purged if self._has_left_configuration(name)], self._apt.purge)

    def _fresh_offers(self, wishes: Sequence[Wish]) -> dict[str, Offer]:
        """What the archives have for each name, the lists fetched first when that may tell more."""
        if not wishes:
            return {}
        names = [wish.name for wish in wishes]
        offers = self._offers(names)
        age = lists_age_seconds(self._host)
        unknown = not all(offers[wish.name].pick(wish.version) for wish in wishes)
        if age > LISTS_MAX_AGE_SECONDS or (unknown and age > _UNKNOWN_MAX_AGE_SECONDS):
            try:
                self._apt.update()
            except ResourceError as error:
                self._update_error = error  # said by those who need newer lists; the others go on with the old ones
            return self._offers(names)
        return offers

    def _offers(self, names: Sequence[str]) -> dict[str, Offer]:
        offers = read_offers(self._host, names)
        return {name: offers.get(self._database.plain_name(name), Offer()) for name in names}

    def _ask(self, wish: Wish, offer: Offer) -> Ask:
        """What to ask apt for. Raises ResourceError when it cannot or must not be asked."""
        known = self._database.find(wish.name)
        if _is_removal(wish):
            if known is not None and known.wish == "hold":
                raise ResourceError(
                    f"{wish.name} is held, so it is not removed; `apt-mark unhold {wish.name}` lets it go"
                )
            return Ask(wish.name, remove=True)
        if wish.ensure == "latest" and self._update_error:
            raise ResourceError(
                f"what the latest {wish.name} is cannot be told, the package lists are old: {self._update_error}"
            )
        picked = offer.pick(wish.version)
        if not picked:
            raise ResourceError(self._why_not(wish, offer))
        if known is not None and known.is_whole and picked != known.version:
            _check_change(known, picked, offer)
        return Ask(wish.name, picked if wish.version else "")

    def _why_not(self, wish: Wish, offer: Offer) -> str:
        if offer.versions and wish.version:
            what = f"no version of {wish.name} matches {wish.version}; the archive has {offer.newest()}"
        elif offer.versions:
            what = f"apt's pins keep every version of {wish.name} out; the archive has {offer.newest()}"
        else:
            what = (
                f"no package {wish.name} in the configured archives; check the name (a virtual package is asked for "
                "by the name of one that provides it) and the sources in /etc/apt"
            )
        return what + (f"; the package lists could not be fetched: {self._update_error}" if self._update_error else "")

    def _attempt(self, names: Sequence[str], action: Callable[[Sequence[str]], None]) -> None:
        """Do it for all at once; when that fails, for each half of those that still drift."""
        if not names:
            return
        try:
            action(names)
        except ResourceError as error:
            still = self._drifting(names)
            left = [name for name in names if name in still]
            if len(left) > 1 and isinstance(error, TransactionFailed) and self._splits < _MAX_SPLITS:
                self._splits += 1
                middle = len(left) // 2
                self._attempt(left[:middle], action)
                self._attempt(left[middle:], action)
                return
            company = f" (in one transaction with {len(left) - 1} others)" if len(left) > 1 else ""
            self.errors |= {name: ResourceError(f"{name}{company}: {error}") for name in left}

    def _change(self, names: Sequence[str]) -> None:
        removable = [ask.name for ask in self._asks.values() if ask.remove]
        self._apt.change(
            [ask for name in names if not (ask := self._asks[name]).remove or self._is_there(name)], removable
        )

    def _is_there(self, name: str) -> bool:
        return self._database.find(name) is not None and not self._has_left_configuration(name)

    def _has_left_configuration(self, name: str) -> bool:
        known = self._database.find(name)
        return known is not None and known.status == "config-files"


def _is_removal(wish: Wish) -> bool:
    return wish.ensure in ("absent", "purged")


def _check_change(known: Known, picked: str, offer: Offer) -> None:
    """Refuse to change what an admin holds, and to go back to an older version."""
    name = known.name
    if known.wish == "hold":
        raise ResourceError(f"{name} is held at {known.version}; `apt-mark unhold {name}` lets it change")
    if offer.is_newer(known.version, picked):
        raise ResourceError(
            f"{name} {known.version} is installed and {picked} is older: downgrades are refused; "
            f"do it by hand if it is meant: apt-get install --allow-downgrades {name}={picked}"
        )
