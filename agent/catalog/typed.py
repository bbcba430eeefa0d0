"""From declarations to typed resources: conditions, repetition, rendering, and the check of every field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agent.catalog import CONFIRM, CREATE_ONLY, DELETE, ENFORCE, RELEASE, REPORT, Policy
from agent.documents import Block, Items
from agent.errors import ManifestInvalid, Place, Problem, gather, nearest
from agent.manifest import Declaration
from agent.manifest.lookup import Lookup
from agent.manifest.structure import problem
from agent.secrets import SecretUnavailable, Vault
from modules.api import Content, Resource
from modules.fields import FieldType, describe
from modules.registry import KIND_NAMES, kind_named

MAX_RESOURCES = 100_000  # of one host
EDGES = ("requires", "after")
POLICIES = ("drift", "ignore", "prune")
_TYPES: dict[type[Any], Mapping[str, FieldType]] = {}  # of each kind, looked at once
META = {*EDGES, *POLICIES, "when", "for_each"}


@dataclass(frozen=True)
class Typed:
    """One resource with what it was declared to depend on."""

    resource: Resource
    place: Place
    requires: tuple[str, ...]
    after: tuple[str, ...]
    policy: Policy
    block: Block

    def place_of(self, key: str) -> Place:
        """Where one of its fields is written."""
        return self.block.place(key)


def field_types(kind: type[Any]) -> Mapping[str, FieldType]:
    """The type of each field of a kind of resource or check that a document may give, by name."""
    if kind not in _TYPES:
        given = (field for field in dataclasses.fields(kind) if "type" in field.metadata)
        _TYPES[kind] = {field.name: field.metadata["type"] for field in given}
    return _TYPES[kind]


@dataclass(frozen=True)
class Reader:
    """Reads one declaration, with the names that its values see."""

    declaration: Declaration
    block: Block
    names: Mapping[str, Any]

    def render(self, key: str) -> Any:  # noqa: ANN401  (any plain value)
        """The value of a key."""
        return self.declaration.scope.renderer.value(self.block[key], self.names, self.block.place(key))

    def render_openly(self, key: str) -> Any:  # noqa: ANN401
        """Render what is shown wherever the resource is named: it may hold no secret."""
        return self._openly(key, lambda: self.render(key))

    def holds(self, key: str) -> bool:
        """Evaluate a condition, which is shown too."""
        condition = self.declaration.scope.renderer.condition
        return bool(self._openly(key, lambda: condition(self.block[key], self.names, self.block.place(key))))

    def _openly(self, key: str, evaluate: Callable[[], Any]) -> Any:  # noqa: ANN401
        with self.vault.noting() as secrets, suppress(SecretUnavailable):
            value = evaluate()
        if secrets:
            raise problem(self.block.place(key), f"`{key}` may hold no secret, for it is shown")
        return value

    def lookup(self) -> Lookup:
        """How fields reach the files of the repository."""
        return self.declaration.scope.lookup(self.names)

    @property
    def vault(self) -> Vault:
        """The secrets that its values may ask for."""
        return self.declaration.scope.vault


def typed_resources(declaration: Declaration, names: Mapping[str, Any]) -> list[Typed]:
    """Type one declaration: none when its condition fails, several when it repeats. Raises ManifestInvalid."""
    block, kind = _kind(declaration.block, declaration.place)
    reader = Reader(declaration, block, names)
    if "for_each" not in block:
        return _one(kind, reader)
    repeated = gather(lambda item: _one(kind, Reader(declaration, block, {**names, "item": item})), _items(reader))
    return [typed for found in repeated for typed in found]


def name_problems(declared: Iterable[tuple[object, Place]]) -> Iterator[Problem]:
    """Find the unknown kinds and fields of resources as written, also of those that no host has."""
    return unknown_names(declared, _kind, "", META)


def unknown_names(
    declared: Iterable[tuple[object, Place]],
    kind_of: Callable[[object, Place], tuple[Block, type[Any]]],
    noun: str,
    meta: Collection[str],
) -> Iterator[Problem]:
    """Find the unknown kinds and fields of what is declared, as written; `noun` comes after the name of a kind."""
    for item, place in declared:
        try:
            block, kind = kind_of(item, place)
        except ManifestInvalid as error:
            yield from error.problems
            continue
        for key in block:
            if key not in (kind.kind, *meta) and key not in field_types(kind):
                yield Problem(block.place(key), _unknown_field(kind, f"a {kind.kind}{noun}", key, meta))


def _kind(item: object, place: Place) -> tuple[Block, type[Resource]]:
    block, name = named(item, place, KIND_NAMES, ("a resource", "kind", "file: /etc/motd"))
    return block, kind_named(name)


def named(item: object, place: Place, known: Collection[str], words: tuple[str, str, str]) -> tuple[Block, str]:
    """What is declared, and the known name that is its first key. Raises ManifestInvalid.

    `words` are what it is, what its name is called, and one as it may be written.
    """
    what, noun, example = words
    if not isinstance(item, Block) or not item:
        raise problem(place, f"{what} is a mapping such as `{example}`, not {describe(item)}")
    name = next(iter(item))
    if name not in known:
        raise problem(
            place, f'unknown {noun} "{name}"{nearest(name, known)}; the first key is one of {", ".join(known)}'
        )
    return item, name


def _unknown_field(kind: type[Any], label: str, key: str, meta: Iterable[str] = META) -> str:
    known = [*(name for name in field_types(kind) if name != kind.identity_field), *sorted(meta)]
    return f'unknown field "{key}" in {label}{nearest(key, known) or "; it takes " + ", ".join(known)}'


def _items(reader: Reader) -> Sequence[Any]:
    given, place = reader.render_openly("for_each"), reader.block.place("for_each")
    if isinstance(given, (list, dict)) and len(given) > MAX_RESOURCES:
        raise problem(place, f"`for_each` over {len(given):,} items, more than the {MAX_RESOURCES:,} resources allowed")
    if isinstance(given, list):
        return given
    if isinstance(given, dict):
        return [{"key": key, "value": value} for key, value in given.items()]
    raise problem(place, f"`for_each` takes a list or a mapping, not {describe(given)}")


def _one(kind: type[Resource], reader: Reader) -> list[Typed]:
    block = reader.block
    if "when" in block and not reader.holds("when"):
        return []
    resource: Resource = build(kind, reader)
    edges = {name: _edges(name, reader) for name in EDGES}
    place = reader.declaration.place
    problems = [Problem(place, f"{resource.id}: {text}") for text in resource.problems()]
    if problems:
        raise ManifestInvalid(problems)
    return [Typed(resource, place, edges["requires"], edges["after"], policy_of(resource, reader), block)]


def build(kind: type[Any], reader: Reader, meta: Iterable[str] = META) -> Any:  # noqa: ANN401  (one of the kind)
    """One resource or check from its declaration. Raises ManifestInvalid."""
    identity = _identity(kind, reader)
    label = f"{kind.kind}:{identity}"
    keys = (key for key in reader.block if key != kind.kind and key not in meta)
    values = dict(gather(lambda key: _field(kind, label, key, reader), keys))
    return kind(**{kind.identity_field: identity, **values})


def _identity(kind: type[Any], reader: Reader) -> object:
    place = reader.block.place(kind.kind)
    try:
        return field_types(kind)[kind.identity_field].parse(reader.render_openly(kind.kind), reader.lookup())
    except ValueError as error:
        raise problem(place, f"{kind.kind}: {error}") from error


def _field(kind: type[Any], label: str, key: str, reader: Reader) -> tuple[str, object]:
    place, types = reader.block.place(key), field_types(kind)
    if key not in types or key == kind.identity_field:
        raise problem(place, _unknown_field(kind, label, key))
    try:
        with reader.vault.noting() as secrets:
            value = reader.render(key)
            if value is None:
                raise problem(place, f'"{key}" of {label} is empty; leave it out to leave it unmanaged')
            parsed = types[key].parse(value, reader.lookup())
    except SecretUnavailable as error:
        parsed = Content(
            "", 0, secret=True, missing=str(error)
        )  # fails what uses it, when it is applied, and nothing else
    except ValueError as error:
        raise problem(place, f'"{key}" of {label} {error}') from error
    if not secrets:
        return key, parsed
    _refuse_openly(secrets, types[key], place, f'"{key}" of {label}')
    around = _around(types[key], key, reader)
    return key, dataclasses.replace(parsed, secret=True, around=around) if isinstance(parsed, Content) else parsed


def _around(kind: FieldType, key: str, reader: Reader) -> str:
    """A digest of a content without its secrets; empty when it cannot be told, as where it computes with one."""
    try:
        with reader.vault.hiding():
            parsed = kind.parse(reader.render(key), reader.lookup())
    except (ManifestInvalid, ValueError):
        return ""
    return parsed.digest if isinstance(parsed, Content) else ""


def _refuse_openly(secrets: set[str], kind: FieldType, place: Place, label: str) -> None:
    """A value that is no content would be shown, so no secret may go into it. Raises ManifestInvalid."""
    if not kind.keeps_secrets:
        names = ", ".join(f"secret('{name}')" for name in sorted(secrets))
        raise problem(
            place,
            f"{label} holds {names} and would show it; they go into `content` or `template` of a file, `env` of a container, `debconf` of a package",
        )


def policy_of(resource: Resource, reader: Reader) -> Policy:
    """What is done about its drift, and when it leaves Git. Raises ManifestInvalid."""
    drift = _word("drift", reader, (ENFORCE, REPORT, CREATE_ONLY)) or ENFORCE
    prune = _word("prune", reader, (DELETE, RELEASE, CONFIRM)) or resource.prune
    ignored = _texts("ignore", reader, "property names such as [owner, mode]")
    known = field_types(type(resource))
    for name in ignored:
        if name not in known or name == resource.identity_field:
            message = f"`ignore` of {resource.id} names {name}, which is none of its fields{nearest(name, known)}"
            raise problem(reader.block.place("ignore"), message)
    if drift == CREATE_ONLY and "ensure" not in known:
        raise problem(
            reader.block.place("drift"), f"{resource.id} is not created, so `drift: create-only` says nothing"
        )
    return Policy(drift, ignored, prune)


def _word(key: str, reader: Reader, allowed: Sequence[str]) -> str:
    if key not in reader.block:
        return ""
    value = reader.render_openly(key)
    if value not in allowed:
        raise problem(reader.block.place(key), f"`{key}` must be one of {', '.join(allowed)}, not {describe(value)}")
    return str(value)


def _edges(key: str, reader: Reader) -> tuple[str, ...]:
    return _texts(key, reader, "resource ids such as file:/etc/motd")


def _texts(key: str, reader: Reader, example: str) -> tuple[str, ...]:
    if key not in reader.block:
        return ()
    value, place = reader.render_openly(key), reader.block.place(key)
    ids = [value] if isinstance(value, str) else value
    if not isinstance(ids, (list, Items)) or not all(isinstance(item, str) for item in ids):
        raise problem(place, f"`{key}` takes a list of {example}, not {describe(value)}")
    return tuple(ids)
