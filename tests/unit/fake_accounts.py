"""Users and groups of the small machine."""

from __future__ import annotations

from modules.api import ResourceError


class FakeAccounts:
    """Only root, and numbers; and homes, by path."""

    def __init__(self) -> None:
        self.homes: dict[str, str] = {}

    def user_name(self, uid: int) -> str:
        return "root" if uid == 0 else str(uid)

    def group_name(self, gid: int) -> str:
        return self.user_name(gid)

    def user_id(self, name: str) -> int:
        if name != "root" and not name.isdecimal():
            raise ResourceError(f"no user {name}")
        return 0 if name == "root" else int(name)

    def group_id(self, name: str) -> int:
        return self.user_id(name)

    def home_at(self, path: str, uid: int) -> str:
        return self.homes.get(path, "")
