"""From declarations to typed resources: conditions, repetition, rendering, and the check of every field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from agent.documents import Block, Items
from agent.errors import ManifestInvalid, Place, Problem, gather
from agent.manifest import Declaration
from agent.manifest.lookup import Lookup
from agent.manifest.render import nearest
from agent.manifest.structure import problem
from modules.api import Resource
from modules.fields import FieldType, describe
from modules.registry import KIND_NAMES, kind_named

EDGES = ("requires", "after")
META = {*EDGES, "when", "for_each"}


@dataclass(frozen=True)
class Typed:
    """One resource with what it was declared to depend on."""

    resource: Resource
    place: Place
    requires: tuple[str, ...]
    after: tuple[str, ...]


@cache
def _types(name: str) -> Mapping[str, FieldType]:
    given = (field for field in dataclasses.fields(kind_named(name)) if "type" in field.metadata)
    return {field.name: field.metadata["type"] for field in given}


def field_types(kind: type[Resource]) -> Mapping[str, FieldType]:
    """The type of each field of a kind, by name."""
    return _types(kind.kind)


@dataclass(frozen=True)
class _Reader:
    """Reads one declaration, with the names that its values see."""

    declaration: Declaration
    block: Block
    names: Mapping[str, Any]

    def render(self, key: str) -> Any:  # noqa: ANN401  (any plain value)
        return self.declaration.scope.renderer.value(self.block[key], self.names, self.block.place(key))

    def lookup(self) -> Lookup:
        return self.declaration.scope.lookup(self.names)


def typed_resources(declaration: Declaration, names: Mapping[str, Any]) -> list[Typed]:
    """Type one declaration: none when its condition fails, several when it repeats. Raises ManifestInvalid."""
    block, place = declaration.block, declaration.place
    if not isinstance(block, Block) or not block:
        raise problem(place, f"a resource is a mapping such as `file: /etc/motd`, not {describe(block)}")
    name = next(iter(block))
    if name not in KIND_NAMES:
        known = ", ".join(KIND_NAMES)
        raise problem(place, f'unknown kind "{name}"{nearest(name, KIND_NAMES)}; the first key is one of {known}')
    kind = kind_named(name)
    reader = _Reader(declaration, block, names)
    if "for_each" not in block:
        return _one(kind, reader)
    repeated = gather(lambda item: _one(kind, _Reader(declaration, block, {**names, "item": item})), _items(reader))
    return [typed for found in repeated for typed in found]


def _items(reader: _Reader) -> Sequence[Any]:
    given, place = reader.render("for_each"), reader.block.place("for_each")
    if isinstance(given, list):
        return given
    if isinstance(given, dict):
        return [{"key": key, "value": value} for key, value in given.items()]
    raise problem(place, f"`for_each` takes a list or a mapping, not {describe(given)}")


def _one(kind: type[Resource], reader: _Reader) -> list[Typed]:
    block = reader.block
    if "when" in block:
        condition = reader.declaration.scope.renderer.condition
        if not condition(block["when"], reader.names, block.place("when")):
            return []
    identity = _identity(kind, reader)
    label = f"{kind.kind}:{identity}"
    values = dict(gather(lambda key: _field(kind, label, key, reader), _field_keys(kind, block)))
    edges = {name: _edges(name, reader) for name in EDGES}
    resource = kind(**{kind.identity_field: identity, **values})
    problems = [Problem(reader.declaration.place, f"{label}: {text}") for text in resource.problems()]
    if problems:
        raise ManifestInvalid(problems)
    return [Typed(resource, reader.declaration.place, edges["requires"], edges["after"])]


def _field_keys(kind: type[Resource], block: Block) -> Iterator[str]:
    return (key for key in block if key != kind.kind and key not in META)


def _identity(kind: type[Resource], reader: _Reader) -> object:
    place = reader.block.place(kind.kind)
    try:
        return field_types(kind)[kind.identity_field].parse(reader.render(kind.kind), reader.lookup())
    except ValueError as error:
        raise problem(place, f"{kind.kind}: {error}") from error


def _field(kind: type[Resource], label: str, key: str, reader: _Reader) -> tuple[str, object]:
    place, types = reader.block.place(key), field_types(kind)
    if key not in types or key == kind.identity_field:
        known = [*(name for name in types if name != kind.identity_field), *sorted(META)]
        close = nearest(key, known)
        raise problem(place, f'unknown field "{key}" in {label}{close or "; it takes " + ", ".join(known)}')
    value = reader.render(key)
    if value is None:
        raise problem(place, f'"{key}" of {label} is empty; leave it out to leave it unmanaged')
    try:
        return key, types[key].parse(value, reader.lookup())
    except ValueError as error:
        raise problem(place, f'"{key}" of {label} {error}') from error


def _edges(key: str, reader: _Reader) -> tuple[str, ...]:
    if key not in reader.block:
        return ()
    value, place = reader.render(key), reader.block.place(key)
    ids = [value] if isinstance(value, str) else value
    if not isinstance(ids, (list, Items)) or not all(isinstance(item, str) for item in ids):
        raise problem(place, f"`{key}` takes a list of resource ids such as file:/etc/motd, not {describe(value)}")
    return tuple(ids)
