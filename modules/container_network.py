"""container_network: hold one network of the container engine present or absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Engine, EngineView, Json, ResourceError, State
from modules.container_host import OURS_LABEL
from modules.container_networks import ADDRESS, SUBNET
from modules.container_part import Part
from modules.container_values import object_name, text_type
from modules.fields import BOOLEAN, NAME, choice, identity, option

NETWORK_NAME = text_type("network name", object_name("network"))


@dataclass(frozen=True, kw_only=True)
class ContainerNetwork(Part, kind="container_network", identity="name"):
    """A network of the container engine.

    A field that is left out is not managed, so a network that somebody else made is in sync when it has what is asked
    for. An engine changes no network: one that differs is made anew, if we made it and no container is in it; with
    `force: true` its containers are taken out of it and put into the new one, which interrupts their connections.

    With `container_engine: quadlet` it is the unit NAME-network.service, made of /etc/containers/systemd/NAME.network,
    and the units of containers in it are ordered after that.
    """

    what = "network"

    name: str = identity(NETWORK_NAME, "The network's name.")
    ensure: str = option(choice("present", "absent"), "Whether it exists.", "present")
    driver: str | None = option(NAME, "Its driver; the engine's default is `bridge`.")
    internal: bool | None = option(BOOLEAN, "Whether it has no way out of the host.")
    ipv6: bool | None = option(BOOLEAN, "Whether it has IPv6 as well.")
    subnet: str | None = option(SUBNET, "The range of its addresses.")
    gateway: str | None = option(ADDRESS, "The host's address in it.")
    force: bool = option(BOOLEAN, "Make it anew even when containers are in it.", default=False)

    def problems(self) -> Sequence[str]:
        """A gateway belongs to a range."""
        return ["gateway needs subnet, the range that it is in"] if self.gateway and not self.subnet else []

    def found(self, engine: EngineView) -> Json | None:
        """What the engine shows of it. Raises ResourceError."""
        return engine.network(self.name)

    def shown(self, found: Json) -> State:
        """What it was made with."""
        ranges = _range(found, self.subnet)
        return {
            "internal": found["Internal"],
            "ipv6": found["EnableIPv6"],
            "subnet": ranges.get("Subnet"),
            "gateway": ranges.get("Gateway"),
        }

    def undo(self, prior: State) -> Self | None:
        """It is removed unless something is in it."""
        return super().undo(prior)

    def make(self, engine: Engine) -> None:
        """Have the engine make it. Raises ResourceError."""
        ranges = [{"Subnet": self.subnet, **({"Gateway": self.gateway} if self.gateway else {})}] if self.subnet else []
        options: Json = {
            "Name": self.name,
            "CheckDuplicate": True,
            "Driver": self.driver or "bridge",
            "Internal": bool(self.internal),
            "EnableIPv6": bool(self.ipv6),
            "Options": dict(self.options or {}),
            "Labels": self.asked["labels"],
            **({"IPAM": {"Config": ranges}} if ranges else {}),
        }
        engine.create_network(options)

    def remove(self, engine: Engine) -> None:
        """Remove it; nothing may be in it. Raises ResourceError."""
        engine.remove_network(self.name)

    def clear(self, engine: Engine, differing: Sequence[str]) -> Mapping[str, Json]:
        """Take out the containers that are to be in the new one too, and remove it. Raises ResourceError when that may not be."""
        members = {name: _place(engine, name, self.name) for name in self._replaceable(engine, differing)}
        for name in members:
            engine.disconnect(self.name, name)
        self.remove(engine)
        return members

    def put_back(self, engine: Engine, name: str, place: Json) -> None:
        """Put a container into the new one, as it was in the one before. Raises ResourceError."""
        engine.connect(self.name, name, place)

    def _replaceable(self, engine: Engine, differing: Sequence[str]) -> Sequence[str]:
        """The containers that are to be in the new network too. Raises ResourceError when it may not be made anew."""
        found = self.found(engine)
        what = f"network {self.name} differs in {', '.join(differing)}"
        if found is not None and OURS_LABEL not in (found.get("Labels") or {}):
            raise ResourceError(
                f"{what}, and somebody else made it; `{engine.program} network rm {self.name}` or say what it is"
            )
        members = engine.users(network=self.name)
        if members and not self.force:
            raise ResourceError(f"{what}, and {', '.join(members)} would lose it; set force: true to make it anew")
        return members


def _place(engine: Engine, name: str, network: str) -> Json:
    """A container's names and address in a network, to be given to it again."""
    found = engine.inspect(name) or {}
    place = found.get("NetworkSettings", {}).get("Networks", {}).get(network) or {}
    short = str(found.get("Id", ""))[
        :12
    ]  # which the engine itself adds; an alias that an id begins with is no short id
    aliases = [alias for alias in place.get("Aliases") or () if alias != short]
    address = {"IPAMConfig": place["IPAMConfig"]} if place.get("IPAMConfig") else {}
    return {"Aliases": aliases, **address}


def _range(found: Json, wanted: str | None) -> Json:
    """The range that is asked for, or else the first; a network may have one of either version."""
    ranges: list[Json] = (found.get("IPAM") or {}).get("Config") or [{}]
    return next((entry for entry in ranges if entry.get("Subnet") == wanted), ranges[0])
