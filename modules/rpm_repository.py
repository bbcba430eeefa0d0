"""rpm_repository: hold one repository of dnf, with its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modules import repository_files as files_of
from modules.api import Content, Drift, Host, HostView, State, Value
from modules.fields import BOOLEAN, INTEGER, NAME, STRING_MAP, STRINGS, TEXT, choice, identity, option

_REPOSITORIES = "/etc/yum.repos.d"
_KEYS = "/etc/pki/rpm-gpg"
_PLACES = ("baseurl", "metalink", "mirrorlist")


@dataclass(frozen=True, kw_only=True)
class RpmRepository(files_of.Repository, kind="rpm_repository", identity="name"):
    """A repository of dnf, in `/etc/yum.repos.d/NAME.repo`.

    Packages are checked against its key unless that is switched off. The key lies in `/etc/pki/rpm-gpg/NAME.asc`; dnf
    imports it when it first installs something from there. A change or removal has the index fetched again, once,
    before any package is looked at. Every package comes after it.
    """

    name: str = identity(NAME, "Its id, which is also that of its file.")
    ensure: str = option(choice("present", "absent"), "Whether it is there.", "present")
    description: str | None = option(TEXT, "What people see; left out, its id.")
    baseurl: tuple[str, ...] = option(STRINGS, "Where it is; this, `metalink` or `mirrorlist`.", ())
    metalink: str | None = option(TEXT, "Where a list of its mirrors with checksums is.")
    mirrorlist: str | None = option(TEXT, "Where a list of its mirrors is.")
    enabled: bool = option(BOOLEAN, "Whether dnf uses it.", default=True)
    gpgcheck: bool = option(BOOLEAN, "Whether packages must be signed by its key.", default=True)
    repo_gpgcheck: bool | None = option(BOOLEAN, "Whether its index must be signed too.")
    key: Mapping[str, Content | str] | None = option(
        files_of.KEY,
        "Its key: a file of the repository in Git (`.asc` armored, `.gpg` binary), the armored key itself, or the "
        "absolute path of one that the host has.",
    )
    gpgkey: tuple[str, ...] = option(STRINGS, "Addresses of more keys.", ())
    priority: int | None = option(INTEGER, "Lower goes first; dnf takes 99 when none is given.")
    exclude: tuple[str, ...] = option(STRINGS, "Packages that it has and nobody gets, globs allowed.", ())
    includepkgs: tuple[str, ...] = option(STRINGS, "Only these of its packages, globs allowed.", ())
    options: Mapping[str, str] | None = option(STRING_MAP, "Other options of dnf.conf(5), such as `proxy`.", None)

    def problems(self) -> Sequence[str]:
        """What dnf would not take, and a repository that anybody could speak for."""
        found = files_of.name_problems(self.name)
        if self.ensure == "absent":
            return found
        given = [name for name in _PLACES if getattr(self, name)]
        if len(given) != 1:
            found.append(f"give one of {', '.join(_PLACES)}")
        addresses = [*self.baseurl, *filter(None, (self.metalink, self.mirrorlist)), *self.gpgkey]
        found += files_of.url_problems(addresses) + files_of.value_problems(self._section())
        if (self.gpgcheck or self.repo_gpgcheck) and self.key is None and not self.gpgkey:
            found.append(
                "`key` or `gpgkey` is missing: give the key that signs it, or `gpgcheck: false` if nobody does"
            )
        taken = set(self.options or {}) & set(_OWN_FIELDS)
        return [*found, *(f"option `{name}` has a field of its own" for name in sorted(taken))]

    def provides(self) -> Sequence[str]:
        """Its files, and an entry of what packages come after."""
        if self.ensure == "absent":
            return (f"in:{_REPOSITORIES}",)
        key = self._key
        own = () if key is None or key.content is None else (f"path:{key.path}", f"content:{key.path}", f"in:{_KEYS}")
        return (f"path:{self._path}", f"content:{self._path}", f"in:{_REPOSITORIES}", *own)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The key that it names by path, and directories that are managed."""
        return (*files_of.needed(self._key), (f"path:{_REPOSITORIES}",), (f"path:{_KEYS}", "path:/etc/pki"))

    def host_refreshes(self) -> Sequence[str]:
        """The index."""
        return ("package-index",)

    def desired(self, observed: State) -> State:
        """Every option of the section; one that somebody added is to be empty."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        return files_of.desired_state(observed, self._section(), self._key)

    def observe(self, host: HostView) -> State:
        """The options of its section."""
        text = files_of.observe_text(host.files, self._path)
        if text is None:
            return {"ensure": "absent"}
        state: dict[str, Value] = {"ensure": "present", **files_of.observe_files(host, self._path, self._key)}
        return {**state, **_parse(text, self.name)}

    def apply(self, host: Host, drift: Drift) -> None:  # noqa: ARG002  (the file is written as a whole)
        """Write or remove its files. Raises ResourceError."""
        if self.ensure == "absent":
            files_of.remove(host, self._path, [f"{_KEYS}/{self.name}.{form}" for form in ("asc", "gpg")])
            return
        lines = [f"{name}={value}" for name, value in self._section().items()]
        files_of.write(host, self._path, "\n".join([f"[{self.name}]", *lines]) + "\n", self._key)
        if host.root != "/" and (key := self._key):  # dnf would look for it on the running system
            host.run("rpm", f"--root={host.root}", "--import", f"{host.root}{key.path}")

    @property
    def _path(self) -> str:
        return f"{_REPOSITORIES}/{self.name}.repo"

    @property
    def _key(self) -> files_of.Key | None:
        return files_of.placed_key(self.key, _KEYS, self.name)

    def _section(self) -> Mapping[str, str]:
        key = self._key
        keys = [*([f"file://{key.path}"] if key else []), *self.gpgkey]
        section = {
            "name": self.description or self.name,
            "baseurl": " ".join(self.baseurl),
            "metalink": self.metalink or "",
            "mirrorlist": self.mirrorlist or "",
            "enabled": str(int(self.enabled)),
            "gpgcheck": str(int(self.gpgcheck)),
            "repo_gpgcheck": "" if self.repo_gpgcheck is None else str(int(self.repo_gpgcheck)),
            "gpgkey": " ".join(keys),
            "priority": "" if self.priority is None else str(self.priority),
            "excludepkgs": " ".join(self.exclude),
            "includepkgs": " ".join(self.includepkgs),
        }
        return {name: value for name, value in section.items() if value} | dict(self.options or {})


_OWN_FIELDS = (
    "name",
    *_PLACES,
    "enabled",
    "gpgcheck",
    "repo_gpgcheck",
    "gpgkey",
    "priority",
    "exclude",
    "excludepkgs",
    "includepkgs",
)


def _parse(text: str, name: str) -> Mapping[str, str]:
    """The options of a section; other sections are counted."""
    from configparser import Error, RawConfigParser

    parser = RawConfigParser(strict=False, delimiters=("=",), default_section="")
    try:
        parser.read_string(text)
    except Error as error:
        return {"syntax": str(error).splitlines()[0]}
    found = {key: " ".join(value.split()) for key, value in parser[name].items()} if name in parser else {}
    others = [section for section in parser.sections() if section != name]
    return {**found, **({"sections": ", ".join(others)} if others else {})}
