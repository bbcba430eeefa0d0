"""container_volume: hold one named volume of the container engine present or absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Engine, EngineView, Json, ResourceError, State
from modules.container_part import Part
from modules.container_values import object_name, text_type
from modules.fields import NAME, STRING_MAP, choice, identity, option

VOLUME_NAME = text_type("volume name", object_name("volume"))


@dataclass(frozen=True, kw_only=True)
class ContainerVolume(Part, kind="container_volume", identity="name"):
    """A named volume of the container engine.

    It holds data, so it is never made anew, and it stays when it leaves Git, unless it has `prune: delete`. Removing it is
    said outright: `ensure: absent`.

    With `container_engine: quadlet` it is the unit NAME-volume.service, made of /etc/containers/systemd/NAME.volume, and
    the units of containers that mount it are ordered after that.
    """

    prune = "release"
    what = "volume"

    name: str = identity(VOLUME_NAME, "The volume's name.")
    ensure: str = option(
        choice("present", "absent"), "Whether it exists; `absent` removes it with all its data.", "present"
    )
    driver: str | None = option(NAME, "Its driver; the engine's default is `local`.")
    options: Mapping[str, str] | None = option(STRING_MAP, "Options of its driver, such as `type`, `o` and `device`.")

    def found(self, engine: EngineView) -> Json | None:
        """What the engine shows of it. Raises ResourceError."""
        return engine.volume(self.name)

    def shown(self, found: Json) -> State:  # noqa: ARG002  (it has nothing but what networks have too)
        """Nothing more."""
        return {}

    def undo(self, prior: State) -> Self | None:
        """It stays with its data; only `prune: delete` removes it."""
        return super().undo(prior)

    def make(self, engine: Engine) -> None:
        """Have the engine make it. Raises ResourceError."""
        options = dict(self.options or {})
        engine.create_volume(
            {
                "Name": self.name,
                "Driver": self.driver or "local",
                "DriverOpts": options,
                "Labels": self.asked["labels"],
            }
        )

    def remove(self, engine: Engine) -> None:
        """Remove it with all its data. Raises ResourceError."""
        engine.remove_volume(self.name)

    def clear(self, engine: Engine, differing: Sequence[str]) -> Mapping[str, Json]:
        """Refuse: its data would be lost."""
        raise ResourceError(
            f"volume {self.name} was made with another {' and '.join(differing)}, which no engine changes; making it anew "
            f"would lose its data: move that, then `{engine.program} volume rm {self.name}`"
        )
