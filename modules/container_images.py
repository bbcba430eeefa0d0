"""Images of containers: brought as the pull policy says, and removed again when we brought them and nobody uses them.

What we pulled for a container is written on it (`gitops-agent.images`). After a replacement the image in use and the one
before it are kept, for going back; others of ours are removed, unless something else has them. An image that is held by
itself has nothing to be written on, so those that we pulled for it get names of ours (`localhost/gitops-agent/...`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modules.api import Engine, EngineView, Json, ResourceError
from modules.container_values import LABEL_PREFIX

IMAGES_LABEL = f"{LABEL_PREFIX}images"
MISSING, ALWAYS, NEVER = "missing", "always", "never"
_OUR_NAMES = "localhost/gitops-agent"
_SHOWN = len("sha256:") + 12  # of a digest, as engines shorten it
MAX_KEPT = 8  # of the images written on one container


@dataclass(frozen=True)
class Brought:
    """An image that is on the host now."""

    id: str
    ours: bool  # it was not here before
    trouble: ResourceError | None = None  # why it may not be the newest


def bring(engine: Engine, reference: str, policy: str) -> Brought:
    """See that an image is on the host. Raises ResourceError; not when only the newest cannot be had, which is `trouble`."""
    before = engine.image(reference)
    if before is None and policy == NEVER:
        raise ResourceError(
            f"image {reference} is not on this host, and `pull: never` keeps it from being pulled; "
            f"`{engine.program} load` it, or let it be pulled"
        )
    trouble = None
    if before is None or policy == ALWAYS:
        try:
            engine.pull(reference)
        except ResourceError as error:
            if before is None:
                raise
            trouble = error
    after = engine.image(reference)
    if after is None:
        raise ResourceError(f"image {reference} was removed while it was needed; the next pass brings it again")
    return Brought(after["Id"], before is None or before["Id"] != after["Id"], trouble)


def remember(engine: Engine, reference: str, brought: Brought) -> None:
    """Name an image that was pulled for a reference, and the one before it; the one before that goes. Raises ResourceError."""
    if not brought.ours:
        return
    current, previous = _names_of(reference)
    before, gone = engine.image(current), engine.image(previous)
    if before is not None and before["Id"] != brought.id:
        engine.tag(before["Id"], previous)
        if gone is not None:
            discard(engine, [gone["Id"]], (before["Id"], brought.id))
    engine.tag(brought.id, current)


def forget(engine: Engine, reference: str) -> None:
    """Take our names from what was pulled for a reference; what has no other name and no user goes. Raises ResourceError."""
    for name in _names_of(reference):
        found = engine.image(name)
        if found is not None:
            engine.remove_image(name)
            discard(engine, [found["Id"]], ())  # Docker keeps what has a name by digest left


def _names_of(reference: str) -> tuple[str, str]:
    digest = hashlib.sha256(reference.encode()).hexdigest()[:16]
    return f"{_OUR_NAMES}/{digest}:current", f"{_OUR_NAMES}/{digest}:previous"


def newest(engine: EngineView, reference: str, image: Json | None) -> Mapping[str, str]:
    """Compare an image with what its tag stands for in the registry: `digest` here and `newest` there, or `registry`: why not.

    One image has several digests where it was found in several places; any of them is it.
    """
    try:
        there = engine.newest(reference)
    except ResourceError as error:
        return {"registry": str(error)[:400]}
    here = [name.partition("@")[2] for name in (image or {}).get("RepoDigests") or ()]
    shown = there if there in here else next(iter(here), "none")
    return {"registry": "answers", "digest": shown[:_SHOWN], "newest": there[:_SHOWN]}


def recorded(labels: Mapping[str, str] | None) -> list[str]:
    """The images that a container's labels say we pulled for it, the newest first."""
    try:
        found = json.loads((labels or {}).get(IMAGES_LABEL, "[]"))
    except ValueError:
        return []  # somebody else wrote that label
    return [image for image in found if isinstance(image, str)] if isinstance(found, list) else []


def record(brought: Brought, before: Sequence[str]) -> str:
    """The label of a container that is made with an image."""
    images = [*([brought.id] if brought.ours else []), *before]
    return json.dumps(list(dict.fromkeys(images))[:MAX_KEPT])


def discard(engine: Engine, images: Iterable[str], kept: Iterable[str]) -> None:
    """Remove images that we pulled, save those kept and those that a container or another name still has."""
    for image in set(images) - set(kept):
        found = engine.image(image)
        tags = list((found or {}).get("RepoTags") or ())
        if found is not None and len(tags) <= 1 and not engine.users(image=image):
            for name in (*tags, image):  # a name by digest may be left when the tag is gone
                if engine.image(name) is not None:
                    engine.remove_image(name)
