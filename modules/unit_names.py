"""Names of units: what one is, and which files and units belong to it by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from modules.systemd import paths_of

_SUFFIXES = ("service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice")
_FLEETING = ("device", "scope")
_DROPIN = re.compile(r"[A-Za-z0-9:_.\\@-]{1,200}\.conf")
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,250}")
_BROUGHT_BY = {"timer": "service", "socket": "service", "path": "service"}  # what these start, by the same name
_DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")


def files_of(name: str) -> Sequence[str]:
    """Keys of the files that a unit is made of (its template's too), and those of the service that it starts."""
    stem, _, suffix = name.rpartition(".")
    paths = paths_of(name)
    if started := _BROUGHT_BY.get(suffix):
        paths += paths_of(f"{stem}.{started}")
    keys = [
        f"in:{where}/{path}" if path.endswith(".d") else f"path:{where}/{path}"
        for where in _DIRECTORIES
        for path in paths
    ]
    return list(dict.fromkeys(keys))


def instance_of(template: str) -> str:
    """An example of an instance."""
    return template.replace("@.", "@NAME.")


def template_of(name: str) -> str:
    """The template that an instance is made from; empty for a unit that is none."""
    stem, _, suffix = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return f"{prefix}@.{suffix}" if at and instance else ""


def name_problem(name: str) -> str:
    """Why a name is not that of one unit that can be held; empty when it is."""
    suffix = name.rpartition(".")[2]
    if suffix in _FLEETING and not unit_problem(name):
        return f"`{name}` comes and goes with what it stands for; a {suffix} is not held by the agent"
    return unit_problem(name)


def dropin_problem(name: str) -> str:
    """Why a name is not that of a drop-in; empty when it is."""
    return (
        ""
        if _DROPIN.fullmatch(name)
        else f"`{name}` is not the name of a drop-in; it ends in .conf, such as limits.conf"
    )


def unit_problem(name: str) -> str:
    """Why a name is not that of one unit; empty when it is."""
    stem, dot, suffix = name.rpartition(".")
    if not _NAME.fullmatch(name):
        return f"`{name}` is not the name of one unit: letters, digits and `:_.\\@-`, no globs and no paths"
    if not dot or not stem or suffix not in (*_SUFFIXES, *_FLEETING):
        return f"`{name}` has no suffix; give the full unit name, such as {name}.service"
    return ""
