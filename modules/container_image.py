"""container_image: hold one image on the host, before a container needs it, or away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Drift, Host, HostView, Resource, ResourceError, State
from modules.container_fields import IMAGE
from modules.container_host import ENGINE_NEEDS, refuse_another_root
from modules.container_images import ALWAYS, MISSING, bring, forget, newest, remember
from modules.fields import choice, identity, option


@dataclass(frozen=True, kw_only=True)
class ContainerImage(Resource, kind="container_image", identity="reference"):
    """An image of the container engine, pulled before any container needs it.

    With `pull: always` the registry is asked in every pass, without pulling, what the tag stands for by now, and the
    image is pulled when that is another; of the images that were pulled so, the one before is kept as
    `localhost/gitops-agent/...:previous`, for going back. When it leaves Git it is removed if we pulled it and no
    container uses it.
    """

    runtime = ("digest", "registry")

    reference: str = identity(IMAGE, "The image by tag or digest; without either, `latest`.")
    ensure: str = option(
        choice("present", "absent", "unused"),
        "Whether it is on the host; `unused` removes it unless a container uses it.",
        "present",
    )
    pull: str = option(
        choice(MISSING, ALWAYS), "When it is pulled: when the host lacks it, or also when it moved.", MISSING
    )

    def provides(self) -> Sequence[str]:
        """Its name, for the containers made of it."""
        return (f"image:{self.reference}",) if self.ensure == "present" else ()

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The engine."""
        return ENGINE_NEEDS

    def desired(self, observed: State) -> State:
        """What is given; the newest digest is what the registry said."""
        if self.ensure != "present":
            return {"ensure": self.ensure}
        registry = "answers" if "registry" in observed else None
        return {"ensure": "present", "digest": observed.get("newest"), "registry": registry}

    def observe(self, host: HostView) -> State:
        """What the engine, and the registry if need be, show of it. Raises ResourceError."""
        refuse_another_root(host)
        engine = host.engine
        found = engine.image(self.reference)
        if self.ensure == "unused" and (found is None or engine.users(image=found["Id"])):
            return {"ensure": "unused"}
        if found is None:
            return {"ensure": "absent"}
        asked = newest(engine, self.reference, found) if self.pull == ALWAYS and self.ensure == "present" else {}
        return {"ensure": "present", **asked}

    def apply(self, host: Host, drift: Drift) -> None:  # noqa: ARG002  (whatever differs, it is brought or removed)
        """Pull or remove it. Raises ResourceError."""
        engine = host.engine
        if self.ensure == "present":
            brought = bring(engine, self.reference, self.pull)
            if brought.trouble is not None:
                raise brought.trouble
            if self.pull == ALWAYS:
                remember(engine, self.reference, brought)
            return
        forget(engine, self.reference)  # first: under another name the engine would let go of one that is used
        if engine.image(self.reference) is None:
            return
        if needed := engine.remove_image(self.reference):
            raise ResourceError(f"image {self.reference} is still needed: {needed}; remove what uses it first")

    def undo(self, prior: State) -> Self | None:
        """It is removed unless something uses it."""
        ours = self.ensure == "present" and prior.get("ensure") == "absent"
        return type(self)(reference=self.reference, ensure="unused") if ours else None
