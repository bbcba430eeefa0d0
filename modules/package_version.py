"""Versions as Git asks for them: one, a glob, or a range; compared by the package manager's own comparison."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modules.package_backend import PackagesView

_VERSION = re.compile(r"[A-Za-z0-9*?\[][A-Za-z0-9.+:~*?\[\]!^_-]*")
_BOUND = re.compile(r"(>=|<=|>|<)([A-Za-z0-9][A-Za-z0-9.+:~^_-]*)")


def version_problem(asked: str) -> str:
    """What is wrong with a version as it is asked for; empty when nothing is."""
    if _VERSION.fullmatch(asked) or all(map(_BOUND.fullmatch, asked.split() or [""])):
        return ""
    return (
        f"`version: {asked}` is neither a version, nor a glob such as `1.22.*`, nor a range such as `>=1.22 <2` "
        "(bounds with `>=`, `<=`, `>` or `<`, all of which hold)"
    )


def is_exact(asked: str) -> bool:
    """Whether one version is asked for, in full or in part, and no others."""
    return not set(asked) & set("*?[<>")


def accepts(view: PackagesView, asked: str, version: str) -> bool:
    """Whether a version is what is asked for. Raises ResourceError when the package manager cannot compare."""
    bounds = list(_bounds(asked))
    if bounds:
        return all(_holds(view, operator, view.shaped(version, bound), bound) for operator, bound in bounds)
    from fnmatch import fnmatchcase

    return any(fnmatchcase(spelling, asked) for spelling in view.spellings(version) if spelling)


def _bounds(asked: str) -> Iterator[tuple[str, str]]:
    for word in asked.split():
        if found := _BOUND.fullmatch(word):
            yield found[1], found[2]


def _holds(view: PackagesView, operator: str, version: str, bound: str) -> bool:
    match operator:
        case ">":
            return view.is_newer(version, bound)
        case "<":
            return view.is_newer(bound, version)
        case ">=":
            return not view.is_newer(bound, version)
        case _:
            return not view.is_newer(version, bound)
