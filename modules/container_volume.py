"""container_volume: hold one named volume of the container engine present or absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Drift, Host, HostView, Resource, ResourceError, State
from modules.container_host import ENGINE_NEEDS, OURS_LABEL, chosen, pairs, refuse_another_root
from modules.container_values import LABELS, object_name, text_type
from modules.fields import NAME, STRING_MAP, choice, identity, option

VOLUME_NAME = text_type("volume name", object_name("volume"))


@dataclass(frozen=True, kw_only=True)
class ContainerVolume(Resource, kind="container_volume", identity="name"):
    """A named volume of the container engine.

    It holds data, so it is never made anew, and it stays when it leaves Git, unless it has `prune: delete`. Removing it is
    said outright: `ensure: absent`.
    """

    prune = "release"

    name: str = identity(VOLUME_NAME, "The volume's name.")
    ensure: str = option(
        choice("present", "absent"), "Whether it exists; `absent` removes it with all its data.", "present"
    )
    driver: str | None = option(NAME, "Its driver; the engine's default is `local`.")
    options: Mapping[str, str] | None = option(STRING_MAP, "Options of its driver, such as `type`, `o` and `device`.")
    labels: Mapping[str, str] | None = option(LABELS, "Labels.")

    def provides(self) -> Sequence[str]:
        """Its name, for the containers that mount it."""
        return () if self.ensure == "absent" else (f"volume:{self.name}",)

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
            "options": pairs(self.options),
            "labels": pairs(self.labels),
        }

    def observe(self, host: HostView) -> State:
        """What the engine shows of it. Raises ResourceError."""
        refuse_another_root(host)
        found = host.engine.volume(self.name)
        if found is None:
            return {"ensure": "absent"}
        return {
            "ensure": "present",
            "driver": found["Driver"],
            "options": pairs(chosen(found.get("Options"), self.options)),
            "labels": pairs(chosen(found.get("Labels"), self.labels)),
        }

    def apply(self, host: Host, drift: Drift) -> None:
        """Make or remove it. Raises ResourceError, for one that differs too: its data would be lost."""
        engine = host.engine
        if self.ensure == "absent":
            engine.remove_volume(self.name)
        elif "ensure" in drift:
            labels = {**(self.labels or {}), OURS_LABEL: "volume"}
            options = dict(self.options or {})
            engine.create_volume(
                {"Name": self.name, "Driver": self.driver or "local", "DriverOpts": options, "Labels": labels}
            )
        else:
            raise ResourceError(
                f"volume {self.name} was made with another {' and '.join(sorted(drift))}, which no engine changes; making it "
                f"anew would lose its data: move that, then `{engine.program} volume rm {self.name}`"
            )

    def undo(self, prior: State) -> Self | None:
        """It stays with its data; only `prune: delete` removes it."""
        was_absent = prior.get("ensure") == "absent" and self.ensure == "present"
        return type(self)(name=self.name, ensure="absent") if was_absent else None
