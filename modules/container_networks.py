"""The field types of a container's networks: which it is in, by what names, and how it resolves others."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from modules.container_values import LIST_OR_MAP_SCHEMA, NAME, list_type, paired, plain_text, text_type, texts
from modules.fields import FieldType, Lookup, describe

_MODES = ("none", "host", "bridge")
_ENDPOINT_KEYS = ("aliases", "ipv4_address", "ipv6_address")
_DOMAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")


def _network_mode(text: str) -> str:
    name = text.removeprefix("container:")
    if text in _MODES or (NAME.fullmatch(name) and name not in ("default", *_MODES)):
        return text
    raise ValueError(f"must be none, host, bridge, container:NAME or the name of a network, not {text!r}")


def _networks(value: object, _lookup: Lookup) -> Mapping[str, Mapping[str, object]]:
    given = value if isinstance(value, Mapping) else dict.fromkeys(texts(value, "[backend]"))
    for name in given:
        if not NAME.fullmatch(plain_text(name)) or name in ("default", *_MODES):
            raise ValueError(f"has {name!r}, which is no network of your own; see network_mode")
    return {name: _endpoint(name, given[name]) for name in sorted(given)}


def _endpoint(name: str, value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or set(value) - set(_ENDPOINT_KEYS):
        raise ValueError(f"{name} must be a mapping that takes {', '.join(_ENDPOINT_KEYS)}")
    found: dict[str, object] = {}
    if value.get("aliases"):
        found["aliases"] = tuple(sorted(map(_domain, texts(value["aliases"], "[db]"))))
    for key, version in (("ipv4_address", 4), ("ipv6_address", 6)):
        if key in value:
            found[key] = _address(value[key], version)
    return found


def _address(value: object, version: int | None = None) -> str:
    try:
        address = ipaddress.ip_address(plain_text(value))
    except ValueError:
        raise ValueError(f"has {value!r}, which is no IP address") from None
    if version not in (None, address.version):
        raise ValueError(f"has {value!r}, which is no IPv{version} address")
    return str(address)


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text):
        raise ValueError(f"has {text!r}, which is no host name")
    return text


def _dns(value: object, _lookup: Lookup) -> tuple[str, ...]:
    found = [_address(text) for text in texts(value, '["10.0.0.53"]')]
    if len(found) > 3:
        raise ValueError(f"has {len(found)} servers; resolvers ask at most 3")
    return tuple(found)  # in the order in which they are asked


def _extra_hosts(value: object, _lookup: Lookup) -> tuple[str, ...]:
    found = paired(value, ":", '["db:10.0.0.5"]')
    return tuple(sorted(f"{_domain(name)}:{_host_address(text)}" for name, text in found.items()))


def _host_address(text: str) -> str:
    return text if text == "host-gateway" else _address(text.strip("[]"))


def _network_type() -> Mapping[str, object]:
    endpoint = {"type": ["object", "null"]}
    return {"anyOf": [{"type": "array"}, {"type": "object", "additionalProperties": endpoint}]}


def subnet(text: str) -> str:
    """A network's address range. Raises ValueError."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(f"must be a range such as 172.30.0.0/24, not {text!r}") from None


def address(text: str) -> str:
    """One address. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(
            f"must be an IP address, not {describe(text) if not isinstance(text, str) else text!r}"
        ) from None


NETWORK_MODE = text_type("`none`, `host`, `bridge`, `container:NAME` or a network's name", _network_mode)
NETWORKS = FieldType(
    "list of networks, or mapping of each to `aliases`, `ipv4_address`, `ipv6_address`", _networks, _network_type()
)
DNS = FieldType("list of IP addresses", _dns, {"type": "array", "items": {"type": "string"}})
DNS_SEARCH = list_type("list of domains", "[example.com]", _domain)
EXTRA_HOSTS = FieldType('mapping, or list of "HOST:ADDRESS"', _extra_hosts, LIST_OR_MAP_SCHEMA)
SUBNET = text_type("range of addresses (`172.30.0.0/24`)", subnet)
ADDRESS = text_type("IP address", address)
