"""The packages of one wave: resolved against the archives, then converged in as few transactions as it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack

from modules.api import Host, ResourceError
from modules.package_backend import (
    INDEX_MAX_AGE_SECONDS,
    OWN_PACKAGE,
    Ask,
    Known,
    Offer,
    Options,
    TransactionFailed,
)
from modules.package_choice import take
from modules.package_look import find_known, offers_for, pick
from modules.package_wish import Wish, is_removal

_UNKNOWN_MAX_AGE_SECONDS = 60  # a name or version that the index does not have is looked for in a newer one
_MAX_SPLITS = 40  # how often a failed transaction is halved to find what made it fail

Changing = Callable[[Collection[str]], Collection[str]]
Action = Callable[[Sequence[str]], None]


def converge_packages(host: Host, wishes: Sequence[Wish], changing: Changing) -> list[ResourceError | None]:
    """Bring packages to what the wishes say; an error for each that failed.

    `changing` looks again, and tells which of these names must still be installed, changed or removed.
    """
    with ExitStack() as files:
        wave = _Wave(host, wishes, changing, files)
        try:
            wave.change()
        finally:
            wave.mark()
    return [wave.errors.get(wish.name) for wish in wishes]


class _Wave:
    """One wave: what is asked for each name, and what went wrong with it."""

    def __init__(self, host: Host, wishes: Sequence[Wish], changing: Changing, files: ExitStack) -> None:
        self.errors: dict[str, ResourceError] = {}
        self._host = host
        self._wishes = {wish.name: wish for wish in wishes}
        self._changing = changing
        self._files = files
        self._packages = take(host)
        self._asks: dict[str, Ask] = {}
        self._splits = 0
        self._index_error: ResourceError | None = None

    def change(self) -> None:
        """Install, change and remove."""
        self._packages.mend()
        names = self._changing(self._wishes)
        offers = self._fresh_offers([self._wishes[name] for name in names])
        self._database = self._packages.database()
        for name in self._changing(names):
            self._gather(name, lambda name: self._prepare(self._wishes[name], offers.get(name, Offer())))
        for group in self._groups():
            self._attempt(group, self._transact)
        self._purge()

    def mark(self) -> None:
        """Hold, let go, and mark as wanted by name, whatever came of the changes."""
        database, automatic = self._packages.database(), self._packages.automatic()
        there = {name: known for name in self._wishes if (known := find_known(database, name))}
        wanted = {name: self._wishes[name].hold for name in there}
        self._together([name for name, known in there.items() if wanted[name] and not known.held], self._packages.hold)
        loose = [name for name, known in there.items() if wanted[name] is False and known.held]
        self._together(loose, self._packages.unhold)
        came_along = [name for name in there if name in automatic and not is_removal(self._wishes[name])]
        self._together(came_along, self._packages.mark_manual)

    def _fresh_offers(self, wishes: Sequence[Wish]) -> dict[str, Offer]:
        """What the archives have for each name, the index fetched first when that may tell more."""
        asking = [wish for wish in wishes if not is_removal(wish)]
        if not asking:
            return {}
        offered = [wish for wish in asking if wish.file is None]
        offers = dict(offers_for(self._packages, offered))
        unknown = any(not pick(self._packages, offers.get(wish.name, Offer()), wish.version) for wish in offered)
        places = {wish.options.repository for wish in offered} | {""}
        age = max(map(self._packages.index_age_seconds, places))
        if age > (_UNKNOWN_MAX_AGE_SECONDS if unknown else INDEX_MAX_AGE_SECONDS):
            try:
                self._packages.refresh_index(places - {""})
            except ResourceError as error:
                self._index_error = error  # said by those who need a newer one; the others go on with the old one
            return dict(offers_for(self._packages, offered))
        return offers

    def _prepare(self, wish: Wish, offer: Offer) -> None:
        """What to ask for, with all that must be there before. Raises ResourceError when it cannot or must not be."""
        known = find_known(self._database, wish.name)
        if known is not None and known.held and wish.hold is None:
            change = "is not removed" if is_removal(wish) else f"stays at {known.version}"
            raise ResourceError(f"{wish.name} is held, so it {change}; `hold: false` here lets it go")
        ask = Ask(wish.name, remove=True) if is_removal(wish) else self._install(wish, known, offer)
        if wish.debconf is not None and not ask.remove:
            lines = self._host.content(wish.debconf).decode().splitlines()
            self._packages.answer("".join(f"{wish.name} {line}\n" for line in lines))
        self._asks[wish.name] = ask

    def _install(self, wish: Wish, known: Known | None, offer: Offer) -> Ask:
        if wish.ensure == "latest" and self._index_error:
            raise ResourceError(
                f"what the latest {wish.name} is cannot be told, the package index is old: {self._index_error}"
            )
        picked = (wish.version or "") if wish.file else pick(self._packages, offer, wish.version)
        if not picked:
            raise ResourceError(self._why_not(wish, offer))
        older = known is not None and wish.version is not None and self._packages.is_newer(known.version, picked)
        if known is not None and older and not wish.allow_downgrade:
            raise ResourceError(
                f"{wish.name} {known.version} is installed and {picked} is older; "
                "`allow_downgrade: true` is needed to go back"
            )
        path = ""
        if wish.file is not None:
            name = f"{wish.name.partition(':')[0]}{self._packages.suffix}"
            path = self._files.enter_context(self._host.fetch(wish.file, name))
        exact = picked if wish.version or wish.ensure == "latest" or wish.options.repository else ""
        again = known is not None and known.status == "half-installed"
        return Ask(wish.name, exact, path=path, downgrade=older, again=again, options=wish.options)

    def _why_not(self, wish: Wish, offer: Offer) -> str:
        place = wish.options.repository
        if place and not offer.versions:
            what = (
                f"no package {wish.name} in {place}; check the name, and that the host has such a repository or release"
            )
        elif offer.versions and wish.version:
            what = f"no version of {wish.name} matches {wish.version}; the archive has {offer.newest()}"
        elif offer.versions:
            what = f"apt's pins keep every version of {wish.name} out; the archive has {offer.newest()}"
        else:
            what = (
                f"no package {wish.name} in the configured archives; check the name (a virtual package is asked for "
                "by the name of one that provides it) and the repositories of the host"
            )
        return what + (f"; the package index could not be fetched: {self._index_error}" if self._index_error else "")

    def _groups(self) -> list[list[str]]:
        """What can share a transaction; the agent's own package last, so that nothing is left to do with the old code.

        What was never unpacked to the end goes first: apt would rather remove it than leave it as it is.
        """
        groups: defaultdict[tuple[bool, bool, Options], list[str]] = defaultdict(list)
        for name, ask in self._asks.items():
            groups[name == OWN_PACKAGE, not ask.again, ask.options].append(name)
        return [groups[key] for key in sorted(groups, key=lambda key: key[:2])]

    def _transact(self, names: Sequence[str]) -> None:
        asks = [self._asks[name] for name in names]
        asks = [ask for ask in asks if not ask.remove or find_known(self._database, ask.name)]
        held = [ask.name for ask in asks if (known := self._database.find(ask.name)) and known.held]
        if held:
            self._packages.unhold(held)
        if asks:
            removable = [ask.name for ask in self._asks.values() if ask.remove]
            complaints = self._packages.change(asks, removable)
            self.errors |= {name: ResourceError(f"{name}: {text}") for name, text in complaints.items()}

    def _purge(self) -> None:
        """Remove what is left of packages that are to leave nothing."""
        database = self._packages.database()
        left = [name for name, wish in self._wishes.items() if wish.ensure == "purged" and name not in self.errors]
        left = [name for name in left if (known := database.find(name)) and not known.is_there]
        self._attempt(left, self._packages.purge)

    def _attempt(self, names: Sequence[str], action: Action) -> None:
        """Do it for all at once; when that fails, for each half of those that must still change."""
        if not names:
            return
        try:
            action(names)
        except ResourceError as error:
            still = self._changing(names)
            left = [name for name in names if name in still]
            if len(left) > 1 and isinstance(error, TransactionFailed) and self._splits < _MAX_SPLITS:
                self._splits += 1
                middle = len(left) // 2
                self._attempt(left[:middle], action)
                self._attempt(left[middle:], action)
                return
            company = f" (in one transaction with {len(left) - 1} others)" if len(left) > 1 else ""
            self.errors |= {name: ResourceError(f"{name}{company}: {error}") for name in left}

    def _gather(self, name: str, action: Callable[[str], None]) -> None:
        try:
            action(name)
        except ResourceError as error:
            self.errors[name] = error

    def _together(self, names: Sequence[str], action: Action) -> None:
        """Do it for all at once, an error being the error of each that has none yet."""
        if not names:
            return
        try:
            action(names)
        except ResourceError as error:
            self.errors = dict.fromkeys(names, error) | self.errors
