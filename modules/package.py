"""package: hold one package installed, at a version, or away."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from modules.api import Content, Drift, Host, HostView, Observation, Resource, ResourceError, State, Value
from modules.fields import (
    BOOLEAN,
    CHECKSUM,
    NAME,
    SOURCE_CONTENT,
    STRING_MAP,
    FieldType,
    Lookup,
    checksum_problems,
    choice,
    identity,
    option,
)
from modules.package_backend import OWN_PACKAGE, Options
from modules.package_version import is_exact, version_problem
from modules.package_wish import GONE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9_-]+)?")
_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_ANSWER_TYPES = ("boolean", "multiselect", "note", "password", "select", "string", "text")
_MARKS = ("hold", "marked")  # what changes without a transaction


def _answers(value: object, lookup: Lookup) -> Content:
    """Lines of debconf-set-selections(1), without the owner."""
    answers = STRING_MAP.parse(value, lookup)
    assert isinstance(answers, dict)  # noqa: S101  (what a mapping of texts is parsed to)
    for question, answer in answers.items():
        kind = answer.partition(" ")[0]
        if not re.fullmatch(r"\S+/\S+", question):
            raise ValueError(f"has {question!r}, which is not the name of a question such as postfix/mailname")
        if kind not in _ANSWER_TYPES or "\n" in answer:
            raise ValueError(f"must answer {question} in one line, its type first: one of {', '.join(_ANSWER_TYPES)}")
    return lookup.text("".join(f"{question} {answer}\n" for question, answer in answers.items()))


_ANSWERS = FieldType("mapping of questions to answers", _answers, STRING_MAP.schema, keeps_secrets=True)


@dataclass(frozen=True, kw_only=True)
class Package(Resource, kind="package", identity="name"):
    """A package of the host's package manager (apt or dnf), installed, at a version, or away.

    All packages that are ready go to the package manager in one transaction, which waits for its lock, keeps
    configuration files that were edited, and asks nothing. The package index is fetched first when it is older than a
    day or does not have what is asked for. Nothing that somebody installed by name is removed on the way: declare it
    absent too, if that is meant; what the agent itself needs is not removed at all, which the plan says. What is present
    is marked as wanted by name, so that nothing removes it as no longer needed. A package that an admin holds is left alone
    unless `hold` is given. Where packages come with an image (ostree, a read-only /usr) only their presence is told.
    """

    gathers = True
    one_way = True  # the scripts of a package do what they like
    awaits = ("package-index",)

    name: str = identity(NAME, "The package; `name:architecture` for one of another architecture.")
    ensure: str = option(
        choice("present", "absent", "purged", "latest"),
        "`present` never upgrades; `absent` leaves configuration files; `purged` leaves nothing (with dnf it is the "
        "same as `absent`); `latest` follows the version that would be installed, by pins, excludes and holds.",
        "present",
    )
    version: str | None = option(
        NAME,
        'The version to have, with epoch and revision as the package manager writes it, a glob such as `"1.22.*"`, or a '
        'range such as `">=1.22 <2"`, in the package manager\'s own order. What is installed stays when it matches. The '
        "epoch may be left out; with dnf the release too.",
    )
    allow_downgrade: bool = option(BOOLEAN, "Go back to an older version if `version` asks for it.", default=False)
    only_upgrade: bool = option(
        BOOLEAN, "Follow `version` or `latest` only where it is installed; elsewhere it stays away.", default=False
    )
    repository: str | None = option(
        NAME,
        "Where it comes from before all others: with apt a release such as `bookworm-backports` (as `apt-get -t`), with "
        "dnf the id of a repository, which may be disabled for everything else.",
    )
    hold: bool | None = option(
        BOOLEAN,
        "Whether upgrades by others leave it as it is (apt-mark hold, dnf versionlock). What is held here still follows "
        "`version` and `latest`. Left out, a hold is an admin's, and nothing is changed against it.",
    )
    install_recommends: bool | None = option(
        BOOLEAN, "Whether what it recommends comes along (with dnf: weak dependencies); left out, as the host is set."
    )
    config_files: Literal["keep", "replace"] = option(
        choice("keep", "replace"),
        "What a new version does to a configuration file that was edited: `keep` it, or `replace` it (apt only).",
        "keep",
    )
    debconf: Content | None = option(
        _ANSWERS,
        'Answers to its questions, stored before it is installed or changed: `postfix/mailname: "string example.org"`, '
        "type first (apt only).",
    )
    source: Content | None = option(
        SOURCE_CONTENT,
        "A package file to install it from: a file of the repository, or a URL with `checksum`. Give `version` exactly.",
    )
    checksum: str | None = option(CHECKSUM, "What `source` must be: required with a URL, else one more check.")

    def problems(self) -> Sequence[str]:
        """Find names and versions that no package can have, and wishes that contradict each other."""
        found = []
        if not _NAME.fullmatch(self.name):
            found.append(
                f"`{self.name}` is not the name of one package: letters, digits, `+`, `-`, `.`, `_`, then "
                "`:architecture` if need be; no globs and no versions (use `version`)"
            )
        if self.name.partition(":")[2] in ("any", "all", "native"):
            found.append(f"`{self.name}` names no one architecture; write one such as amd64, or leave it out")
        if self.version is not None and (problem := version_problem(self.version)):
            found.append(problem)
        if self.repository is not None and not _PLACE.fullmatch(self.repository):
            found.append(
                f"`repository: {self.repository}` is neither a release of apt nor the id of a repository of dnf"
            )
        if self.name == OWN_PACKAGE and self.ensure in GONE:
            found.append("the agent does not remove itself; use the package manager by hand")
        if self.source is not None and (self.version is None or not is_exact(self.version)):
            found.append("`source` needs `version`: the exact one that is in the file")
        return [*found, *self._contradictions(), *checksum_problems(self.source, self.checksum)]

    def _contradictions(self) -> Sequence[str]:
        found = []
        if self.version is not None and self.ensure != "present":
            found.append(f"`version` contradicts `ensure: {self.ensure}`; keep one of them")
        if self.ensure in GONE:
            names = ("hold", "install_recommends", "debconf", "source", "repository")
            given = [name for name in names if self._is_given(name)]
            found += [f"`{name}` has no meaning with `ensure: {self.ensure}`" for name in given]
        if self.allow_downgrade and self.version is None:
            found.append("`allow_downgrade` needs a `version` to go back to")
        if self.only_upgrade and self.version is None and self.ensure != "latest":
            found.append("`only_upgrade` needs a `version`, or `ensure: latest`, to follow")
        if self.source is not None and self.repository is not None:
            found.append("`source` and `repository` both say where it comes from; keep one of them")
        return found

    def _is_given(self, name: str) -> bool:
        return getattr(self, name) is not None

    def provides(self) -> Sequence[str]:
        """Its name."""
        return (f"package:{self.name}",)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """Everything that says where packages come from."""
        apt = ("sources.list.d", "preferences.d", "keyrings", "apt.conf.d", "trusted.gpg.d", "auth.conf.d")
        return (
            *((f"in:/etc/apt/{name}",) for name in apt),
            ("in:/usr/share/keyrings",),
            ("path:/etc/apt/sources.list",),
            ("path:/etc/apt/preferences",),
            ("in:/etc/yum.repos.d",),
            ("in:/etc/pki/rpm-gpg",),
            ("path:/etc/dnf/dnf.conf",),
        )

    @property
    def options(self) -> Options:
        """How the transaction that brings it is run."""
        return Options(self.config_files, self.install_recommends, self.repository or "")

    @property
    def file(self) -> Content | None:
        """The package file it is installed from."""
        if self.source is None or self.source.url is None:
            return self.source
        return replace(self.source, digest=self.checksum or "")

    def desired(self, observed: State) -> State:
        """Presence, and the version that the wish comes to on this host; nothing where there is nothing to upgrade.

        A glob or range that the installed version matches is that version; else it is what the archive would bring, else the
        glob as it is written. `archive`, `index` and `marked` are only there when they are not as they should be.
        """
        if self.ensure in GONE:
            return {"ensure": self.ensure}
        if self.only_upgrade and observed.get("ensure") == "absent":
            return {"ensure": "absent"}
        wanted: dict[str, Value] = {"ensure": "present", "version": observed.get("candidate", self.version)}
        wanted |= {name: value for name, value in _IN_ORDER.items() if name in observed}
        return wanted | {"hold": self.hold}

    def remark(self, observed: State) -> str:
        """That somebody's hold keeps it from what `latest` asks for."""
        if self.ensure != "latest" or self.hold is not None or not observed.get("hold"):
            return ""
        return f"it is held at {observed['version']}, by somebody else; `hold: false` here lets it follow the latest"

    def unmet(self, observed: State) -> str:
        """That answers were not given to what is installed already."""
        if self.debconf is None or observed.get("ensure") != "present":
            return ""
        return (
            "it is installed already, so its answers in `debconf` were not given; they are before its version changes "
            f"(by hand: debconf-set-selections, then dpkg-reconfigure {self.name})"
        )

    def undo(self, prior: State) -> Self | None:
        """It is removed and never purged: configuration files and its data stay. Removing those is said by `ensure: purged`."""
        if self.ensure in GONE or self.only_upgrade or prior.get("ensure") != "absent":
            return None
        return type(self)(name=self.name, ensure="absent")

    @classmethod
    def observe_all(cls, host: HostView, wanted: Sequence[Self]) -> list[Observation]:
        """One read of the database; the archives are asked, once, only when something is missing or to be the latest."""
        from modules.package_look import observe_packages

        return observe_packages(host, wanted)

    @classmethod
    def apply_all(cls, host: Host, steps: Sequence[tuple[Self, Drift]]) -> list[ResourceError | None]:
        """Bring all in one transaction; when that fails, in smaller ones, until what fails is known."""
        from modules.package_wave import converge_packages

        packages = {package.name: package for package, _ in steps}

        def changing(names: Collection[str]) -> Collection[str]:
            wanted = [packages[name] for name in names]
            seen = cls.observe_all(host, wanted)
            return [package.name for package, state in zip(wanted, seen, strict=True) if package.needs_change(state)]

        return converge_packages(host, list(packages.values()), changing)

    def needs_change(self, seen: Observation) -> bool:
        """Whether more than its marks must change to have it as Git wants it, or it cannot be observed."""
        return isinstance(seen, ResourceError) or not self._differing(seen).issubset(_MARKS)

    def drifts(self, seen: Observation) -> bool:
        """Whether anything is not as Git wants it, or it cannot be observed."""
        return isinstance(seen, ResourceError) or bool(self._differing(seen))

    def _differing(self, seen: State) -> set[str]:
        return {key for key, want in self.desired(seen).items() if want is not None and seen.get(key) != want}


_IN_ORDER = {"archive": "available", "index": "current", "marked": "manual"}
