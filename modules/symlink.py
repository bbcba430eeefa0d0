"""symlink: hold one symbolic link to its target."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from modules.api import Drift, Host, HostView, Resource, State
from modules.fields import ABSOLUTE_PATH, BOOLEAN, TEXT, choice, identity, option
from modules.parents import PARENTS, PARENTS_DOC, parents
from modules.paths import ancestors, placed, remove, replaceable, unit_file_refreshes


@dataclass(frozen=True, kw_only=True)
class Symlink(Resource, kind="symlink", identity="path"):
    """A symbolic link.

    Its target is compared as text, so a relative and an absolute one differ. The target need not exist: a link opens
    nothing by itself, and often what it names comes later, with a package or a mount.
    """

    family: ClassVar[str] = "path"

    path: str = identity(ABSOLUTE_PATH, "Where the link is.")
    target: str | None = option(TEXT, "What it points to: an absolute path, or one relative to the link's directory.")
    ensure: str = option(choice("present", "absent"), "Whether it exists.", "present")
    force: bool = option(
        BOOLEAN,
        "Replace a regular file or an empty directory that stands at the path; with `ensure: absent`, remove a "
        "directory that is not empty.",
        default=False,
    )

    parents: str | None = option(PARENTS, PARENTS_DOC)

    def problems(self) -> Sequence[str]:
        """A target that is missing, or of no use."""
        if self.path == "/":
            return ("the path / is always a directory",)
        if self.ensure == "present" and not self.target:
            return ("target is missing: give the path that the link points to",)
        if self.ensure == "absent" and self.target is not None:
            return ("target has no meaning with ensure: absent",)
        if self.ensure == "absent" and self.parents is not None:
            return ("parents has no meaning with ensure: absent",)
        return ()

    def expanded(self) -> tuple[Resource, Sequence[tuple[str, Mapping[str, object]]]]:
        """Itself, and the directories above it where they are wanted."""
        return replace(self, parents=None), tuple(parents(self.path, self.parents))

    def provides(self) -> Sequence[str]:
        """Its path, unless it is to be absent, and an entry of its directory."""
        return placed(self.path)[self.ensure == "absent" :]

    def claims(self) -> Sequence[str]:
        """Its path, also when nothing shall be there."""
        return (f"path:{self.path}",)

    def needs(self) -> Sequence[tuple[str, ...]]:
        """The nearest managed directory above it, and what it points to."""
        above = ancestors(self.path)
        if not self.target:
            return (above,)
        pointed = os.path.normpath(os.path.join(os.path.dirname(self.path), self.target))
        return (above,) if f"path:{pointed}" == f"path:{self.path}" else (above, (f"path:{pointed}",))

    def host_refreshes(self) -> Sequence[str]:
        """A daemon-reload for an alias, a mask or an enablement made by hand."""
        return unit_file_refreshes(self.path)

    def desired(self, observed: State) -> State:  # noqa: ARG002  (no wish is relative)
        """Nothing but `ensure` for a link that is to be absent."""
        return {"ensure": "absent"} if self.ensure == "absent" else {"ensure": "present", "target": self.target}

    def observe(self, host: HostView) -> State:
        """`ensure` is `present` for a link, else what stands there (`file`, `directory`, ...)."""
        found = host.files.lstat(self.path)
        if found is None:
            return {"ensure": "absent"}
        if found.type != "symlink":
            return {"ensure": found.type}
        return {"ensure": "present", "target": host.files.readlink(self.path)}

    def apply(self, host: Host, drift: Drift) -> None:  # noqa: ARG002  (a link is always made whole)
        """Put it in place in one step, or remove it, never what it points to."""
        if self.ensure == "absent" or self.target is None:
            remove(host.files, self.path, self.force)
            return
        found = replaceable(host.files, self.path, "symlink", self.force)
        if found is not None and found.type == "directory":
            host.files.remove_directory(self.path)
        host.files.make_symlink(self.path, self.target)

    def undo(self, prior: State) -> Self | None:
        """The link is removed; one that was there before gets its old target back."""
        if self.ensure != "present":
            return None
        if prior.get("ensure") == "absent":
            return type(self)(path=self.path, ensure="absent")
        target = prior.get("target")
        return type(self)(path=self.path, target=target) if isinstance(target, str) else None

    def recover(self, host: Host) -> None:
        """Remove a temporary link."""
        host.files.sweep(self.path)
