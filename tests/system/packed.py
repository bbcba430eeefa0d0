"""Archives for tests, made in memory."""

from __future__ import annotations

import io
import tarfile


def packed(*names: str, data: bytes = b"member", mode: int = 0o640) -> bytes:
    """A tar with a file of each name."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()
