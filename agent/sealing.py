"""Who may open a secret: public keys in `keys/` of a checkout, and beside each secret the names that it is for."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from agent.errors import ConfigInvalid
from agent.manifest.structure import Group, read_fleet
from agent.secrets import DIRECTORY
from agent.source import WorkingTree

KEYS = "keys"
_KINDS = ("ssh-ed25519 ", "ssh-rsa ", "age1")


class Checkout:
    """A checkout in which secrets are made; every method raises ConfigInvalid with what to do next."""

    def __init__(self, directory: str) -> None:
        self._root = Path(directory)
        if not (self._root / "fleet.yaml").is_file() and not (self._root / "fleet.json").is_file():
            raise ConfigInvalid(
                f"{directory} is no checkout of a fleet: it has no fleet.yaml", "name it with --repo DIR"
            )

    @cached_property
    def keys(self) -> Mapping[str, list[str]]:
        """Public keys by the name of their file; lines that are none are refused."""
        found = {}
        for path in sorted((self._root / KEYS).glob("*.pub")):
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
            keys = [line for line in lines if line and not line.startswith("#")]
            wrong = [line for line in keys if not line.startswith(_KINDS)]
            if wrong or not keys:
                what = f"holds {wrong[0][:20]!r}..." if wrong else "is empty"
                raise ConfigInvalid(f"{KEYS}/{path.name} {what}", "it takes ssh-ed25519, ssh-rsa or age1 public keys")
            found[path.name.removesuffix(".pub")] = keys
        return found

    @cached_property
    def _groups(self) -> Mapping[str, Group]:
        return {group.name: group for group in read_fleet(WorkingTree(str(self._root))).groups}

    def recipients(self, names: Sequence[str]) -> list[str]:
        """The public keys of hosts, groups and people, each once."""
        wanted = [key for name in names for key in self._named(name)]
        return list(dict.fromkeys(line for name in wanted for line in self.keys[name]))

    def sealed(self) -> Iterator[str]:
        """The names of all secrets that say who they are for."""
        for path in sorted((self._root / DIRECTORY).rglob("*.for")):
            yield str(path.relative_to(self._root / DIRECTORY).with_suffix(""))

    def names_for(self, secret: str) -> list[str]:
        """Whom a secret is for."""
        return self._path(secret, "for").read_text(encoding="utf-8").split()

    def hosts_for(self, secret: str) -> list[str]:
        """The same with the hosts of its groups in their place."""
        return [name for named in self.names_for(secret) for name in self._named(named)]

    def read(self, secret: str) -> bytes:
        """The sealed bytes of a secret."""
        return self._path(secret, "age").read_bytes()

    def write(self, secret: str, sealed: bytes, names: Sequence[str]) -> list[str]:
        """Keep a secret and whom it is for; the paths that are to be committed."""
        written = []
        for suffix, data in (("age", sealed), ("for", "".join(f"{name}\n" for name in names).encode())):
            path = self._path(secret, suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}.new")
            new.write_bytes(data)
            os.replace(new, path)
            written.append(str(path.relative_to(self._root)))
        return written

    def _path(self, secret: str, suffix: str) -> Path:
        return self._root / DIRECTORY / f"{secret}.{suffix}"

    def _named(self, name: str) -> list[str]:
        if name in self.keys:
            return [name]
        if name not in self._groups:
            known = ", ".join([*self.keys, *self._groups]) or "none"
            step = f"copy the host's /etc/ssh/ssh_host_ed25519_key.pub to {KEYS}/{name}.pub"
            raise ConfigInvalid(f"there is no key and no group {name}; there are {known}", step)
        return self._members(self._groups[name])

    def _members(self, group: Group) -> list[str]:
        if group.when is not None:
            raise ConfigInvalid(f"group {group.name} takes hosts by an expression", "name its hosts instead")
        members = [name for name in self.keys if any(fnmatch.fnmatchcase(name, pattern) for pattern in group.hosts)]
        if not members:
            raise ConfigInvalid(f"no host of group {group.name} has a key in {KEYS}/", f"add {KEYS}/HOST.pub")
        return members
