"""apt_repository: hold one source of apt's packages, with its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modules import repository_files as files_of
from modules.api import Content, Drift, Host, HostView, ResourceError, State, Value
from modules.fields import BOOLEAN, NAME, STRING_MAP, STRINGS, choice, identity, option

_SOURCES = "/etc/apt/sources.list.d"
_KEYRINGS = "/etc/apt/keyrings"
_FIELDS = ("types", "uris", "suites", "components", "architectures", "signed-by", "enabled", "trusted")


@dataclass(frozen=True, kw_only=True)
class AptRepository(files_of.Repository, kind="apt_repository", identity="name"):
    """A repository of apt, in deb822 form in `/etc/apt/sources.list.d/NAME.sources`.

    Its key lies in `/etc/apt/keyrings/NAME.asc` (or `.gpg`), and vouches for this repository only. What is
    written is tried: if apt cannot fetch its lists (no such suite, another key, nobody there), this fails with apt's words.
    A change or removal has all package lists fetched again, once, before any package is looked at. Every package comes
    after it.
    """

    name: str = identity(NAME, "Its name, which is that of its file.")
    ensure: str = option(choice("present", "absent"), "Whether it is there.", "present")
    types: tuple[str, ...] = option(STRINGS, "`deb`, `deb-src` or both.", ("deb",))
    uris: tuple[str, ...] = option(STRINGS, "Where it is.", ())
    suites: tuple[str, ...] = option(STRINGS, "Suites such as `bookworm`, or directories that end in `/`.", ())
    components: tuple[str, ...] = option(STRINGS, "Components such as `main`; none with a directory.", ())
    architectures: tuple[str, ...] = option(STRINGS, "Only these; left out, those of the host.", ())
    signed_by: Mapping[str, Content | str] | None = option(
        files_of.KEY,
        "Its key: a file of the repository in Git (`.asc` armored, `.gpg` binary), the armored key itself, or the "
        "absolute path of a keyring that the host has.",
    )
    enabled: bool = option(BOOLEAN, "Whether apt uses it.", default=True)
    trusted: bool = option(
        BOOLEAN, "Take its packages without a signature; anybody on the way can then replace them.", default=False
    )
    options: Mapping[str, str] | None = option(
        STRING_MAP, 'Other fields of sources.list(5), such as `Check-Valid-Until: "no"`.', None
    )

    def problems(self) -> Sequence[str]:
        """What apt would not take, and a repository that anybody could speak for."""
        found = files_of.name_problems(self.name)
        if self.ensure == "absent":
            return found
        found += files_of.url_problems(self.uris) + files_of.value_problems(self.options or {})
        found += [f"`{name}` is missing" for name in ("types", "uris", "suites") if not getattr(self, name)]
        found += [
            f"`types` has {word!r}, which is neither deb nor deb-src" for word in self.types if word not in _TYPES
        ]
        found += self._suite_problems()
        if self.signed_by is None and not self.trusted:
            found.append("`signed_by` is missing: give the key that signs it, or `trusted: true` if nobody does")
        if self.signed_by is not None and self.trusted:
            found.append("`trusted: true` switches off what `signed_by` is for; keep one of them")
        taken = [name for name in self.options or {} if name.lower() in _FIELDS]
        return [
            *found,
            *(f"option `{name}` has a field of its own: {name.lower().replace('-', '_')}" for name in taken),
        ]

    def _suite_problems(self) -> Sequence[str]:
        directories = {suite.endswith("/") for suite in self.suites}
        words = (*self.suites, *self.components, *self.architectures)
        found = [f"`{word}` is not one word" for word in words if len(word.split()) != 1]
        if directories == {True, False}:
            found.append("`suites` has both suites and directories (which end in `/`); make two repositories of them")
        elif directories and directories != {not self.components}:
            found.append("`components` go with suites, and not with directories (which end in `/`)")
        return found

    def provides(self) -> Sequence[str]:
        """Its files, and an entry of what packages come after."""
        if self.ensure == "absent":
            return (f"in:{_SOURCES}",)
        key = self._key
        own = (
            () if key is None or key.content is None else (f"path:{key.path}", f"content:{key.path}", f"in:{_KEYRINGS}")
        )
        return (f"path:{self._path}", f"content:{self._path}", f"in:{_SOURCES}", *own)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The key that it names by path, and directories that are managed."""
        return (
            *files_of.needed(self._key),
            (f"path:{_SOURCES}", "path:/etc/apt"),
            (f"path:{_KEYRINGS}", "path:/etc/apt"),
        )

    def host_refreshes(self) -> Sequence[str]:
        """The package lists."""
        return ("package-index",)

    def desired(self, observed: State) -> State:
        """Every field of the stanza; one that somebody added is to be empty."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        return files_of.desired_state(observed, self._stanza(), self._key)

    def observe(self, host: HostView) -> State:
        """The fields of the first stanza, in lower case."""
        text = files_of.observe_text(host.files, self._path)
        if text is None:
            return {"ensure": "absent"}
        stanzas = _parse(text)
        state: dict[str, Value] = {"ensure": "present", **files_of.observe_files(host, self._path, self._key)}
        if len(stanzas) > 1:
            state["stanzas"] = str(len(stanzas))
        return {**state, **(stanzas[0] if stanzas else {})}

    def apply(self, host: Host, drift: Drift) -> None:  # noqa: ARG002  (the file is written as a whole)
        """Write its files and have apt fetch its lists, or remove them. Raises ResourceError, in apt's words where it can't."""
        if self.ensure == "absent":
            own = [f"{_KEYRINGS}/{self.name}.{form}" for form in ("asc", "gpg")]
            files_of.remove(host, self._path, own)
            return
        lines = [f"{name}: {value}" for name, value in self._stanza().items()]
        files_of.write(host, self._path, "\n".join(lines) + "\n", self._key)
        if self.enabled:
            self._try(host)

    def _try(self, host: Host) -> None:
        from modules.package_index import try_source

        try:
            try_source(host, self._path)
        except ResourceError as error:
            raise ResourceError(f"it is written, and apt cannot use it: {error}") from error

    @property
    def _path(self) -> str:
        return f"{_SOURCES}/{self.name}.sources"

    @property
    def _key(self) -> files_of.Key | None:
        return files_of.placed_key(self.signed_by, _KEYRINGS, self.name)

    def _stanza(self) -> Mapping[str, str]:
        lists = {
            "Types": self.types,
            "URIs": self.uris,
            "Suites": self.suites,
            "Components": self.components,
            "Architectures": self.architectures,
        }
        stanza = {name: " ".join(words) for name, words in lists.items() if words}
        if key := self._key:
            stanza["Signed-By"] = key.path
        if not self.enabled:
            stanza["Enabled"] = "no"
        if self.trusted:
            stanza["Trusted"] = "yes"
        return {**stanza, **(self.options or {})}


_TYPES = ("deb", "deb-src")


def _parse(text: str) -> list[dict[str, str]]:
    """The stanzas of a deb822 file, values in one line; what is no field is one named after its text."""
    stanzas: list[dict[str, str]] = [{}]
    name = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            stanzas.append({})
        elif line[0].isspace():
            stanzas[-1][name] = f"{stanzas[-1].get(name, '')} {' '.join(line.split())}".strip()
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            stanzas[-1][name] = " ".join(value.split())
    return [stanza for stanza in stanzas if stanza]
