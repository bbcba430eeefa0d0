"""What a commit of the random tests asks of its host, and how that is written in a repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.unit.world import NAME, file, unit

APP, WEB = "app.service", "web.service"  # the first is restarted, the second is reloaded
READ = "/srv/a"  # every service reads it when it starts
PATHS = tuple(f"/srv/{name}" for name in "abcdefgh")
THEIRS = ("/srv/theirs-1", "/srv/theirs-2")
SECRET, FAILS = "/srv/secret", "/srv/fails"
RELOADED_FOR = (READ, "/srv/b")
BY_HAND = "by hand"  # what no commit says
EVIL = "evil"  # how every text begins that nobody may have brought here


@dataclass(frozen=True)
class Sealed:
    """A secret: its text, and whether this host is among those that it is for."""

    text: str
    ours: bool = True


@dataclass(frozen=True)
class Wish:
    """All that one commit asks of the host."""

    files: Mapping[str, str]
    secret: Sealed | None = None
    web: bool = False  # the second service is there, too
    fails: bool = False  # one file can never be applied
    broken: bool = False  # it says something wrong

    @property
    def key(self) -> str:
        """The same for two commits that ask for the same."""
        return repr((sorted(self.files.items()), self.secret, self.web, self.fails, self.broken))

    @property
    def texts(self) -> dict[str, str]:
        """What the files of the host hold once it is applied."""
        return {**self.files, **({SECRET: f"password={self.secret.text}"} if self.secret else {})}

    @property
    def units(self) -> tuple[str, ...]:
        """The services that run then."""
        return (APP, WEB) if self.web else (APP,)

    @property
    def ids(self) -> set[str]:
        """What is owned then."""
        return {f"file:{path}" for path in self.texts} | {f"unit:{name}" for name in self.units}

    @property
    def can_be_applied(self) -> bool:
        """Tell whether nothing is wrong with it on this host."""
        return not (self.broken or self.fails or (self.secret and not self.secret.ours))

    def documents(self) -> dict[str, str]:
        """The files of the repository, but for the secret itself."""
        listed = "".join(file(path, text) for path, text in sorted(self.files.items()))
        listed += file(SECRET, "\"password={{ secret('db') }}\"") if self.secret else ""
        listed += file(FAILS, validate="[checker, '%s']") if self.fails else ""
        listed += unit(APP, restart_on="['file:/srv/*']")
        listed += unit(WEB, reload_on="['file:/srv/[ab]']") if self.web else ""
        wrong = "  - file: relative\n    colour: red\n" if self.broken else ""
        return {"fleet.yaml": "format: 1\n", f"hosts/{NAME}.yaml": f"resources:\n{listed}{wrong}"}


def watched(unit_name: str, path: str) -> bool:
    """Tell whether a service is restarted or reloaded for a file."""
    return unit_name == APP or path in RELOADED_FOR
