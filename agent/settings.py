"""Settings: `agent.yaml` and then `agent.d/*.yaml` by name, later keys over earlier; every error at once, with its place."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from agent.errors import ConfigInvalid, ManifestInvalid, Place, Problem, gather, nearest
from agent.source.remote import Remote
from agent.source.signatures import MODES

DIRECTORY = "/etc/gitops-agent"
LONGEST = 365 * 86_400  # seconds
MAX_BYTES = 1 << 20
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _text(value: object) -> str:
    if not isinstance(value, str) or "\n" in value:
        raise ValueError("must be text on one line")
    return value


def _branch(value: object) -> str:
    text = _text(value)
    if not text or text != text.strip():
        raise ValueError(f"must be the name of a branch, not {text!r}")
    return text


def _path(value: object) -> str:
    text = _text(value)
    if text and not os.path.isabs(text):
        raise ValueError(f"must be an absolute path, not {text!r}")
    return text


def _duration(value: object) -> int:
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", str(value)) if not isinstance(value, bool) else None
    if found is None:
        raise ValueError(f"must be a duration such as 60s, 5m or 1h, not {value!r}")
    return int(found[1]) * _UNITS[found[2]]


def _interval(value: object) -> int:
    seconds = _duration(value)
    if not 5 <= seconds <= LONGEST:
        raise ValueError("must be from 5s to 365d")
    return seconds


def _wait(value: object) -> int:
    seconds = _duration(value)
    if seconds > 3600:
        raise ValueError("must be from 0s to 1h")
    return seconds


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100_000:
        raise ValueError(f"must be a whole number from 0 to 100000, not {value!r}")
    return value


def _positive(value: object) -> int:
    if _count(value) == 0:
        raise ValueError("must be a whole number from 1 to 100000, not 0")
    return _count(value)


def _one_of(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words or not isinstance(value, str):
            raise ValueError(f"must be one of {', '.join(words)}, not {value!r}")
        return value

    return read


_rollback = _one_of("never", "health", "failure")
_drift = _one_of("enforce", "report")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _host(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise ValueError(f"must be a host name, not {text!r}")
    return text


def _urls(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValueError("must be a list of URLs, such as [https://mirror.example.com/fleet.git]")
    return tuple(map(_text, value))


def _mode(value: object) -> str:
    text = _text(value)
    if text not in MODES:
        raise ValueError(f"must be one of {', '.join(MODES)}, not {text!r}")
    return text


def _engine(value: object) -> str:
    text = _text(value)
    if text not in ("", "docker", "podman", "quadlet") and not text.removeprefix("unix://").startswith("/"):
        raise ValueError(f"must be docker, podman, quadlet or the path of a Unix socket, not {text!r}")
    return text


_TYPES = {
    _text: "text",
    _urls: "list of URLs",
    _branch: "name",
    _mode: "off, tip or range",
    _path: "absolute path",
    _interval: "duration",
    _flag: "true or false",
    _host: "host name",
    _wait: "duration",
    _count: "whole number",
    _positive: "whole number",
    _rollback: "`never`, `health` or `failure`",
    _drift: "`enforce` or `report`",
    _engine: "engine",
}


def setting(read: Callable[[object], object], default: object, doc: str) -> Any:  # noqa: ANN401  (a dataclass default)
    """One setting: how it is read, what it is without being set, and what it means."""
    return field(default=default, metadata={"read": read, "doc": doc})


@dataclass(frozen=True)
class Settings:
    """The agent's own settings; durations are in seconds."""

    repository: str = setting(_text, "", "Where the repository is: a URL or a path. The agent does nothing without it.")
    branch: str = setting(_branch, "main", "The branch to follow.")
    fallbacks: tuple[str, ...] = setting(
        _urls, (), "Where else it is, in order: asked when those before do not answer. The credentials are the same."
    )
    host: str = setting(_host, "", "Be this host; the short hostname when it is not set.")
    username: str = setting(_text, "", "The user to name to the remote.")
    password_file: str = setting(_path, "", "A file with the password, readable by root alone.")
    token_file: str = setting(_path, "", "A file with an access token, readable by root alone.")
    ssh_key: str = setting(_path, "", "A private key for ssh, readable by root alone.")
    known_hosts: str = setting(
        _path, "", "Known host keys; /etc/gitops-agent/known_hosts or /etc/ssh/ssh_known_hosts when not set."
    )
    ca_file: str = setting(_path, "", "The CA that signed the remote's certificate.")
    connect_timeout: int = setting(_interval, 15, "How long a remote may take to answer.")
    transfer_timeout: int = setting(_interval, 120, "How long a transfer may stand still.")
    allow_rewritten_history: bool = setting(
        _flag, False, "Accept a branch that does not contain the accepted revision."
    )
    verify: str = setting(
        _mode,
        "",
        "Which commits must be signed by a trusted key: none (off), the newest (tip), or all since the accepted one (range). "
        "When not set: range as soon as there is a key.",
    )
    trusted_keys: str = setting(
        _path, "/etc/gitops-agent/trusted.d", "The directory of trusted keys: *.gpg, *.asc, and *.signers of ssh."
    )
    poll_interval: int = setting(_interval, 60, "How often to ask the remote.")
    drift_interval: int = setting(_interval, 300, "How often to look at the whole host and repair it.")
    pass_deadline: int = setting(_interval, 1800, "How long one pass may take before it is ended.")
    drift: str = setting(
        _drift,
        "enforce",
        "What is done where the host drifts and Git says nothing of it: put it back, or only report it.",
    )
    contested_after: int = setting(
        _count,
        5,
        "How many repairs of one property within `contested_window` make it contested: reported, not repaired.",
    )
    contested_window: int = setting(_interval, 3600, "See `contested_after`.")
    prune_count: int = setting(
        _count, 5, "So many removals at once need no approval, nor do so few as `prune_percent`."
    )
    prune_percent: int = setting(_count, 10, "A removal of more than this share of what is owned needs approval.")
    rollback: str = setting(
        _rollback,
        "never",
        "What brings back the last good revision: nothing, a check that regressed, or a resource that newly failed, too.",
    )
    health_settle: int = setting(_wait, 2, "How long checks must stay well after a change.")
    health_timeout: int = setting(_wait, 60, "How long checks may take to become well after a change.")
    health_soak: int = setting(_wait, 300, "How long a revision has to stay healthy until it counts as good.")
    health_interval: int = setting(_interval, 30, "How often checks are asked until then.")
    verify_content_every: int = setting(
        _positive, 12, "In how many passes the content of each file is read once though its status shows no change."
    )
    container_engine: str = setting(
        _engine,
        "",
        "`docker`, `podman`, `quadlet` (Podman's containers as units of systemd), or the path of an engine's socket; "
        "the one that is installed when not set.",
    )
    registry_auth_file: str = setting(
        _path, "", "Logins for image registries, as `docker login` writes them; readable by root alone."
    )
    secret_identity: str = setting(
        _path, "/etc/ssh/ssh_host_ed25519_key", "The private key that opens secrets: this host's own, of ssh or age."
    )
    state_dir: str = setting(_path, "/var/lib/gitops-agent", "Where state is kept.")
    runtime_dir: str = setting(_path, "/run/gitops-agent", "Where the status file and the socket are.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "fallbacks", tuple(self.fallbacks))  # JSON, by which a pass gets them, has lists

    def remote(self, repository: str, branch: str) -> Remote:
        """The remote to follow: that of the settings, or another with the same credentials."""
        return Remote(
            url=repository,
            branch=branch,
            username=self.username,
            password_file=self.password_file,
            token_file=self.token_file,
            ssh_key=self.ssh_key,
            known_hosts=self.known_hosts,
            ca_file=self.ca_file,
            connect_timeout_seconds=self.connect_timeout,
            transfer_timeout_seconds=self.transfer_timeout,
            allow_rewritten_history=self.allow_rewritten_history,
        )


def type_name(of: Field[Any]) -> str:
    """What kind of value a setting takes, in a word."""
    return _TYPES[of.metadata["read"]]


def paths_in(directory: str) -> list[str]:
    """The files that settings are read from, a later one before an earlier."""
    fragments = glob.glob(os.path.join(glob.escape(directory), "agent.d/*.yaml"))
    return [os.path.join(directory, "agent.yaml"), *sorted(fragments)]


def load(directory: str = DIRECTORY) -> Settings:
    """Read the settings. Raises ConfigInvalid with every error, each with file and line."""
    try:
        fragments = gather(_fragment, [path for path in paths_in(directory) if os.path.lexists(path)])
    except ManifestInvalid as error:
        raise ConfigInvalid(str(error), "correct the settings; see agentctl(8)") from error
    merged: dict[str, Any] = {}
    for fragment in fragments:
        merged |= fragment
    return Settings(**merged)


def _fragment(path: str) -> Mapping[str, Any]:
    from agent.documents import parse_document  # the daemon at rest does without YAML

    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestInvalid([Problem(Place(path), f"cannot be read: {error.strerror}")]) from error
    if len(data) > MAX_BYTES:
        raise ManifestInvalid([Problem(Place(path), f"is larger than {MAX_BYTES >> 20} MiB; are these settings?")])
    if not data.strip() or all(line.lstrip()[:1] in (b"", b"#") for line in data.splitlines()):
        return {}
    block = parse_document(data, path)
    known = {found.name: found.metadata["read"] for found in fields(Settings)}

    def read(key: str) -> tuple[str, Any]:
        if key not in known:
            hint = nearest(key, known) or f"; there are {', '.join(known)}"
            raise ManifestInvalid([Problem(block.place(key), f'unknown setting "{key}"{hint}')])
        try:
            return key, known[key](block[key])
        except ValueError as error:
            raise ManifestInvalid([Problem(block.place(key), f'"{key}" {error}')]) from error

    return dict(gather(read, block))
