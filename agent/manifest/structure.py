"""The documents of a repository, format 1: which keys each may have, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.documents import Block, Items, parse_document
from agent.errors import ManifestInvalid, Place, Problem, TreeError, gather, nearest
from agent.source import Tree
from modules.fields import describe

FORMAT = 1
SUFFIXES = (".yaml", ".yml", ".json")
FLEET_KEYS: Mapping[str, type] = {"format": int, "groups": Block, "vars": Block}
MEMBER_KEYS: Mapping[str, type] = {"roles": Items, "vars": Block, "resources": Items, "checks": Items, "suspend": Block}
ROLE_KEYS: Mapping[str, type] = {"defaults": Block, "resources": Items, "checks": Items}
_GROUP_KEYS: Mapping[str, type] = {"hosts": Items, "when": object}
SUSPEND_KEYS: Mapping[str, type] = {"reason": str, "until": str}
_USE_KEYS: Mapping[str, type] = {"role": str, "vars": Block, "when": object}
_WORDS = {Block: "a mapping", Items: "a list", int: "a whole number", str: "text"}


@dataclass(frozen=True)
class Group:
    """A group of `fleet.yaml`: the hosts it takes by name pattern, or by an expression."""

    name: str
    hosts: tuple[str, ...]
    when: Any
    place: Place


@dataclass(frozen=True)
class RoleUse:
    """A role taken by a host or group, with variables for it."""

    name: str
    values: Block | None
    when: Any
    place: Place


@dataclass(frozen=True)
class Fleet:
    """`fleet.yaml`: groups in the order listed, and variables for all."""

    groups: tuple[Group, ...]
    values: Block | None


def problem(place: Place, message: str) -> ManifestInvalid:
    """One problem as an error to raise."""
    return ManifestInvalid([Problem(place, message)])


def load(tree: Tree, stem: str, keys: Mapping[str, type]) -> Block | None:
    """Read the document STEM.yaml (.yml, .json) and check its keys; None when there is none. Raises ManifestInvalid."""
    path = _path(tree, stem)
    if path is None:
        return None
    try:
        data = tree.read(path)
    except TreeError as error:
        raise problem(Place(path), str(error)) from error
    block = parse_document(data, path)
    check_keys(block, keys, "this document")
    return block


def _path(tree: Tree, stem: str) -> str | None:
    """The path of the document STEM, with the suffix it has."""
    try:
        found = [stem + suffix for suffix in SUFFIXES if tree.entry(stem + suffix)]
    except TreeError as error:
        raise problem(Place(stem + SUFFIXES[0]), str(error)) from error
    if len(found) > 1:
        raise problem(Place(found[1]), f"{found[0]} is there too; keep one of them")
    return found[0] if found else None


def check_keys(block: Block, keys: Mapping[str, type], what: str) -> None:
    """Refuse unknown keys and values of another type. Raises ManifestInvalid with all of them."""

    def check(key: str) -> None:
        place, value = block.place(key), block[key]
        if key not in keys:
            raise problem(place, f'unknown key "{key}" in {what}{nearest(key, keys)}; it takes {", ".join(keys)}')
        wanted = keys[key]
        wrong = not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))
        if wrong and not (value is None and wanted in (Block, Items)):
            raise problem(place, f'"{key}" must be {_WORDS[wanted]}, not {describe(value)}')

    gather(check, block)


def read_fleet(tree: Tree) -> Fleet:
    """Read `fleet.yaml`. Raises ManifestInvalid."""
    block = load(tree, "fleet", FLEET_KEYS)
    if block is None:
        hint = "; the directory is empty" if not tree.names("") else ""
        raise problem(
            Place("fleet.yaml"), f"there is none at the root of the repository{hint}; start it with `format: 1`"
        )
    if block.get("format") != FORMAT:
        said = f"it says {block['format']}" if "format" in block else "it is missing"
        raise problem(block.place("format" if "format" in block else None), f"`format` must be 1; {said}")
    groups = block.get("groups") or Block("", 0)
    return Fleet(tuple(gather(lambda name: _group(name, groups), groups)), block.get("vars"))


def _group(name: str, groups: Block) -> Group:
    block, place = groups[name], groups.place(name)
    if not isinstance(block, Block):
        raise problem(place, f'group "{name}" must be a mapping with `hosts` or `when`, not {describe(block)}')
    check_keys(block, _GROUP_KEYS, f'group "{name}"')
    patterns = block.get("hosts") or []
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise problem(block.place("hosts"), "`hosts` must be a list of host names or patterns such as web-*")
    if not patterns and "when" not in block:
        raise problem(place, f'group "{name}" takes no host; give it `hosts` or `when`')
    return Group(name, tuple(patterns), block.get("when"), block.place("when"))


def role_uses(member: Block | None) -> list[RoleUse]:
    """Read the `roles` of a host or group. Raises ManifestInvalid."""
    roles = (member.get("roles") if member else None) or Items("", 0)
    return gather(lambda index: _role_use(roles[index], roles.place(index)), range(len(roles)))


def _role_use(item: Any, place: Place) -> RoleUse:  # noqa: ANN401  (any value of a document)
    if isinstance(item, str):
        return RoleUse(item, None, True, place)
    if not isinstance(item, Block):
        raise problem(place, f"a role is its name, or a mapping with `role`, `vars` and `when`, not {describe(item)}")
    check_keys(item, _USE_KEYS, "a role")
    if "role" not in item:
        raise problem(place, "the mapping of a role needs its name: `role: NAME`")
    return RoleUse(item["role"], item.get("vars"), item.get("when", True), place)


def read_role(tree: Tree, use: RoleUse) -> Block:
    """Read the document of a role. Raises ManifestInvalid at the place that uses it when there is none."""
    role_path(tree, use)
    return load(tree, f"roles/{use.name}/role", ROLE_KEYS) or Block("", 0)


def role_path(tree: Tree, use: RoleUse) -> str:
    """The path of a role's document. Raises ManifestInvalid at the place that uses it when there is none."""
    if "/" in use.name or use.name in ("", ".", ".."):
        raise problem(use.place, f'role "{use.name}" must be the name of a folder in roles/')
    path = _path(tree, f"roles/{use.name}/role")
    if path is None:
        known = [name for name in tree.names("roles") if _path(tree, f"roles/{name}/role")]
        raise problem(use.place, f'role "{use.name}" has no roles/{use.name}/role.yaml{nearest(use.name, known)}')
    return path
