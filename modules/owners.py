"""Which package a file belongs to, by dpkg's lists of files or by rpm's database."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence

from modules.api import FileView, HostView
from modules.rpm import DATABASES

_LISTS = "/var/lib/dpkg/info"  # NAME.list or NAME:ARCHITECTURE.list, the files of one package, dpkg(1)
_MERGED = ("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/")  # in /usr by now, and listed with or without it
_TOGETHER = 200  # paths in one command


def owners(host: HostView, paths: Collection[str]) -> dict[str, str]:
    """The package of each path that one owns. Raises ResourceError."""
    found = dict(_of_dpkg(host.files, paths)) if paths else {}
    left = [path for path in paths if path not in found]
    if left and any(host.files.listdir(directory) for directory in DATABASES):
        for start in range(0, len(left), _TOGETHER):
            found |= _of_rpm(host, left[start : start + _TOGETHER])
    return found


def _of_dpkg(files: FileView, paths: Collection[str]) -> Iterator[tuple[str, str]]:
    wanted = {os.fsencode(name): path for path in paths for name in _names(path)}
    for listed in files.listdir(_LISTS):
        if listed.endswith(".list"):
            package = listed.removesuffix(".list").partition(":")[0]
            for name in wanted.keys() & files.read(f"{_LISTS}/{listed}").split(b"\n"):
                yield wanted[name], package


def _names(path: str) -> tuple[str, ...]:
    bare = path.removeprefix("/usr")
    return (path, bare if bare != path else f"/usr{path}") if bare.startswith(_MERGED) else (path,)


def _of_rpm(host: HostView, paths: Sequence[str]) -> dict[str, str]:
    """Asked for every file of the packages that own any: what rpm answers of one by itself does not say which it was."""
    root = () if host.root == "/" else (f"--root={host.root}",)
    form = "[%{=NAME}\\t%{FILENAMES}\\n]"
    said = host.probe("rpm", *root, "-q", "-f", f"--queryformat={form}", "--", *paths, accept=range(256)).stdout
    rows = (line.partition("\t") for line in said.splitlines())
    wanted = {name: path for path in paths for name in _names(path)}
    return {wanted[name]: package for package, _, name in rows if name in wanted}
