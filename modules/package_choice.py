"""Which package manager a host has, and whether it may be used there."""

from __future__ import annotations

from modules.api import Host, HostView, Unsupported
from modules.package_backend import Packages, PackagesView


def look(host: HostView) -> PackagesView:
    """The package manager of a host, to be looked at. Raises Unsupported."""
    if _kind(host) == "apt":
        from modules.apt import AptView

        return AptView(host)
    from modules.dnf import DnfView

    return DnfView(host)


def take(host: Host) -> Packages:
    """The package manager of a host, to be changed. Raises Unsupported."""
    if reason := from_an_image(host):
        raise Unsupported(reason)
    if _kind(host) == "apt":
        from modules.apt_changes import Apt

        return Apt(host)
    from modules.dnf_changes import Dnf

    return Dnf(host)


def from_an_image(host: HostView) -> str:
    """Why packages of this host cannot change: they come with its image; empty when they can."""
    advice = "packages come from the image of this host; change them there (files, units and containers still converge)"
    if host.root != "/":
        return ""
    if host.files.lstat("/run/ostree-booted") is not None:
        return f"this host is booted from an image (ostree): {advice}"
    if host.files.lstat("/proc/self/mounts") is not None and _usr_is_read_only(
        host.files.read("/proc/self/mounts").decode()
    ):
        return f"/usr is mounted read-only: {advice}"
    return ""


def _usr_is_read_only(mounts: str) -> bool:
    """Judge by the last mount of /usr, or else of /, in the form of fstab(5)."""
    options = {"/": "rw"}
    for line in mounts.splitlines():
        _, place, _, given = line.split()[:4]
        options[place] = given
    return "ro" in options.get("/usr", options["/"]).split(",")


def _kind(host: HostView) -> str:
    from modules.dpkg import STATUS
    from modules.rpm import DATABASES

    status = host.files.lstat(STATUS)
    if status is not None and status.size:
        if host.root != "/":
            raise Unsupported(
                f"apt can only be used on the running system, not in the root {host.root}; "
                "use `when` to leave packages out there"
            )
        return "apt"
    if any(host.files.lstat(path) is not None for path in DATABASES):
        return "dnf"
    raise Unsupported("no supported package manager on this host: packages need apt and dpkg, or dnf and rpm")
