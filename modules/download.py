"""download: hold one file to what a URL served when its checksum was written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from modules.api import Content
from modules.fields import ABSOLUTE_PATH, CHECKSUM, SOURCE_CONTENT, checksum_problems, identity, option
from modules.regular import Regular, from_url


@dataclass(frozen=True, kw_only=True)
class Download(Regular, kind="download", identity="path"):
    """A file that is fetched from a URL when the host has not got it yet.

    It is fetched in parts, so it may be large, and used only when it is what the checksum names. As long as the file
    on the host is that, nothing is asked of the server. It is the same as a `file` whose `source` is a URL.
    """

    content_field: ClassVar[str] = "url"

    path: str = identity(ABSOLUTE_PATH, "Where the file is.")
    url: Content | None = option(SOURCE_CONTENT, "Where it is had from: an http, https or file URL.")
    checksum: str | None = option(CHECKSUM, "Its sha256.")

    def problems(self) -> Sequence[str]:
        """Fields that are missing, or contradict each other."""
        found = [*self.regular_problems(), *checksum_problems(self.url, self.checksum)]
        if self.ensure == "absent":
            return [*found, *(["url has no meaning with ensure: absent"] if self.url is not None else [])]
        if self.url is None:
            found.append("url is missing")
        elif self.url.url is None:
            found.append("url must be a URL; a file of the repository is copied with `file`")
        return found

    @property
    def wanted(self) -> Content | None:
        """What the checksum names."""
        return from_url(self.url, self.checksum)
