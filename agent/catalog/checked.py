"""From what the repository says of health and suspension to checks and to one word about being left alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from agent.catalog import Suspension
from agent.catalog.typed import Reader, build, named, unknown_names
from agent.documents import Block
from agent.errors import ManifestInvalid, Place, Problem, gather
from agent.manifest import Declaration, Manifest
from agent.manifest.structure import SUSPEND_KEYS, check_keys, problem
from modules.checks import CHECKS, Check

META = {"when"}


def typed_checks(manifest: Manifest) -> tuple[Check, ...]:
    """Every check that a manifest declares, each once. Raises ManifestInvalid."""
    found = gather(lambda declaration: _check(declaration, manifest.names), manifest.checks)
    return tuple({check.id: check for check in found if check is not None}.values())


def _check(declaration: Declaration, names: Mapping[str, Any]) -> Check | None:
    block, kind = _kind(declaration.block, declaration.place)
    reader = Reader(declaration, block, names)
    if "when" in block and not reader.holds("when"):
        return None
    check: Check = build(kind, reader, META)
    problems = [Problem(declaration.place, f"{check.id}: {text}") for text in check.problems()]
    if problems:
        raise ManifestInvalid(problems)
    return check


def name_problems(declared: Iterable[tuple[object, Place]]) -> Iterator[Problem]:
    """Find the unknown kinds and fields of checks as written, also of those that no host has."""
    return unknown_names(declared, _kind, " check", META)


def _kind(item: object, place: Place) -> tuple[Block, type[Check]]:
    block, name = named(item, place, CHECKS, ("a check", "check", "http: http://localhost/"))
    return block, CHECKS[name]


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
