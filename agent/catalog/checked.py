"""From what the repository says of health and suspension to checks and to one word about being left alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent.catalog import Suspension
from agent.catalog.typed import Reader, build
from agent.documents import Block
from agent.errors import gather, nearest
from agent.manifest import Declaration, Manifest
from agent.manifest.structure import SUSPEND_KEYS, check_keys, problem
from modules.checks import CHECKS, Check
from modules.fields import describe

META = {"when"}


def typed_checks(manifest: Manifest) -> tuple[Check, ...]:
    """Every check that a manifest declares, each once. Raises ManifestInvalid."""
    found = gather(lambda declaration: _check(declaration, manifest.names), manifest.checks)
    return tuple({check.id: check for check in found if check is not None}.values())


def _check(declaration: Declaration, names: Mapping[str, Any]) -> Check | None:
    block, place = declaration.block, declaration.place
    if not isinstance(block, Block) or not block:
        raise problem(place, f"a check is a mapping such as `http: http://localhost/`, not {describe(block)}")
    name = next(iter(block))
    if name not in CHECKS:
        raise problem(
            place, f'unknown check "{name}"{nearest(name, CHECKS)}; the first key is one of {", ".join(CHECKS)}'
        )
    reader = Reader(declaration, block, names)
    if "when" in block and not reader.holds("when"):
        return None
    check: Check = build(CHECKS[name], reader, META)
    return check


def suspension_of(manifest: Manifest) -> Suspension | None:
    """What the repository says of leaving the host alone; the host's own word goes before that of its groups."""
    for block in reversed(manifest.suspensions):
        check_keys(block, SUSPEND_KEYS, "`suspend`")
        if "reason" not in block:
            raise problem(block.place(), "`suspend` needs a reason, which status shows")
        return Suspension(block["reason"], _until(block))
    return None


def _until(block: Block) -> int:
    if "until" not in block:
        return 0
    try:
        moment = datetime.fromisoformat(block["until"])
    except ValueError:
        message = f"`until` must be a moment such as 2026-12-01T06:00:00Z, not {block['until']!r}"
        raise problem(block.place("until"), message) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
