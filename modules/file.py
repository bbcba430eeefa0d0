"""file: hold one regular file to its content, owner and mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modules.api import Content
from modules.fields import (
    ABSOLUTE_PATH,
    BOOLEAN,
    CHECKSUM,
    SOURCE_CONTENT,
    TEMPLATE_CONTENT,
    TEXT_CONTENT,
    checksum_problems,
    identity,
    option,
)
from modules.regular import Regular, from_url


@dataclass(frozen=True, kw_only=True)
class File(Regular, kind="file", identity="path"):
    """A regular file.

    It is replaced in one step: nobody ever sees it half written, with another owner, or readable for more than its
    mode allows. A change of only owner or mode leaves the file and its hard links in place. A field that is left out
    is not managed; with none of `content`, `source` and `template` the file must exist already.
    """

    family = "path"

    path: str = identity(ABSOLUTE_PATH, "Where the file is.")
    content: Content | None = option(TEXT_CONTENT, "Its text, as it is written here; nothing is added at its end.")
    source: Content | None = option(
        SOURCE_CONTENT, "What it is a copy of: a file of the repository, or a URL, with `checksum`."
    )
    template: Content | None = option(TEMPLATE_CONTENT, "A template of the repository that it is rendered from.")
    checksum: str | None = option(CHECKSUM, "What its content must be: required with a URL, else one more check.")
    replace: bool = option(
        BOOLEAN,
        "Whether a file that is there gets this content. With `false` it is only made when it is missing; owner and "
        "mode are held all the same.",
        default=True,
    )

    def problems(self) -> Sequence[str]:
        """Fields that contradict each other."""
        given = [name for name in ("content", "source", "template") if getattr(self, name) is not None]
        found = [*self.regular_problems(), *checksum_problems(self._given, self.checksum)]
        if len(given) > 1:
            found.append(f"give only one of {' and '.join(given)}")
        if self.ensure == "absent":
            found += [f"{name} has no meaning with ensure: absent" for name in given]
        if not self.replace and not given:
            found.append("replace: false says when to write new content, so it needs content, source or template")
        return found

    @property
    def wanted(self) -> Content | None:
        """The content it shall have; None when what is there may stay."""
        return self.starts_with if self.replace else None

    @property
    def starts_with(self) -> Content | None:
        """The content it is made with; that of a URL is what its checksum names."""
        return from_url(self._given, self.checksum)

    @property
    def _given(self) -> Content | None:
        return self.content or self.source or self.template
