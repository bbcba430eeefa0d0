"""directory: hold one directory to its owner and mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from modules.api import Drift, Host, HostView, State
from modules.attributes import Attributed
from modules.fields import ABSOLUTE_PATH, BOOLEAN, identity, option
from modules.paths import ancestors, placed, remove, replaceable, unit_file_refreshes


@dataclass(frozen=True, kw_only=True)
class Directory(Attributed, kind="directory", identity="path"):
    """A directory: itself, not what is in it.

    Its parent must exist; declare it too. A field that is left out is not managed. What is in the directory is never
    touched, except by `ensure: absent` with `force`, which stops at anything that is mounted there.
    """

    is_directory: ClassVar[bool] = True

    path: str = identity(ABSOLUTE_PATH, "Where the directory is.")
    force: bool = option(
        BOOLEAN,
        "Replace a regular file, or a link to one, that stands at the path; with `ensure: absent`, remove the "
        "directory with all in it.",
        default=False,
    )

    def problems(self) -> Sequence[str]:
        """Fields that contradict each other."""
        root = ["the path / cannot be absent"] if self.path == "/" and self.ensure == "absent" else []
        return [*root, *self.attribute_problems()]

    def provides(self) -> Sequence[str]:
        """Its path, unless it is to be absent, and an entry of its directory."""
        return placed(self.path)[self.ensure == "absent" :]

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The nearest managed directory above it; all that is managed in it goes before it does."""
        above = ancestors(self.path)
        return (above, (f"in:{self.path}",)) if self.ensure == "absent" else (above,)

    def host_refreshes(self) -> Sequence[str]:
        """A daemon-reload for a directory of drop-ins."""
        return unit_file_refreshes(self.path)

    def desired(self, observed: State) -> State:
        """Nothing but `ensure` for a directory that is to be absent."""
        if self.ensure == "absent":
            return {"ensure": "absent"}
        return {"ensure": "present", **self.desired_attributes(observed)}

    def observe(self, host: HostView) -> State:
        """`ensure` is `present` for a directory, else what stands there (`file`, `symlink`, ...)."""
        found = host.files.lstat(self.path)
        if found is None:
            return {"ensure": "absent"}
        if found.type != "directory":
            return {"ensure": found.type}
        return {"ensure": "present", **self.observed_attributes(host.files, host.accounts, found)}

    def apply(self, host: Host, drift: Drift) -> None:
        """Make it whole, change it in place, or remove it."""
        if self.ensure == "absent":
            remove(host.files, self.path, self.force)
        elif "ensure" in drift:
            self._make(host)
        else:
            self.change_attributes(host, drift)

    def undo(self, prior: State) -> Self | None:
        """A directory that was not there before is removed if it is empty; one that was is left as it is."""
        if self.ensure == "present" and prior.get("ensure") == "absent":
            return type(self)(path=self.path, ensure="absent")
        return None

    def recover(self, host: Host) -> None:
        """Remove a temporary directory."""
        host.files.sweep(self.path)

    def _make(self, host: Host) -> None:
        replaceable(host.files, self.path, "directory", self.force)
        fresh = self.fresh(host, None)
        host.files.unlink(self.path)
        host.files.make_directory(self.path, mode=fresh.mode, owner=fresh.owner, xattrs=fresh.xattrs)
        self.lock(host)
