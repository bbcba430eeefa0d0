"""Resources as plain JSON and back, for the catalog cache and the inventory."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from agent.catalog import Catalog
from modules.api import Content, Resource
from modules.registry import kind_named

_CONTENT = "$content"
SECRET = "secret:"  # stands for a blob: what is secret is compiled again when its bytes are needed


def encode(resource: Resource, *, with_data: bool) -> list[Any]:
    """`[kind, {field: value}]`; without data a content is only remembered by its digest (an inventory needs no more)."""
    fields = {
        field.name: _plain(value, with_data=with_data)
        for field in dataclasses.fields(resource)
        if (value := getattr(resource, field.name)) != field.default
    }
    return [resource.kind, fields]


def decode(encoded: Any) -> Resource:  # noqa: ANN401  (JSON)
    """Rebuild a resource. Raises KeyError, TypeError or ValueError when this version knows no such kind or field."""
    kind, fields = encoded
    for name, value in fields.items():
        if type(value) in (list, dict):
            fields[name] = _rich(value)
    resource: Resource = kind_named(kind)(**fields)
    return resource


def secret_contents(catalog: Catalog) -> Iterator[Content]:
    """Every secret content of a catalog."""
    for node in catalog.nodes:
        for field in dataclasses.fields(node.resource):
            value = getattr(node.resource, field.name)
            if isinstance(value, Content) and value.secret:
                yield value


def _plain(value: Any, *, with_data: bool) -> Any:  # noqa: ANN401
    if isinstance(value, Content):
        return _plain_content(value, with_data=with_data)
    if isinstance(value, tuple):
        return [_plain(item, with_data=with_data) for item in value]
    if isinstance(value, Mapping):
        return {_escaped(key): _plain(item, with_data=with_data) for key, item in value.items()}
    return value


def _escaped(key: str) -> str:
    """A key of a mapping that somebody wrote, so that none of them is taken for the mark of a content."""
    return f"${key}" if key.startswith("$") else key


def _unescaped(key: str) -> str:
    return key.removeprefix("$")


def _plain_content(value: Content, *, with_data: bool) -> dict[str, Any]:
    encoded: dict[str, Any] = {_CONTENT: value.digest, "size": value.size, "blob": value.blob}
    if value.url is not None:
        encoded["url"] = value.url
    if with_data and value.origin:
        encoded["origin"] = value.origin
    if value.secret:
        handle = value.blob if value.url or value.blob else SECRET + value.digest
        return encoded | {"secret": True, "blob": handle, "missing": value.missing, "around": value.around}
    if with_data and value.data is not None:
        encoded["data"] = base64.b64encode(value.data).decode()
    return encoded


def _rich(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return tuple(_rich(item) for item in value)
    if not isinstance(value, dict):
        return value
    if _CONTENT in value:
        data = value.get("data")
        return Content(
            value[_CONTENT],
            value["size"],
            value["blob"],
            None if data is None else base64.b64decode(data),
            url=value.get("url"),
            secret=value.get("secret", False),
            missing=value.get("missing", ""),
            around=value.get("around", ""),
            origin=value.get("origin", ""),
        )
    return {_unescaped(key): _rich(item) for key, item in value.items()}
