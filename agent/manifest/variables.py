"""Variables: layers merged from the lowest to the highest, rendered when they are used, each knowing where it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.documents import Block
from agent.errors import ManifestInvalid, Place, Problem, gather
from agent.secrets import Vault


@dataclass(frozen=True)
class Layer:
    """One source of variables, such as `role nginx`."""

    label: str
    values: Block


@dataclass(frozen=True)
class Origin:
    """One layer's word on a variable."""

    layer: str
    place: Place
    value: Any


class Merged(Block):
    """A mapping merged from several documents: each key has the place of the one that won."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        super().__init__("", 0)
        self.places: dict[str, Place] = {}

    def place(self, key: str | None = None) -> Place:
        """Where the value of `key` is written."""
        return self.places[key] if key is not None else Place(self.file, self.line)


def merge(layers: Sequence[Layer]) -> Merged:
    """Merge layers, later over earlier: mappings deeply, lists and scalars by replacement.

    Raises ManifestInvalid where a mapping meets something that is none: merging would silently drop one of them.
    """
    merged = Merged()
    gather(lambda layer: _merge_into(merged, layer.values, "vars"), layers)
    return merged


def _merge_into(merged: Merged, block: Block, label: str) -> None:
    def put(key: str) -> None:
        value, path = block[key], f"{label}.{key}"
        if (
            key in merged
            and isinstance(merged[key], Block) != isinstance(value, Block)
            and None not in (merged[key], value)
        ):
            kinds = ("a mapping", "no mapping") if isinstance(value, Block) else ("no mapping", "a mapping")
            message = f"{path} is {kinds[0]} here and {kinds[1]} in {merged.place(key)}; give one of them another name"
            raise ManifestInvalid([Problem(block.place(key), message)])
        if isinstance(value, Block):
            below = merged.get(key)
            merged[key] = below if isinstance(below, Merged) else Merged()
            _merge_into(merged[key], value, path)
        else:
            merged[key] = value
        merged.places[key] = block.place(key)

    gather(put, block)


def origins(layers: Sequence[Layer], path: Sequence[str]) -> list[Origin]:
    """Say who gives the variable at `path`, the highest layer first: the winner, then what it beat."""
    found = []
    for layer in reversed(layers):
        value: Any = layer.values
        place = value.place()
        for name in path:
            if not isinstance(value, Block) or name not in value:
                break
            value, place = value[name], value.place(name)
        else:
            found.append(Origin(layer.label, place, value))
    return found


class Variables(Mapping[str, Any]):
    """Merged variables as templates see them: a string with Jinja in it is rendered when it is first used.

    A variable that a secret went into stays known for it, however often it is used.
    """

    def __init__(self, raw: Block, label: str, render: Callable[[Any, Place], Any], vault: Vault) -> None:
        self.label = label
        self._raw, self._render, self._vault = raw, render, vault
        self._secrets: dict[str, set[str]] = {}
        self._rendered: dict[tuple[str, bool], Any] = {}  # also with secrets hidden
        self._rendering: set[str] = set()

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401
        known = (key, self._vault.hides)
        if known not in self._rendered:
            raw, place = self._raw[key], self._raw.place(key)
            if key in self._rendering:
                raise ManifestInvalid([Problem(place, f"{self.label}.{key} is defined by itself")])
            self._rendering.add(key)
            try:
                with self._vault.noting() as secrets:
                    self._rendered[known] = self._child(key, raw, place)
                self._secrets[key] = secrets | self._secrets.get(key, set())
            finally:
                self._rendering.discard(key)
        self._vault.note(self._secrets[key])
        return self._rendered[known]

    def _child(self, key: str, raw: Any, place: Place) -> Any:  # noqa: ANN401
        if isinstance(raw, Block):
            return Variables(raw, f"{self.label}.{key}", self._render, self._vault)
        return self._render(raw, place)

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)
