"""Facts: what a host says about itself, gathered one by one and only when something asks.

Only facts that stay the same between passes are here: a desired state that follows the load average never settles.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def _read(path: str) -> str:
    """A small file of the kernel or of the system, without its final newline; empty when it is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16).rstrip("\n")
    except OSError:
        return ""


def _fqdn() -> str:
    """The host's full name by its own word: a resolver that hangs must not hang a pass."""
    name = socket.gethostname()
    if "." not in name:
        for line in _read("/etc/hosts").splitlines():
            names = line.partition("#")[0].split()[1:]
            if name in names:
                return next((full for full in names if full.startswith(f"{name}.")), name)
    return name


def _os() -> dict[str, Any]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}  # a system without os-release(5)
    return {
        "id": release.get("ID", "linux"),
        "like": release.get("ID_LIKE", "").split(),
        "name": release.get("NAME", ""),
        "version": release.get("VERSION_ID", ""),
        "codename": release.get("VERSION_CODENAME", ""),
    }


def _cpu() -> dict[str, Any]:
    import psutil

    return {"count": psutil.cpu_count(logical=True) or 1, "cores": psutil.cpu_count(logical=False) or 1}


def _memory() -> dict[str, Any]:
    import psutil

    return {"total": psutil.virtual_memory().total, "swap": psutil.swap_memory().total}


def _network() -> dict[str, Any]:
    import psutil

    families = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
    interfaces: dict[str, Any] = {}
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        shown: dict[str, list[str]] = {"ipv4": [], "ipv6": []}
        for address in addresses:
            if address.family in families:
                shown[families[address.family]].append(address.address.partition("%")[0])
        interfaces[name] = shown
    return interfaces


def _virtual() -> str:
    """`container`, `vm` or `none`, from what systemd and the processor say."""
    if _read("/run/systemd/container"):
        return "container"
    return "vm" if " hypervisor" in _read("/proc/cpuinfo") else "none"


GATHERERS: Mapping[str, Callable[[], Any]] = {
    "arch": platform.machine,
    "cpu": _cpu,
    "fqdn": _fqdn,
    "hostname": lambda: socket.gethostname().partition(".")[0],
    "init": lambda: "systemd" if os.path.isdir("/run/systemd/system") else _read("/proc/1/comm"),
    "kernel": platform.release,
    "machine_id": lambda: _read("/etc/machine-id"),
    "memory": _memory,
    "network": _network,
    "os": _os,
    "python": platform.python_version,
    "virtual": _virtual,
}


class Facts(Mapping[str, Any]):
    """The facts of this host, each gathered when first asked for; `asked` tells which were."""

    label = "facts"

    def __init__(self, gatherers: Mapping[str, Callable[[], Any]] = GATHERERS) -> None:
        self._gatherers = gatherers
        self.asked: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  (any plain value)
        """Gather one. Raises KeyError for a fact there is not."""
        if name not in self.asked:
            self.asked[name] = self._gatherers[name]()
        return self.asked[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._gatherers)

    def __len__(self) -> int:
        return len(self._gatherers)
