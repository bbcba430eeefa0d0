"""What the kinds of package repositories share: files that everybody may read, a key among them."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from modules.api import Content, FileView, Host, HostView, Resource, ResourceError, Stat, State, Value
from modules.fields import FieldType, Lookup, expect_text

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ATTRIBUTES = "0644 root:root"
_MODE = 0o644
_ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PASSWORD = re.compile(r"[a-z]+://[^/]*:[^/]*@")


def _key(value: object, lookup: Lookup) -> Mapping[str, Content | str]:
    """A key by its form: `asc` or `gpg` with its content, or the `path` of one that the host has."""
    text = expect_text(value)
    if text.lstrip().startswith(_ARMOR):
        return {"asc": lookup.text(text.strip() + "\n")}
    if text.startswith("/"):
        return {"path": text}
    form = text.rpartition(".")[2]
    if form not in ("asc", "gpg"):
        raise ValueError(f"must end in .asc (armored) or .gpg (binary), so that its form is known, not {text!r}")
    return {form: lookup.source(text)}


KEY = FieldType("key file in a files/ folder, armored key, or path on the host", _key, {"type": "string"})


@dataclass(frozen=True)
class Key:
    """The key of a repository, and where it is on the host."""

    path: str
    content: Content | None  # None when the host has it by itself


@dataclass(frozen=True, kw_only=True)
class Repository(Resource, kind="", identity="name"):
    """What the kinds of repositories do alike."""

    name: str
    ensure: str

    @property
    @abstractmethod
    def _path(self) -> str:
        """Where its file is."""

    @property
    @abstractmethod
    def _key(self) -> Key | None:
        """Its key, if it has one."""

    def undo(self, prior: State) -> Self | None:
        """Its file, and its key if that came with it, are removed."""
        if self.ensure == "absent" or prior.get("ensure") != "absent":
            return None
        return type(self)(name=self.name, ensure="absent")

    def recover(self, host: Host) -> None:
        """Remove temporary files."""
        sweep(host, self._path, self._key)


def placed_key(key: Mapping[str, Content | str] | None, directory: str, name: str) -> Key | None:
    """Where a key goes."""
    for form, value in (key or {}).items():
        return Key(value, None) if isinstance(value, str) else Key(f"{directory}/{name}.{form}", value)
    return None


def name_problems(name: str) -> list[str]:
    """What is wrong with a name that becomes that of a file."""
    if NAME.fullmatch(name):
        return []
    return [f"`{name}` is not the name of a file: letters, digits, `.`, `_` and `-`"]


def url_problems(urls: Sequence[str]) -> list[str]:
    """What is wrong with addresses that everybody will be able to read."""
    bare = [url for url in urls if not re.match(r"[a-z][a-z+-]*:/*[^/\s]", url) or " " in url]
    secret = [url for url in urls if _PASSWORD.match(url)]
    return [
        *(f"`{url}` is no address such as https://example.org/debian" for url in bare),
        *(
            "an address has a password in it, which everybody could read; put it into a file of mode 0600"
            for _ in secret
        ),
    ]


def value_problems(values: Mapping[str, str]) -> list[str]:
    """What is wrong with options that become lines of a file."""
    return [f"option `{name}` is not one line" for name, value in values.items() if "\n" in name + value or not name]


def needed(key: Key | None) -> tuple[tuple[str, ...], ...]:
    """The key, when it is named by its path and not brought along."""
    return () if key is None or key.content is not None else ((f"path:{key.path}",),)


def desired_state(observed: State, options: Mapping[str, str], key: Key | None) -> State:
    """Every option, its white space folded; one that somebody added is to be empty."""
    folded = {name.lower(): " ".join(value.split()) for name, value in options.items()}
    wanted: dict[str, Value] = {**dict.fromkeys(observed, ""), **folded, "ensure": "present", "files": ATTRIBUTES}
    if key is not None and key.content is not None:
        wanted["key"] = key.content.digest
    return wanted


def observe_text(files: FileView, path: str) -> str | None:
    """The text of a file; None when there is none. Raises ResourceError when something else is there."""
    found = files.lstat(path)
    if found is None:
        return None
    if found.type != "file":
        raise ResourceError(f"{path} is a {found.type}, not a file; remove it by hand")
    return files.read(path).decode(errors="replace")


def observe_files(host: HostView, path: str, key: Key | None) -> State:
    """Owner and mode of what is not as it should be, and the digest of the key."""
    own = [path] if key is None or key.content is None else [path, key.path]
    found = [stat for each in own if (stat := host.files.lstat(each))]
    state: dict[str, Value] = {
        "files": next((_attributes(s) for s in found if _attributes(s) != ATTRIBUTES), ATTRIBUTES)
    }
    if key is not None and key.content is not None:
        state["key"] = host.files.digest(key.path) if host.files.lstat(key.path) else "absent"
    return state


def _attributes(found: Stat) -> str:
    owner = "root:root" if (found.uid, found.gid) == (0, 0) else f"{found.uid}:{found.gid}"
    return f"{found.mode:04o} {owner}"


def write(host: Host, path: str, text: str, key: Key | None) -> None:
    """Write the key, then what needs it, each in one step. Raises ResourceError."""
    wanted = [(path, text.encode())]
    if key is not None and key.content is not None:
        wanted.insert(0, (key.path, _checked_key(host.content(key.content), key.path)))
    staged = []
    try:
        for each, data in wanted:
            _make_parent(host, each)
            staged.append(host.files.stage(each, data, mode=_MODE, owner=(0, 0)))
    except ResourceError:
        for one in staged:
            host.files.discard(one)
        raise
    for error in host.files.publish(staged):
        if error is not None:
            raise error


def remove(host: Host, path: str, own_keys: Sequence[str]) -> None:
    """Remove a repository's file, and those of its own keys that it names."""
    text = observe_text(host.files, path) or ""
    host.files.unlink(path)
    for key in own_keys:
        if key in text:
            host.files.unlink(key)


def sweep(host: Host, path: str, key: Key | None) -> None:
    """Clear away what an interrupted write left."""
    host.files.sweep(path)
    if key is not None and key.content is not None:
        host.files.sweep(key.path)


def _make_parent(host: Host, path: str) -> None:
    directory = os.path.dirname(path)
    if host.files.lstat(directory) is None:
        _make_parent(host, directory)
        host.files.make_directory(directory, mode=0o755, owner=(0, 0))


def _checked_key(data: bytes, path: str) -> bytes:
    """Refuse what is no key of the form that its name says: apt would only say that nothing is signed."""
    armored = data.lstrip().startswith(_ARMOR.encode())
    if path.endswith(".asc") and not armored:
        raise ResourceError(f"the key for {path} is not armored; name it .gpg if it is binary")
    if path.endswith(".gpg") and (armored or not data or data[0] < 0x80):
        raise ResourceError(f"the key for {path} is not a binary OpenPGP key; name it .asc if it is armored")
    return data
