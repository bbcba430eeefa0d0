"""Recipients: whether a host can open a secret, told from public keys and the header of the sealed file alone.

The header of an age file (age-encryption.org/v1) names an ssh recipient by the first four bytes of the SHA-256 of its public key, in
base64. One of age itself (X25519) it does not name at all, so that cannot be told. A SOPS file lists its recipients in full.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from agent.errors import ConfigInvalid, ManifestInvalid, Place, Problem
from agent.sealing import KEYS, Checkout
from agent.secrets import DIRECTORY, Open, UnknownSecret, unopened

_VERSION, _STANZA, _END = b"age-encryption.org/v1", b"-> ", b"---"
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_AGE_KEY, _AGE_STANZA = "age1", "X25519"


class Recipients:
    """Who can open the secrets of a checkout: `problems` with its keys, and what could not be told (`untold`)."""

    def __init__(self, directory: str) -> None:
        self.problems: list[Problem] = []
        self.untold: set[str] = set()
        self._keys: Mapping[str, list[str]] = {}
        with suppress(ConfigInvalid):  # it is no checkout, which is told by whoever reads it
            self._checkout = Checkout(directory)
            try:
                self._keys = self._checkout.keys
            except ConfigInvalid as error:
                self.problems.append(Problem(Place(KEYS), str(error)))

    def of(self, host: str) -> Open:
        """What stands for the key of a host where there is none, as in validation: it opens nothing.

        Raises UnknownSecret when the host could not open what it is asked for.
        """
        return partial(self._judge, host)

    def _judge(self, host: str, path: str, sealed: bytes) -> bytes:
        file, _, key = path.partition("#")
        keys = self._keys.get(host, [])
        try:
            opens = _listed(keys, sealed) if key else can_open(keys, sealed)
        except ValueError as error:
            raise UnknownSecret(f"{file} is no age file; agentctl secret encrypt makes one") from error
        if opens is None:
            why = "age does not say who its own keys are" if keys else f"there is no {KEYS}/{host}.pub"
            self.untold.add(f"{host} can open {file}: {why}")
        elif not opens:
            raise UnknownSecret(f"{file} is not sealed for {host}; {self._step(file, host)}")
        return unopened(path, sealed)

    def _step(self, file: str, host: str) -> str:
        if not file.endswith(".age"):
            return "add its key with sops"
        name = file.removeprefix(f"{DIRECTORY}/").removesuffix(".age")
        with suppress(ConfigInvalid, ManifestInvalid, OSError):
            if host in self._checkout.hosts_for(name):
                return f"agentctl secret rekey {name} does that"
        return f"add {host} to {DIRECTORY}/{name}.for, then agentctl secret rekey {name}"


def can_open(keys: Sequence[str], sealed: bytes) -> bool | None:
    """Tell whether one of these public keys is a recipient of an age file; None when that cannot be told.

    Raises ValueError for what is no age file.
    """
    stanzas = list(_stanzas(sealed))
    if not keys:
        return None
    if any([key.split()[0], _tag(key)] == stanza[:2] for key in keys for stanza in stanzas):
        return True
    hidden = any(key.startswith(_AGE_KEY) for key in keys) and any(stanza[0] == _AGE_STANZA for stanza in stanzas)
    return None if hidden else False


def _listed(keys: Sequence[str], sealed: bytes) -> bool | None:
    """The same of a SOPS file; a comment after a key is not part of it."""
    return any(" ".join(key.split()[:2]).encode() in sealed for key in keys) if keys else None


def _stanzas(sealed: bytes) -> Iterator[list[str]]:
    """The words of each recipient in the header."""
    if sealed.lstrip().startswith(_ARMOR):
        sealed = base64.b64decode(b"".join(sealed.strip().splitlines()[1:-1]), validate=True)
    version, *lines = sealed.split(b"\n")
    if version != _VERSION:
        raise ValueError("its first line is another")
    for line in lines:
        if line.startswith(_END):
            return
        if line.startswith(_STANZA):
            yield line.removeprefix(_STANZA).decode(errors="replace").split()


def _tag(key: str) -> str:
    words = key.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    return base64.b64encode(hashlib.sha256(blob).digest()[:4]).rstrip(b"=").decode()
