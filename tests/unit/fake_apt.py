"""apt and dpkg of the small machine: archives, package lists fetched from them, and a database in dpkg's own form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modules.api import Completed
from tests.unit.fake_host import FakeHost

DAY = 86_400.0
STAMP = "/var/lib/apt/periodic/update-success-stamp"


@dataclass(frozen=True)
class Release:
    """One version of a package in an archive."""

    version: str
    depends: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    provides: str = ""
    postinst_fails: bool = False


@dataclass(frozen=True)
class Has:
    """One package that dpkg knows."""

    release: Release
    status: str = "installed"
    wish: str = "install"
    automatic: bool = False
    flag: str = "ok"
    architecture: str = "amd64"


class FakeApt:
    """A machine whose archives are `offered`, newest version first, and whose lists are what was last fetched of them."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.offered: dict[str, list[Release]] = {}
        self.lists: dict[str, list[Release]] = {}
        self.pinned: dict[str, str] = {}  # the candidate, where it is not the newest
        self.has: dict[str, Has] = {"dpkg": Has(Release("1.21.22"))}
        self.reachable = True
        self.releases: tuple[str, ...] = ("backports",)  # that may be asked for by name
        self.lock_holder = ""  # "name (pid)" in apt's form
        self.interrupted = False
        host.programs |= {"apt-get": self._apt_get, "apt-cache": self._apt_cache, "dpkg": self._dpkg}
        host.programs |= {"dpkg-query": self._dpkg_query, "apt-mark": self._apt_mark}
        host.files.put("/etc/apt/sources.list", "deb https://archive.example.com stable main")
        host.files.put("/var/lib/dpkg/updates", kind="directory")
        host.files.put("/var/lib/apt/periodic", kind="directory")
        self.write()
        host.files.put_clock_to_now()

    def offer(self, name: str, *releases: Release | str) -> None:
        """Have an archive with these versions, newest first, and lists that know them."""
        self.offered[name] = [Release(one) if isinstance(one, str) else one for one in releases]
        self.fetch()

    def fetch(self, seconds_ago: float = 0) -> None:
        """Have package lists of some time ago."""
        self.lists = {name: list(found) for name, found in self.offered.items()}
        self.host.files.put(STAMP, mtime_ns=self.host.files.tick() - int(seconds_ago * 1e9))

    def put(self, name: str, version: str, **facts: object) -> None:
        """Have a package in dpkg's database."""
        release = next((one for one in self.offered.get(name, []) if one.version == version), Release(version))
        self.has[name] = replace(Has(release), **facts)  # type: ignore[arg-type]
        self.write()

    def status_of(self, name: str) -> tuple[str, str]:
        """Status and version, or not-installed."""
        found = self.has.get(name)
        return (found.status, found.release.version) if found else ("not-installed", "")

    def write(self) -> None:
        """Write the database and apt's marks as the real ones lie on disk."""
        self.host.files.put("/var/lib/dpkg/status", self._database())
        marks = [
            f"Package: {name}\nArchitecture: {has.architecture}\nAuto-Installed: 1\n"
            for name, has in self.has.items()
            if has.automatic
        ]
        self.host.files.put("/var/lib/apt/extended_states", "\n".join(marks))

    def _database(self) -> str:
        return "\n".join(
            f"Package: {name.partition(':')[0]}\nStatus: {has.wish} {has.flag} {has.status}\nSection: x\n"
            f"Architecture: {has.architecture}\nVersion: {has.release.version}\n"
            + (f"Provides: {has.release.provides}\n" if has.release.provides else "")
            + (f"Depends: {', '.join(has.release.depends)}\n" if has.release.depends else "")
            + "Description: a package\n Version: this is no field\n .\n more\n"
            for name, has in self.has.items()
        )

    def _dpkg_query(self, words: Sequence[str]) -> Completed:
        return Completed(0, self._database(), "")

    def _dpkg(self, words: Sequence[str]) -> Completed:
        if words[0] == "--compare-versions":
            return Completed(0 if _order(words[1]) > _order(words[3]) else 1, "", "")
        assert tuple(words[-2:]) == ("--configure", "-a")
        self.interrupted = False
        return self._configure()

    def _apt_mark(self, words: Sequence[str]) -> Completed:
        for name in words[1:]:
            marks = {"hold": {"wish": "hold"}, "unhold": {"wish": "install"}, "manual": {"automatic": False}}
            self.has[name] = replace(self.has[name], **marks[words[0]])  # type: ignore[arg-type]
        self.write()
        return Completed(0, "", "")

    def _apt_cache(self, words: Sequence[str]) -> Completed:
        assert words[0] == "policy"
        words = words if len(words) > 1 else [*words, *self.has]
        if words[1] == "-o":
            release = words[2].removeprefix("APT::Default-Release=")
            if release not in self.releases:
                return Completed(100, "", f"E: The value '{release}' is invalid for APT::Default-Release\n")
            words = words[2:]
        return Completed(0, "".join(self._policy(name) for name in words[1:]), "")

    def _policy(self, name: str) -> str:
        name = name.removesuffix(":amd64")
        known = [release.version for release in self.lists.get(name, [])]
        has = self.has.get(name)
        installed = has.release.version if has and has.status == "installed" else ""
        virtual = any(name in release.provides for found in self.lists.values() for release in found)
        if not known and not installed and not virtual:
            return ""
        candidate = self.pinned.get(name, (known or [installed])[0]) or "(none)"
        versions = known if installed in known or not installed else [*known, installed]
        table = "".join(
            f" {'***' if version == installed else '   '} {version} 500\n"
            "        500 https://archive.example.com stable/main amd64 Packages\n"
            for version in versions
        )
        head = f"{name}:\n  Installed: {installed or '(none)'}\n  Candidate: {candidate}\n"
        return head + f"  Version table:\n{table}"

    def _apt_get(self, words: Sequence[str]) -> Completed:
        if "update" in words:
            return self._update()
        verb = "install" if "install" in words else "purge"
        names = list(words[words.index(verb) + 1 :])
        simulated = "-s" in words
        if self.lock_holder and not simulated:
            said = f"Could not get lock /var/lib/dpkg/lock-frontend. It is held by process {self.lock_holder}"
            return Completed(
                100, f"Waiting for cache lock: {said}...\n", "E: Unable to acquire the dpkg frontend lock\n"
            )
        if self.interrupted:
            return Completed(100, "", "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'\n")
        return self._purge(names, simulated) if verb == "purge" else self._install(names, simulated)

    def _update(self) -> Completed:
        if not self.reachable:
            return Completed(100, "", "E: Failed to fetch https://archive.example.com  Connection refused\n")
        self.lists = {name: list(found) for name, found in self.offered.items()}
        return Completed(0, "", "")  # an update that found nothing new leaves no trace on disk

    def _purge(self, names: Sequence[str], simulated: bool) -> Completed:
        if not simulated:
            self.has = {name: has for name, has in self.has.items() if name not in names}
            self.write()
        return Completed(0, "".join(f"Purg {name} [1]\n" for name in names), "")

    def _install(self, arguments: Sequence[str], simulated: bool) -> Completed:
        wanted: dict[str, Release] = {}
        removed = [argument[:-1] for argument in arguments if argument.endswith("-")]
        for argument in arguments:
            if argument.endswith("-"):
                continue
            name, _, version = argument.rpartition("/")[2].partition("=")  # of a file its base name
            if name not in self.lists:
                return Completed(100, "", f"E: Unable to locate package {name}\n")
            version = version or self.pinned.get(name, "")
            found = next(one for one in self.lists[name] if version in ("", one.version))
            wanted[name] = found
            for need in found.depends:
                if need not in self.lists and need not in self.has:
                    return Completed(100, _UNMET.format(name, need), "E: Unable to correct problems\n")
                if need not in self.has or self.has[need].status != "installed":
                    wanted.setdefault(need, self.lists[need][0])
        there = {name for name, has in self.has.items() if has.status not in ("config-files",)}
        removed += [name for release in wanted.values() for name in release.conflicts if name in there]
        removed += [name for name in there if set(self.has[name].release.depends) & set(removed)]
        removed = [name for name in dict.fromkeys(removed) if name in there]
        if set(removed) & set(wanted):
            return Completed(100, "", "E: Unable to correct problems, you have held broken packages.\n")
        shown = [f"Remv {name} [1]" for name in removed] + [f"Inst {name} (1)" for name in wanted]
        if simulated:
            return Completed(0, "\n".join(shown) + "\n", "")
        return self._carry_out(wanted, removed, {argument.partition("=")[0] for argument in arguments})

    def _carry_out(self, wanted: dict[str, Release], removed: Sequence[str], named: set[str]) -> Completed:
        for name in removed:
            self.has[name] = replace(self.has[name], status="config-files", wish="deinstall")
        for name, release in wanted.items():
            if self.status_of(name) != ("installed", release.version):
                self.has[name] = Has(release, "unpacked", automatic=name not in named)
        return self._configure()

    def _configure(self) -> Completed:
        failed = []
        for name in [name for name, has in self.has.items() if has.status in ("unpacked", "half-configured")]:
            fails = self.has[name].release.postinst_fails
            self.has[name] = replace(self.has[name], status="half-configured" if fails else "installed")
            failed += [name] if fails else []
        self.write()
        said = "".join(f"{name}: boom\ndpkg: error processing package {name} (--configure):\n" for name in failed)
        return Completed(100 if failed else 0, "", said)


_UNMET = "The following packages have unmet dependencies:\n {} : Depends: {} but it is not installable\n"


def _order(version: str) -> tuple[int, list[int]]:
    """A key to sort plain versions by: the epoch, then the numbers."""
    epoch, _, rest = version.rpartition(":")
    return int(epoch or 0), [int(number) for number in re.findall(r"\d+", rest)]
