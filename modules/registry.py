"""The registry: every kind on one screen, each loaded when a catalog first has one of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from modules.api import Host, Resource

_KINDS: Mapping[str, tuple[str, str]] = {  # in the order of the documentation
    "file": ("modules.file", "File"),
    "directory": ("modules.directory", "Directory"),
    "symlink": ("modules.symlink", "Symlink"),
    "purge": ("modules.purge", "Purge"),
    "line": ("modules.line", "Line"),
    "block": ("modules.block", "Block"),
    "ini": ("modules.ini", "Ini"),
    "archive": ("modules.archive", "Archive"),
    "download": ("modules.download", "Download"),
    "package": ("modules.package", "Package"),
    "apt_repository": ("modules.apt_repository", "AptRepository"),
    "rpm_repository": ("modules.rpm_repository", "RpmRepository"),
    "unit": ("modules.unit", "Unit"),
    "timer": ("modules.timer", "Timer"),
    "container": ("modules.container", "Container"),
    "container_image": ("modules.container_image", "ContainerImage"),
    "container_network": ("modules.container_network", "ContainerNetwork"),
    "container_volume": ("modules.container_volume", "ContainerVolume"),
}
_HOST_REFRESHES: Mapping[str, tuple[str, str]] = {
    "daemon-reload": ("modules.unit", "daemon_reload"),
    "package-index": ("modules.package_index", "refresh_index"),
}
KIND_NAMES = tuple(_KINDS)


@cache
def kind_named(name: str) -> type[Resource]:
    """The kind of a name. Raises KeyError when there is none."""
    module, attribute = _KINDS[name]
    found: type[Resource] = getattr(import_module(module), attribute)
    return found


def kinds() -> tuple[type[Resource], ...]:
    """Every kind, loaded."""
    return tuple(kind_named(name) for name in KIND_NAMES)


def host_refresh(name: str) -> Callable[[Host], None] | None:
    """What delivers a host-wide refresh; it raises ResourceError when it fails. None for one that this version does not know."""
    if name not in _HOST_REFRESHES:
        return None
    module, attribute = _HOST_REFRESHES[name]
    deliver: Callable[[Host], None] = getattr(import_module(module), attribute)
    return deliver
