"""container_network: hold one network of the container engine present or absent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Drift, Engine, Host, HostView, Json, Resource, ResourceError, State, Value
from modules.container_host import ENGINE_NEEDS, OURS_LABEL, chosen, pairs, refuse_another_root
from modules.container_networks import ADDRESS, SUBNET
from modules.container_values import LABELS, object_name, text_type
from modules.fields import BOOLEAN, NAME, STRING_MAP, choice, identity, option

NETWORK_NAME = text_type("network name", object_name("network"))


@dataclass(frozen=True, kw_only=True)
class ContainerNetwork(Resource, kind="container_network", identity="name"):
    """A network of the container engine.

    A field that is left out is not managed, so a network that somebody else made is in sync when it has what is asked
    for. An engine changes no network: one that differs is made anew, if we made it and no container is in it; with
    `force: true` its containers are taken out of it and put into the new one, which interrupts their connections.
    """

    name: str = identity(NETWORK_NAME, "The network's name.")
    ensure: str = option(choice("present", "absent"), "Whether it exists.", "present")
    driver: str | None = option(NAME, "Its driver; the engine's default is `bridge`.")
    internal: bool | None = option(BOOLEAN, "Whether it has no way out of the host.")
    ipv6: bool | None = option(BOOLEAN, "Whether it has IPv6 as well.")
    subnet: str | None = option(SUBNET, "The range of its addresses.")
    gateway: str | None = option(ADDRESS, "The host's address in it.")
    options: Mapping[str, str] | None = option(STRING_MAP, "Options of its driver.")
    labels: Mapping[str, str] | None = option(LABELS, "Labels.")
    force: bool = option(BOOLEAN, "Make it anew even when containers are in it.", default=False)

    def problems(self) -> Sequence[str]:
        """A gateway belongs to a range."""
        return ["gateway needs subnet, the range that it is in"] if self.gateway and not self.subnet else []

    def provides(self) -> Sequence[str]:
        """Its name, for the containers in it."""
        return () if self.ensure == "absent" else (f"network:{self.name}",)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The engine."""
        return ENGINE_NEEDS

    def desired(self, observed: State) -> State:  # noqa: ARG002  (no wish is relative)
        """What is given."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        return {
            "ensure": "present",
            "driver": self.driver,
            "internal": self.internal,
            "ipv6": self.ipv6,
            "subnet": self.subnet,
            "gateway": self.gateway,
            "options": pairs(self.options),
            "labels": pairs(self.labels),
        }

    def observe(self, host: HostView) -> State:
        """What the engine shows of it. Raises ResourceError."""
        refuse_another_root(host)
        found = host.engine.network(self.name)
        if found is None:
            return {"ensure": "absent"}
        ranges = _range(found, self.subnet)
        state: dict[str, Value] = {
            "ensure": "present",
            "driver": found["Driver"],
            "internal": found["Internal"],
            "ipv6": found["EnableIPv6"],
            "subnet": ranges.get("Subnet"),
            "gateway": ranges.get("Gateway"),
            "options": pairs(chosen(found.get("Options"), self.options)),
            "labels": pairs(chosen(found.get("Labels"), self.labels)),
        }
        return state

    def apply(self, host: Host, drift: Drift) -> None:
        """Make it, make it anew, or remove it. Raises ResourceError."""
        engine = host.engine
        members: Mapping[str, Json] = {}
        if "ensure" not in drift:
            members = {name: _place(engine, name, self.name) for name in self._replaceable(engine, sorted(drift))}
        if self.ensure == "absent" or "ensure" not in drift:
            self._remove(engine, members)
        if self.ensure == "present":
            engine.create_network(self._options())
            for name, place in members.items():
                engine.connect(self.name, name, place)

    def undo(self, prior: State) -> Self | None:
        """It is removed unless something is in it."""
        was_absent = prior.get("ensure") == "absent" and self.ensure == "present"
        return type(self)(name=self.name, ensure="absent") if was_absent else None

    def _replaceable(self, engine: Engine, differing: Sequence[str]) -> Sequence[str]:
        """The containers that are to be in the new network too. Raises ResourceError when it may not be made anew."""
        found = engine.network(self.name)
        what = f"network {self.name} differs in {', '.join(differing)}"
        if found is not None and OURS_LABEL not in (found.get("Labels") or {}):
            raise ResourceError(
                f"{what}, and somebody else made it; `{engine.program} network rm {self.name}` or say what it is"
            )
        members = engine.users(network=self.name)
        if members and not self.force:
            raise ResourceError(f"{what}, and {', '.join(members)} would lose it; set force: true to make it anew")
        return members

    def _remove(self, engine: Engine, members: Iterable[str]) -> None:
        for name in members:
            engine.disconnect(self.name, name)
        engine.remove_network(self.name)

    def _options(self) -> Json:
        ranges = [{"Subnet": self.subnet, **({"Gateway": self.gateway} if self.gateway else {})}] if self.subnet else []
        return {
            "Name": self.name,
            "CheckDuplicate": True,
            "Driver": self.driver or "bridge",
            "Internal": bool(self.internal),
            "EnableIPv6": bool(self.ipv6),
            "Options": dict(self.options or {}),
            "Labels": {**(self.labels or {}), OURS_LABEL: "network"},
            **({"IPAM": {"Config": ranges}} if ranges else {}),
        }


def _place(engine: Engine, name: str, network: str) -> Json:
    """A container's names and address in a network, to be given to it again."""
    found = engine.inspect(name) or {}
    place = found.get("NetworkSettings", {}).get("Networks", {}).get(network) or {}
    aliases = [alias for alias in place.get("Aliases") or () if not str(found.get("Id", "")).startswith(alias)]
    address = {"IPAMConfig": place["IPAMConfig"]} if place.get("IPAMConfig") else {}
    return {"Aliases": aliases, **address}


def _range(found: Json, wanted: str | None) -> Json:
    """The range that is asked for, or else the first; a network may have one of either version."""
    ranges: list[Json] = (found.get("IPAM") or {}).get("Config") or [{}]
    return next((entry for entry in ranges if entry.get("Subnet") == wanted), ranges[0])
