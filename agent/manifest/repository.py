"""A repository as a whole: the hosts it names, every document in it, and what is wrong with those that no host uses."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from agent.documents import Items
from agent.errors import ManifestInvalid, Place, Problem, Result, TreeError, gather, nearest
from agent.manifest.structure import (
    FLEET_KEYS,
    MEMBER_KEYS,
    ROLE_KEYS,
    Fleet,
    load,
    problem,
    read_fleet,
    role_path,
    role_uses,
)
from agent.source import Tree

_WILD = frozenset("*?[")


def hosts_of(tree: Tree) -> tuple[list[str], Mapping[str, str]]:
    """The hosts that the repository names; and for each group that takes none of them, a made-up one that it takes.

    The second maps the made-up name to the group. What cannot be read names no host: `problems_of` tells why.
    """
    groups = _readable(partial(read_fleet, tree), Fleet((), None)).groups
    named = {_stem(name) for name in _names(tree, "hosts")}
    named |= {pattern for group in groups for pattern in group.hosts if not _WILD & set(pattern)}
    made_up: dict[str, str] = {}
    for group in groups:
        if not any(fnmatch.fnmatchcase(host, pattern) for host in named for pattern in group.hosts):
            made_up |= dict.fromkeys((_example(pattern) for pattern in group.hosts[:1]), group.name)
    return sorted(named), made_up


def _example(pattern: str) -> str:
    """A name that a pattern takes."""
    return re.sub(r"\[!?(.)[^]]*\]", r"\1", pattern).replace("*", "x").replace("?", "x")


def documents_of(tree: Tree) -> Iterator[tuple[str, Mapping[str, type]]]:
    """Every document of groups, hosts and roles: its path without the suffix, and the keys it may have."""
    for folder in ("groups", "hosts"):
        yield from ((f"{folder}/{_stem(name)}", MEMBER_KEYS) for name in _names(tree, folder))
    yield from ((f"roles/{name}/role", ROLE_KEYS) for name in _names(tree, "roles"))


def problems_of(tree: Tree) -> list[Problem]:
    """Find what is wrong with the keys of every document, with its roles, and with the names of groups."""
    checks: list[Callable[[], object]] = [partial(read_fleet, tree)]
    checks += [partial(_check_folder, tree, folder) for folder in ("groups", "hosts", "roles")]
    checks += [partial(_check_document, tree, stem, keys) for stem, keys in documents_of(tree)]
    checks += [partial(_check_group, tree, name) for name in _names(tree, "groups")]
    return [found for check in checks for found in _problems(check)]


def listed(tree: Tree, key: str) -> Iterator[tuple[object, Place]]:
    """Every entry under a key (`resources`, `checks`) of every document that can be read, as written."""
    for stem, keys in documents_of(tree):
        block = _readable(partial(load, tree, stem, keys), None)
        items = (block.get(key) if block else None) or Items("", 0)
        yield from ((item, items.place(index)) for index, item in enumerate(items))


def _check_folder(tree: Tree, folder: str) -> None:
    try:
        tree.names(folder)
    except TreeError as error:
        raise problem(Place(folder), str(error)) from error


def _check_document(tree: Tree, stem: str, keys: Mapping[str, type]) -> None:
    block = load(tree, stem, keys)
    if keys is MEMBER_KEYS:
        gather(lambda use: role_path(tree, use), role_uses(block))


def _check_group(tree: Tree, file: str) -> None:
    name = _stem(file)
    fleet = load(tree, "fleet", FLEET_KEYS)
    known = (fleet.get("groups") if fleet else None) or {}
    if fleet is not None and name not in known:
        raise problem(Place(f"groups/{file}"), f'fleet.yaml has no group "{name}"{nearest(name, known)}')


def _problems(check: Callable[[], object]) -> Sequence[Problem]:
    try:
        check()
    except ManifestInvalid as error:
        return error.problems
    return ()


def _readable(read: Callable[[], Result], otherwise: Result) -> Result:
    """What is read, or something else where that fails: why is told by `problems_of`."""
    try:
        return read()
    except ManifestInvalid:
        return otherwise


def _names(tree: Tree, folder: str) -> list[str]:
    try:
        return tree.names(folder)
    except TreeError:
        return []  # which `_check_folder` tells


def _stem(name: str) -> str:
    return name.rpartition(".")[0] if name.endswith((".yaml", ".yml", ".json")) else name
