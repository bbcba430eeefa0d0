"""Manifest: the documents that apply to one host, each value with its file and line."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.documents import Block, Items
from agent.errors import ManifestInvalid, Place, gather, nearest
from agent.facts import Facts
from agent.manifest.bounds import Bounds, memory_for_others
from agent.manifest.lookup import Scope
from agent.manifest.structure import (
    MEMBER_KEYS,
    Fleet,
    Group,
    RoleUse,
    load,
    problem,
    read_fleet,
    read_role,
    role_uses,
)
from agent.manifest.variables import Layer, Variables, merge
from agent.secrets import DIRECTORY, Open, Vault, unopened
from agent.source import Below, Entry, Tree


@dataclass(frozen=True)
class Declaration:
    """One resource as written, and where its files are looked up."""

    block: Any
    place: Place
    scope: Scope


@dataclass(frozen=True)
class Manifest:
    """What the repository says about one host, before it is rendered and typed."""

    host: str
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    layers: tuple[Layer, ...]  # of variables, lowest first
    names: Mapping[str, Any]  # what templates see
    declarations: tuple[Declaration, ...]
    checks: tuple[Declaration, ...]
    suspensions: tuple[Block, ...]  # of the groups and the host, as written
    vault: Vault  # the secrets that were opened for it
    inputs: Mapping[str, str]  # the object ids of the documents and folders it was read from, "" where there is none


@dataclass(frozen=True)
class _Member:
    """A group or the host: a document that has roles, variables and resources."""

    label: str
    block: Block | None
    uses: Sequence[RoleUse]


class Recording:
    """A tree that remembers the id of each document, and of each folder of files, that it was asked for."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.inputs: dict[str, str] = {}

    def entry(self, path: str) -> Entry | None:
        """What is at a path."""
        self._note(path)
        return self._tree.entry(path)

    def read(self, path: str, limit: int = 4 << 20) -> bytes:
        """The bytes of a file."""
        self._note(path)
        return self._tree.read(path, limit)

    def names(self, path: str) -> list[str]:
        """The names in a directory."""
        self._note(path)
        return self._tree.names(path)

    def below(self, path: str, most: int) -> list[Below]:
        """All that is below a directory."""
        self._note(path)
        return self._tree.below(path, most)

    def blob(self, object_id: str) -> bytes:
        """The bytes of an object."""
        return self._tree.blob(object_id)

    def _note(self, path: str) -> None:
        top, _, rest = path.partition("/")
        key = f"{top}/{rest.partition('/')[0]}" if rest and top in ("roles", "hosts", "groups", DIRECTORY) else top
        if key not in self.inputs:
            entry = self._tree.entry(key)
            self.inputs[key] = entry.id if entry else ""


def read_manifest(tree: Tree, host: str, facts: Facts, opener: Open = unopened) -> Manifest:
    """Read what a revision says about a host; `opener` opens the secrets that its templates ask for.

    Raises ManifestInvalid with every problem of the documents that apply.
    """
    recording = Recording(tree)
    fleet = read_fleet(recording)
    conditions: Mapping[str, Any] = {"facts": facts, "host": host}
    vault = Vault(recording, partial(_open, opener))
    scope_of = partial(Scope, recording, bounds=Bounds(), vault=vault)
    scope = scope_of([""])
    groups = _groups_of(fleet, host, partial(_holds, scope, conditions))
    own = load(recording, f"hosts/{host}", MEMBER_KEYS)
    if own is None and not groups:
        raise _unmatched(tree, host)
    documents = gather(lambda name: load(recording, f"groups/{name}", MEMBER_KEYS), groups)
    labels = [f"group {name}" for name in groups] + [f"host {host}"]
    members = [_Member(label, block, role_uses(block)) for label, block in zip(labels, [*documents, own], strict=True)]
    uses = [use for member in members for use in member.uses if _holds(scope, conditions, use.when, use.place)]
    roles = dict(gather(lambda use: (use.name, read_role(recording, use)), {use.name: use for use in uses}.values()))
    layers = tuple(_layers(fleet, roles, members, uses))
    names = _names(layers, scope, conditions)
    return Manifest(
        host=host,
        groups=tuple(groups),
        roles=tuple(roles),
        layers=layers,
        names=names,
        declarations=tuple(_declarations(scope_of, members, roles, "resources")),
        checks=tuple(_declarations(scope_of, members, roles, "checks")),
        suspensions=tuple(block["suspend"] for member in members if (block := member.block) and block.get("suspend")),
        vault=vault,
        inputs=recording.inputs,
    )


def _groups_of(fleet: Fleet, host: str, holds: Any) -> list[str]:  # noqa: ANN401  (a bound _holds)
    def takes(group: Group) -> bool:
        named = any(fnmatch.fnmatchcase(host, pattern) for pattern in group.hosts)
        return (named or not group.hosts) and (group.when is None or bool(holds(group.when, group.place)))

    matches = gather(takes, fleet.groups)
    return [group.name for group, matched in zip(fleet.groups, matches, strict=True) if matched]


def _open(opener: Open, path: str, sealed: bytes) -> bytes:
    with memory_for_others():
        return opener(path, sealed)


def _holds(scope: Scope, names: Mapping[str, Any], when: object, place: Place) -> bool:
    return scope.renderer.condition(when, names, place)


def _unmatched(tree: Tree, host: str) -> ManifestInvalid:
    known = [name.rpartition(".")[0] for name in tree.names("hosts")]
    hint = nearest(host, known)
    return problem(
        Place(f"hosts/{host}.yaml"),
        f'nothing in the repository matches host "{host}": no such file, and no group of fleet.yaml takes it{hint}',
    )


def _layers(
    fleet: Fleet, roles: Mapping[str, Block], members: Sequence[_Member], uses: Sequence[RoleUse]
) -> Iterator[Layer]:
    """List variables lowest first: role defaults, the fleet, groups, roles' variables as given, the host."""
    named: list[tuple[str, Block | None]] = [
        (f"defaults of role {name}", role.get("defaults")) for name, role in roles.items()
    ]
    named.append(("fleet.yaml", fleet.values))
    named += [(member.label, member.block.get("vars") if member.block else None) for member in members[:-1]]
    named += [(f"given to role {use.name}", use.values) for use in uses]
    host = members[-1]
    named.append((host.label, host.block.get("vars") if host.block else None))
    return (Layer(label, values) for label, values in named if values is not None)


def _names(layers: Sequence[Layer], scope: Scope, conditions: Mapping[str, Any]) -> Mapping[str, Any]:
    names: dict[str, Any] = {}

    def render(raw: Any, place: Place) -> Any:  # noqa: ANN401
        return scope.renderer.value(raw, names, place)

    names |= {"vars": Variables(merge(layers), "vars", render, scope.vault), **conditions, "secret": scope.vault.text}
    return names


def _declarations(
    scope_of: Callable[[Sequence[str]], Scope], members: Sequence[_Member], roles: Mapping[str, Block], key: str
) -> Iterator[Declaration]:
    """List the resources (or checks) of each group and then of the host, each after those of the roles it brings in first."""
    root_scope = scope_of(["", *(f"roles/{name}/" for name in roles)])
    done: set[str] = set()
    for member in members:
        for use in member.uses:
            if use.name in roles and use.name not in done:
                done.add(use.name)
                yield from _listed(roles[use.name], key, scope_of([f"roles/{use.name}/", ""]))
        if member.block is not None:
            yield from _listed(member.block, key, root_scope)


def _listed(block: Block, key: str, scope: Scope) -> Iterator[Declaration]:
    resources = block.get(key) or Items("", 0)
    for index, item in enumerate(resources):
        yield Declaration(item, resources.place(index), scope)
