"""The SELinux policy of a root: whether one is in use, and what it labels what stands at a path, as restorecon(8) would."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cached_property

CONFIG = "/etc/selinux/config"  # selinux_config(5)
_LOADED = "/sys/fs/selinux/enforce"  # there when the running kernel has loaded a policy
_SETTING = re.compile(r"^\s*(SELINUX|SELINUXTYPE)\s*=\s*([\w-]+)\s*$", re.MULTILINE)
_MOUNT = re.compile(r"^\S+ \S+ (\d+):(\d+) .* - \S+ \S+ (\S+)$", re.MULTILINE)  # proc_pid_mountinfo(5)


class Policy:
    """The policy of this machine, when its kernel has loaded one; that of another root, when its configuration names one."""

    def __init__(self, root: str, config: str) -> None:
        """`root` is empty for this machine; `config` is the text of `CONFIG` in another root, empty when it has none."""
        self._root, self._config = root, config

    def context(self, path: str, form: str) -> str | None:
        """The context of a `form` (file, directory, symlink) at `path`; empty when the policy names none.

        None where no policy is in use. Raises ResourceError when it cannot be asked.
        """
        return self._ask(path, form) if self._ask is not None else None

    def keeps_labels(self, device: int) -> bool:
        """Whether the file system that is this device (st_dev) keeps labels; one that is not listed may."""
        return device not in self._without_labels

    @cached_property
    def _ask(self) -> Callable[[str, str], str] | None:
        if not self._root and not os.path.exists(_LOADED):
            return None
        from agent.host import selabel

        if not self._root:
            return selabel.of_this_machine()
        kind = self._configured()
        return selabel.of_file(f"{self._root}/etc/selinux/{kind}/contexts/files/file_contexts") if kind else None

    def _configured(self) -> str:
        """The name of the policy of another root; empty when none is in use."""
        found = dict(_SETTING.findall(self._config))
        return found.get("SELINUXTYPE", "targeted") if found.get("SELINUX") in ("enforcing", "permissive") else ""

    @cached_property
    def _without_labels(self) -> set[int]:
        """File systems that have one label as a whole: SELinux marks those that keep more with `seclabel`."""
        if self._root:
            return set()  # what another root will run on is not to be seen here
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return unlabelled(file.read())


def unlabelled(mounts: str) -> set[int]:
    """The devices (st_dev) of the mounts of a mountinfo that keep no labels."""
    found = _MOUNT.findall(mounts)
    return {
        os.makedev(int(major), int(minor)) for major, minor, options in found if "seclabel" not in options.split(",")
    }
