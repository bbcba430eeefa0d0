"""File systems of their own for tests, made in a file and mounted: what this machine's temporary directory is on may lack much."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def ext4(directory: Path, megabytes: int = 64, options: str = "loop") -> Iterator[Path]:
    """A fresh ext4, which keeps access lists, attributes, flags and labels; mounted below a directory."""
    image, at = directory / "ext4.img", directory / "ext4"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    at.mkdir()
    subprocess.run(["mount", "-o", options, str(image), str(at)], check=True)
    try:
        os.rmdir(at / "lost+found")
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)
        image.unlink()
