"""The package index, for whoever changes where packages come from."""

from __future__ import annotations

from modules.api import Host
from modules.package_choice import from_an_image, take


def refresh_index(host: Host) -> None:
    """Fetch the package index, because a repository changed. Raises ResourceError."""
    if not from_an_image(host):  # where nothing can be installed, nobody needs to know what could be
        take(host).refresh_index()


def try_source(host: Host, path: str) -> None:
    """Fetch the index of one file of apt's sources, where there is apt. Raises ResourceError, why apt cannot use it."""
    from modules.apt_changes import Apt

    apt = "/usr/bin/apt-get"
    if host.root == "/" and host.files.lstat(apt) is not None and not from_an_image(host):
        Apt(host).try_source(path)
