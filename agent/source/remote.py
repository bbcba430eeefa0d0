"""Remote: where the repository is and how to prove who we are to it."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from agent.errors import FetchFailed

KNOWN_HOSTS = ("/etc/gitops-agent/known_hosts", "/etc/ssh/ssh_known_hosts")
_SCP_LIKE = re.compile(r"(?:(?P<user>[^@/]+)@)?(?P<host>[^:/]+):(?!//)(?P<path>.+)")
_PLACE = re.compile(r"(?P<name>\[[^]]*\]|[^:]*)(?::(?P<port>[0-9]*))?")


@dataclass(frozen=True)
class Remote:
    """What the settings say of the remote. Secrets are named by file and read when they are needed."""

    url: str  # a path, file://, http(s)://, ssh:// or user@host:path
    branch: str = "main"
    username: str = ""
    password_file: str = ""
    token_file: str = ""
    ssh_key: str = ""
    known_hosts: str = ""
    ca_file: str = ""
    connect_timeout_seconds: int = 15
    transfer_timeout_seconds: int = 120
    allow_rewritten_history: bool = False

    @property
    def scheme(self) -> str:
        """`file`, `http`, `https`, `ssh` or `git`."""
        scheme, separator, _ = self.url.partition("://")
        if separator:
            return scheme.lower()
        return "ssh" if not os.path.isabs(self.url) and _SCP_LIKE.fullmatch(self.url) else "file"

    @property
    def local(self) -> bool:
        """Tell whether it is a path of this machine."""
        return self.scheme == "file"

    @property
    def shown(self) -> str:
        """The URL without a user and password in it, for messages."""
        return without_login(self.url)

    @property
    def password_in_url(self) -> bool:
        """Tell whether the URL itself says a password, which the library offers before it asks for another."""
        return re.match(r"\w+://[^/]*:[^/]*@", self.url) is not None

    @property
    def host(self) -> str:
        """The host, with `[host]:port` where the port is not the usual one, as known_hosts has it."""
        name, port = self._address()
        return f"[{name}]:{port}" if port not in ("", "22") else name

    def _address(self) -> tuple[str, str]:
        """The host, without the brackets of an IPv6 address, and the port if one is given."""
        scp = _SCP_LIKE.fullmatch(self.url) if "://" not in self.url else None
        if scp:
            return scp["host"], ""
        found = _PLACE.fullmatch(self.url.partition("://")[2].partition("/")[0].rpartition("@")[2])
        return (found["name"].strip("[]"), found["port"] or "") if found else ("", "")

    def password(self) -> str:
        """The password or token. Raises FetchFailed when its file cannot be read or is open to others."""
        path = self.token_file or self.password_file
        return private_file(path, "token" if self.token_file else "password").strip("\n") if path else ""

    def user(self) -> str:
        """The user to name: that of the settings, of the URL, or what servers expect beside a token or key."""
        in_url = re.match(r"(?:\w+://)?([^/@:]+)(?::[^/@]*)?@", self.url)
        return self.username or (in_url[1] if in_url else "git")

    def known_hosts_file(self) -> str:
        """The first file of known host keys there is. Raises FetchFailed when there is none."""
        wanted = (self.known_hosts,) if self.known_hosts else KNOWN_HOSTS
        for path in wanted:
            if os.path.exists(path):
                return path
        raise FetchFailed(f"no known host keys for {self.shown}: {' and '.join(wanted)} not found", self.how_to_trust())

    def how_to_trust(self) -> str:
        """The next step for a host key that is not known."""
        name, port = self._address()
        scan = f"ssh-keyscan {f'-p {port} ' if port else ''}{name}"
        path = self.known_hosts or KNOWN_HOSTS[0]
        return f"compare what `{scan}` prints with what the server's owner tells you, then append it to {path}"


def without_login(text: str) -> str:
    """A text without the user and password of any URL in it."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def private_file(path: str, what: str) -> str:
    """Read a file of a secret that only its owner may read. Raises FetchFailed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise FetchFailed(
            f"the {what} file {path} cannot be read: {error.strerror}", "check the path in the settings"
        ) from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise FetchFailed(f"the {what} file {path} is not a regular file", "check the path in the settings")
        if mode & 0o077:
            raise FetchFailed(f"the {what} file {path} is open to other users", f"chmod 0600 {path}")
        return os.read(descriptor, 1 << 16).decode(errors="replace")
    finally:
        os.close(descriptor)
