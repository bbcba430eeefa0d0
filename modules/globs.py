"""Patterns for paths in a tree: `*` stops at a slash, and one without a slash is of names at any depth."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate

Matches = Callable[[str], bool]


def matcher(patterns: Sequence[str]) -> Matches:
    """Whether a relative path, or a directory that it lies in, is one of those that the patterns name."""
    names = [re.compile(translate(pattern)) for pattern in patterns if "/" not in pattern.strip("/")]
    paths = [pattern.strip("/").split("/") for pattern in patterns if "/" in pattern.strip("/")]
    chains = [[re.compile(translate(part)) for part in parts] for parts in paths]

    def matches(path: str) -> bool:
        parts = path.split("/")
        if any(name.match(part) for name in names for part in parts):
            return True
        return any(
            len(chain) <= len(parts) and all(form.match(part) for form, part in zip(chain, parts, strict=False))
            for chain in chains
        )

    return matches
