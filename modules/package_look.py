"""Looking at packages: one read of the database for all, and the archives only where the wish cannot do without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from modules.api import HostView, Observation, ResourceError, Unsupported, Value
from modules.package_backend import INDEX_MAX_AGE_SECONDS, OWN_PACKAGE, Database, Known, Offer, PackagesView
from modules.package_choice import from_an_image, look
from modules.package_version import accepts
from modules.package_wish import Wish, is_removal


def observe_packages(host: HostView, wishes: Sequence[Wish]) -> list[Observation]:
    """One observation for each wish. Raises ResourceError, Unsupported where there is no package manager."""
    view = look(host)
    database = view.database()
    known = {wish.name: database.find(wish.name) for wish in wishes}
    asking = [asks_archive(view, wish, known[wish.name]) for wish in wishes]
    questions = [wish for wish, asks in zip(wishes, asking, strict=True) if asks]
    leaving = [wish.name for wish in wishes if is_removal(wish) and (found := known[wish.name]) and found.is_there]
    followed = {wish.options.repository for wish in wishes if wish.ensure == "latest"}
    image = from_an_image(host)
    look_at = _Look(
        view,
        database.providers([name for name, found in known.items() if found is None]),
        offers_for(view, questions),
        view.needed_by_agent(leaving) if leaving else frozenset(),
        frozenset() if image or all(map(is_removal, wishes)) else view.automatic(),
        {place for place in followed if view.index_age_seconds(place) > INDEX_MAX_AGE_SECONDS},
    )
    observations = [look_at.of(wish, known[wish.name], asked=asks) for wish, asks in zip(wishes, asking, strict=True)]
    if image:
        return [
            Unsupported(image) if wish.drifts(seen) else seen for wish, seen in zip(wishes, observations, strict=True)
        ]
    return observations


def asks_archive(view: PackagesView, wish: Wish, known: Known | None) -> bool:
    """Whether the archives must be asked what a wish comes to."""
    if is_removal(wish) or wish.file is not None:
        return False
    if known is None or not known.is_there:
        return not wish.only_upgrade
    return wish.ensure == "latest" or (wish.version is not None and not accepts(view, wish.version, known.version))


def offers_for(view: PackagesView, wishes: Sequence[Wish]) -> Mapping[str, Offer]:
    """What there is for each wish where it may come from; one question for each such place."""
    by_place: defaultdict[str, list[str]] = defaultdict(list)
    for wish in wishes:
        by_place[wish.options.repository].append(wish.name)
    return {
        name: offer for place, names in by_place.items() for name, offer in view.offers(names, repository=place).items()
    }


@dataclass(frozen=True)
class _Look:
    """What was read for all wishes."""

    view: PackagesView
    providers: Mapping[str, Sequence[str]]
    offers: Mapping[str, Offer]
    needed: Collection[str]  # by the agent itself
    automatic: Collection[str]
    old: Collection[str]  # the repositories of which the index is too old to tell what the latest is

    def of(self, wish: Wish, known: Known | None, *, asked: bool) -> Observation:
        if problem := self._problem(wish, known):
            return problem
        state = _installed_state(wish, known)
        if asked:
            state |= self._archive_state(wish, known)
        elif wish.version is not None:
            installed = known.version if known is not None and known.is_there else ""
            fits = installed and (wish.file is None or accepts(self.view, wish.version, installed))
            state["candidate"] = installed if fits else wish.version
        if wish.ensure == "latest" and wish.options.repository in self.old:
            state["index"] = "old"
        if known is not None and known.is_there and wish.name in self.automatic and not is_removal(wish):
            state["marked"] = "automatic"
        return state

    def _problem(self, wish: Wish, known: Known | None) -> ResourceError | None:
        if reason := self.view.unsupported(wish.options, answers=wish.debconf is not None):
            return Unsupported(f"{wish.name}: {reason}")
        if known is not None and known.broken:
            return ResourceError(
                f"dpkg says that {wish.name} is broken and must be installed again; "
                f"do that by hand: apt-get install --reinstall {wish.name}"
            )
        if wish.name in self.needed:
            return ResourceError(
                f"refused, because {OWN_PACKAGE}, the agent itself, needs {wish.name} and would be removed with it; "
                "take this out of Git"
            )
        if is_removal(wish) and (providers := self.providers.get(wish.name)):
            return ResourceError(
                f"{wish.name} is a virtual package, here provided by {', '.join(providers)}; name that one"
            )
        return None

    def _archive_state(self, wish: Wish, known: Known | None) -> dict[str, Value]:
        """What the archives would bring for the wish, or why they cannot."""
        offer = self.offers.get(wish.name, Offer())
        picked = pick(self.view, offer, wish.version)
        if known is not None and known.is_there:
            held = known.held and wish.hold is None
            if wish.ensure == "latest" and (held or not offer.is_newer(picked, known.version)):
                picked = known.version
        elif not picked and is_met_by_provider(wish) and (providers := self.providers.get(wish.name)):
            return {"ensure": "present", "provided_by": tuple(providers)}
        if picked:
            return {"candidate": picked}
        return {"archive": f"has {offer.newest()}" if offer.versions else "no such package"}


def is_met_by_provider(wish: Wish) -> bool:
    """Whether a wish asks for no more than that something of the name is there, which another package can provide."""
    return wish.ensure == "present" and wish.version is None and wish.hold is None


def pick(view: PackagesView, offer: Offer, version: str | None) -> str:
    """What would be installed of an offer for a version or glob, if one is given; empty when nothing fits."""
    if version is None:
        return offer.candidate
    return offer.pick(lambda offered: accepts(view, version, offered))


def _installed_state(wish: Wish, known: Known | None) -> dict[str, Value]:
    """What the database says of a package; states between installed and not are shown in its own words."""
    if known is None:
        return {"ensure": "purged" if wish.ensure == "purged" else "absent"}
    if not known.is_there:
        return {"ensure": "absent"}
    whole = "present" if known.status == "installed" else known.status
    state: dict[str, Value] = {"ensure": "installed twice" if known.several else whole, "version": known.version}
    if known.held or wish.hold is not None:
        state["hold"] = known.held
    return state


def find_known(database: Database, name: str) -> Known | None:
    """What is there of a package beyond configuration files."""
    known = database.find(name)
    return known if known is not None and known.is_there else None
