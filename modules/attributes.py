"""What may be said of anything at a path besides what it is: owner, mode, access list, labels and flags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from modules import acl as lists
from modules import labels, selinux
from modules.api import Accounts, Drift, FileView, Host, Resource, ResourceError, Stat, State, Value
from modules.fields import ABSOLUTE_PATH, NAME, choice, identity, option
from modules.modes import MODE, NEW_DIRECTORY, NEW_FILE, is_octal, resolved

_DEFAULT_LABEL = "selinux_default"  # what is compared with nothing: the label that the policy has for it


@dataclass(frozen=True)
class Fresh:
    """How something new at a path is made: whole before it is seen."""

    mode: int
    owner: tuple[int, int]
    xattrs: Mapping[str, bytes | None]


@dataclass(frozen=True, kw_only=True)
class Attributed(Resource, kind="", identity="path"):
    """What stands at a path and has an owner and a mode; kinds add what it is."""

    family: ClassVar[str] = "path"
    is_directory: ClassVar[bool] = False

    path: str = identity(ABSOLUTE_PATH, "Where it is.")
    ensure: str = option(choice("present", "absent"), "Whether it exists.", "present")
    owner: str | None = option(NAME, "The user who owns it: a name, or a number in quotes.")
    group: str | None = option(NAME, "The group it belongs to: a name, or a number in quotes.")
    mode: str | None = option(
        MODE,
        "Its permissions. What is new gets 0644, or 0755 as a directory, when none are given; a symbolic mode changes "
        "only the bits it names, and starts from those. In an octal mode of a directory, who may read may also enter.",
    )
    acl: tuple[str, ...] | None = option(
        lists.ACL,
        "Exactly these users and groups besides owner, group and others (`user:alice:rw`, `group:adm:r`, in a "
        "directory also `default:user:alice:rwx`); an empty list removes all. `mode` then says what owner, group and "
        "others may do, without the mask.",
    )
    xattr: Mapping[str, str] | None = option(
        labels.XATTRS, "Extended attributes (`user.NAME`) to set; others are left."
    )
    attributes: str | None = option(
        labels.CHATTR,
        "File flags to set or clear, as chattr takes them. What is immutable by this field is made changeable for as "
        "long as a change takes.",
    )
    selinux: Mapping[str, str] | None = option(
        selinux.CONTEXT,
        "Its SELinux type, its whole context, or parts of it; what is left out is as the policy of the host has it, so "
        "`{}` holds just that. Not managed on a host without SELinux, and where the file system keeps no labels. Without "
        "it, what is new, or gets another content, is labelled as restorecon would.",
    )

    def claims(self) -> Sequence[str]:
        """Its path, also when nothing shall be there."""
        return (f"path:{self.path}",)

    def attributes_given(self) -> list[str]:
        """The names of those that Git says anything of."""
        names = ("owner", "group", "mode", "acl", "xattr", "attributes", "selinux")
        return [name for name in names if getattr(self, name) is not None]

    def attribute_problems(self) -> Iterator[str]:
        """What is wrong with this combination of them."""
        if self.ensure == "absent":
            yield from (f"{name} has no meaning with ensure: absent" for name in self.attributes_given())
        elif not self.is_directory and any(entry.startswith("default:") for entry in self.acl or ()):
            yield "acl has default entries, which only a directory can have"

    # What is there

    def observed_attributes(self, files: FileView, accounts: Accounts, found: Stat) -> dict[str, Value]:
        """What the host shows of them."""
        state: dict[str, Value] = {
            "owner": account(found.uid, self.owner, accounts.user_name, accounts.user_id),
            "group": account(found.gid, self.group, accounts.group_name, accounts.group_id),
            "mode": f"{found.mode:04o}",
        }
        if self.acl is not None:
            state |= self._observed_lists(files, accounts, found)
        if self.xattr is not None:
            shown = {name: labels.xattr(files, self.path, name) for name in self.xattr}
            state["xattr"] = tuple(
                sorted(f"{name}={value.decode(errors='replace')}" for name, value in shown.items() if value is not None)
            )
        if self.attributes is not None:
            state["attributes"] = labels.letters(labels.flags(files, self.path))
        if self.selinux is not None:
            state |= {"selinux": selinux.label(files, self.path), **self.observed_policy(files)}
        return state

    def observed_policy(self, files: FileView) -> dict[str, Value]:
        """What the policy of the host would label it, also while it is not there."""
        return {} if self.selinux is None else {_DEFAULT_LABEL: self._default_label(files)}

    def _default_label(self, files: FileView) -> str | None:
        return files.default_label(self.path, "directory" if self.is_directory else "file")

    def _observed_lists(self, files: FileView, accounts: Accounts, found: Stat) -> dict[str, Value]:
        access = lists.unpacked(labels.xattr(files, self.path, lists.ACCESS), accounts)
        more = [entry for entry in access if not entry.is_base]
        if self.is_directory:
            more += lists.unpacked(labels.xattr(files, self.path, lists.DEFAULT), accounts, default=True)
        shown = lists.in_words_of(more, self.acl or (), accounts)
        return {"mode": f"{lists.mode_of(access, found.mode):04o}", "acl": shown}

    # What is wanted

    def desired_attributes(self, observed: State) -> dict[str, Value]:
        """What Git wants of them, relative wishes resolved against what is there."""
        wanted: dict[str, Value] = {"owner": self.owner, "group": self.group, "mode": self._mode_wanted(observed)}
        if self.acl is not None:
            wanted["acl"] = self._acl_wanted(observed)
        if self.xattr is not None:
            wanted["xattr"] = tuple(sorted(f"{name}={value}" for name, value in self.xattr.items()))
        if self.attributes is not None:
            wanted["attributes"] = labels.wanted_letters(self.attributes, observed)
        if self.selinux is not None:
            default = observed.get(_DEFAULT_LABEL, "")  # a wish that is looked at by itself is of what is given
            found = str(observed.get("selinux", ""))
            wanted["selinux"] = selinux.context(self.selinux, found, None if default is None else str(default))
        return wanted

    def _mode_wanted(self, observed: State) -> str | None:
        if self.mode is None or (is_octal(self.mode) and not self.is_directory):
            return self.mode
        return f"{resolved(self.mode, self._base(observed), directory=self.is_directory):04o}"

    def _base(self, observed: State) -> int:
        found = observed.get("mode")
        return int(found, 8) if isinstance(found, str) else self.new_mode

    def _acl_wanted(self, observed: State) -> tuple[str, ...]:
        mode = self._mode_wanted(observed)
        return lists.completed(self.acl or (), self._base(observed) if mode is None else int(mode, 8))

    @property
    def new_mode(self) -> int:
        """The mode of what is made without one, and what a relative one starts from."""
        return NEW_DIRECTORY if self.is_directory else NEW_FILE

    def ids(self, accounts: Accounts) -> tuple[int, int]:
        """The uid and gid; -1 for one that is left. Raises ResourceError when the host has no such account."""
        uid = -1 if self.owner is None else accounts.user_id(self.owner)
        gid = -1 if self.group is None else accounts.group_id(self.group)
        return uid, gid

    # Making it so

    def fresh(self, host: Host, found: Stat | None) -> Fresh:
        """How a successor of what was found is made; of what Git leaves open it takes after it."""
        uid, gid = self.ids(host.accounts)
        observed: State = {}
        if found is not None:
            uid, gid = found.uid if uid == -1 else uid, found.gid if gid == -1 else gid
            observed = self.observed_attributes(host.files, host.accounts, found)
        wanted = self.desired_attributes(observed)
        mode = int(str(wanted["mode"]), 8) if self.mode is not None else self._base(observed)
        if found is not None and self.mode is None and (uid, gid) != (found.uid, found.gid):
            mode &= ~0o6000  # as chown(2) does
        return Fresh(
            mode, (uid, gid), {**dict(self._xattrs(host, wanted, mode)), **self._fresh_label(host.files, found)}
        )

    def _fresh_label(self, files: FileView, found: Stat | None) -> dict[str, bytes | None]:
        """Given or not, a label is right from the beginning."""
        default = self._default_label(files)
        if default is None:
            return {}
        shown = "" if found is None else selinux.label(files, self.path)
        wanted = selinux.context(self.selinux or {}, shown, default)
        return {} if wanted is None else {selinux.LABEL: selinux.packed(wanted)}

    def _xattrs(self, host: Host, wanted: State, mode: int) -> Iterator[tuple[str, bytes | None]]:
        if self.acl is not None:
            yield from self._packed_lists(host, wanted, mode)
        for name, value in (self.xattr or {}).items():
            yield name, value.encode()

    def _packed_lists(self, host: Host, wanted: State, mode: int) -> Iterator[tuple[str, bytes | None]]:
        entries = [str(entry) for entry in wanted["acl"] or ()] if isinstance(wanted["acl"], tuple) else []
        yield lists.ACCESS, lists.packed(entries, mode, host.accounts, default=False)
        if self.is_directory:
            yield lists.DEFAULT, lists.packed(entries, mode, host.accounts, default=True)

    def change_attributes(self, host: Host, drift: Drift) -> None:
        """Close the drift of what is there: in place, so that hard links stay. Raises ResourceError."""
        files, path = host.files, self.path
        found = files.lstat(path)
        if found is None:
            raise ResourceError(f"{path} is gone since it was looked at; the next pass looks again")
        observed = self.observed_attributes(files, host.accounts, found)
        wanted = self.desired_attributes(observed)
        if set(drift) - {"attributes"}:
            self.unlock(host)
        owned_anew = "owner" in drift or "group" in drift
        if owned_anew:
            files.set_owner(path, *self.ids(host.accounts))
        if {"mode", "acl"}.intersection(drift) or owned_anew:  # a new owner clears set-user-ID bits
            self._permit(host, observed, wanted)
        for name, value in self._xattrs(host, wanted, 0):
            if name not in (lists.ACCESS, lists.DEFAULT):
                files.set_xattr(path, name, value)
        if "selinux" in drift:
            files.set_xattr(path, selinux.LABEL, selinux.packed(str(wanted["selinux"])))
        self.lock(host)

    def _permit(self, host: Host, observed: State, wanted: State) -> None:
        """Mode and access list: the list last, since a change of mode is a change of its mask."""
        if self.mode is None and self.acl is None:
            return
        mode = int(str(wanted["mode"]), 8) if self.mode is not None else self._base(observed)
        packed = dict(self._packed_lists(host, wanted, mode)) if self.acl is not None else {}
        for name in (name for name, value in packed.items() if value is None):
            host.files.set_xattr(self.path, name, None)
        host.files.set_mode(self.path, mode)
        for name, value in packed.items():
            if value is not None:
                host.files.set_xattr(self.path, name, value)

    def unlock(self, host: Host) -> bool:
        """Let what is immutable by our own word be changed; whether it was. `lock` makes it so again."""
        flags = 0 if self.attributes is None else labels.flags(host.files, self.path)
        if not flags & labels.LOCKS:
            return False
        host.files.set_flags(self.path, flags & ~labels.LOCKS)
        letters = labels.letters(flags & labels.LOCKS)
        host.note(f"{self.path} had the flags {letters} (lsattr), which were lifted for as long as its change took")
        return True

    def lock(self, host: Host) -> None:
        """Set the flags that are wanted, last of all."""
        if self.attributes is None:
            return
        flags = labels.flags(host.files, self.path)
        wanted = labels.with_flags(self.attributes, flags)
        if wanted != flags:
            host.files.set_flags(self.path, wanted)


def account(number: int, wanted: str | None, name_of: Callable[[int], str], id_of: Callable[[str], int]) -> str:
    """An owner as the host names it; in the words of the wish when that means the same (0, root, toor)."""
    name = name_of(number)
    if wanted is None or wanted == name:
        return name
    with suppress(ResourceError):  # an account that does not exist yet is said when it is needed
        if id_of(wanted) == number:
            return wanted
    return str(number) if wanted.isdigit() else name
