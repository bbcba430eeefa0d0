"""Secrets: age files in `secrets/` of the repository, opened with a key of this host, each when it is first asked for.

A value that a secret went into is known by the names of the secrets (`noting`), so that whatever holds it can be kept out of
plans, diffs, journals and databases. What was opened is also known by its text (`redact`), for messages of tools.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.errors import TreeError
from agent.source import Tree

DIRECTORY = "secrets"
MAX_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_SHORTEST_REDACTED = 4  # characters; replacing shorter ones would garble messages and hide nothing

Open = Callable[[str, bytes], bytes]
"""Opens the sealed bytes of a secret, by its path in the repository. Raises SecretUnavailable."""


class SecretUnavailable(Exception):
    """A secret cannot be had on this host; the message says why and what to do next."""


class UnknownSecret(ValueError):
    """The repository has no such secret: a mistake in Git, not in this host."""


class Vault:
    """The secrets of one revision; templates see `text` as `secret('name')`."""

    def __init__(self, tree: Tree, opener: Open) -> None:
        self._tree, self._open = tree, opener
        self._values: dict[str, str | SecretUnavailable] = {}
        self._noted: list[set[str]] = []
        self.hides = False  # names stand for the texts

    def text(self, name: str, key: str = "") -> str:
        """The text of a secret, or of one `key.path` of a SOPS file. Raises UnknownSecret and SecretUnavailable."""
        label = f"{name}#{key}" if key else name
        self.note({label})
        if self.hides:
            return f"<{label}>"
        if label not in self._values:
            self._values[label] = self._read(name, key)
        value = self._values[label]
        if isinstance(value, SecretUnavailable):
            raise value
        return value

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """Let the body see the name of each secret in place of its text: what it makes is derived from no secret."""
        self.hides = True
        try:
            yield
        finally:
            self.hides = False

    @contextmanager
    def noting(self) -> Iterator[set[str]]:
        """Tell which secrets the body asked for; an outer `noting` sees them too."""
        used: set[str] = set()
        self._noted.append(used)
        try:
            yield used
        finally:
            self._noted.pop()
            self.note(used)

    def note(self, names: set[str]) -> None:
        """Count secrets as asked for: what was kept from an earlier answer holds them still."""
        if self._noted:
            self._noted[-1] |= names

    def redact(self, text: str) -> str:
        """Put `(secret NAME)` where the text of an opened secret, or a line of it, stands."""
        for label, value in self._values.items():
            if isinstance(value, str):
                for part in sorted({value, *value.splitlines()}, key=len, reverse=True):
                    if len(part.strip()) >= _SHORTEST_REDACTED:
                        text = text.replace(part, f"(secret {label})")
        return text

    @property
    def lacks(self) -> bool:
        """Tell whether a secret that was asked for could not be had."""
        return any(isinstance(value, SecretUnavailable) for value in self._values.values())

    def _read(self, name: str, key: str) -> str | SecretUnavailable:
        path = self._path(name, key)
        try:
            opened = self._open(f"{path}#{key}" if key else path, self._tree.read(path, MAX_BYTES))
            return opened.decode().removesuffix("\n")  # as a shell's $(...) does: the template has its own line ends
        except SecretUnavailable as error:
            return error
        except TreeError as error:
            raise UnknownSecret(str(error)) from error
        except UnicodeDecodeError:
            return SecretUnavailable(f"secret '{name}' is not UTF-8 text, which is all that templates can hold")

    def _path(self, name: str, key: str) -> str:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UnknownSecret(
                f"{name!r} is not the name of a secret: letters, digits, '.', '_', '-', and '/' between"
            )
        path = f"{DIRECTORY}/{name}" if key else f"{DIRECTORY}/{name}.age"
        if self._tree.entry(path) is None:
            known = [found.removesuffix(".age") for found in self._tree.names(DIRECTORY) if found.endswith(".age")]
            step = "agentctl secret encrypt makes it" if not key else "a SOPS file is named with its ending"
            raise UnknownSecret(f"there is no {path}{_nearest(name, known)}; {step}")
        return path


def _nearest(name: str, known: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean '{close[0]}'?" if close else ""


def unopened(path: str, _sealed: bytes) -> bytes:
    """Stand for the text of a secret where there is no key, as in validation: its name in brackets."""
    return f"<{path}>".encode()
