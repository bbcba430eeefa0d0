"""How secrets are opened and sealed, by the programs age and sops with a key of this host, and how signatures are judged."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from agent.secrets import Open, SecretUnavailable
from agent.source import Trust
from modules.api import Completed, ResourceError, Unsupported


def opener(identity: str) -> Open:
    """What opens secrets with a private key file, which is read only when a secret is asked for."""
    return partial(_open, identity)


def _open(identity: str, path: str, sealed: bytes) -> bytes:
    """Open `path` of the repository, an age file or `FILE#KEY` of a SOPS file. Raises SecretUnavailable."""
    from agent.host import commands

    file, _, key = path.partition("#")
    if not os.access(identity, os.R_OK):
        step = "run as root" if os.path.exists(identity) else "set secret_identity in the settings"
        raise SecretUnavailable(f"{file} cannot be opened: there is no key to read in {identity}; {step}")
    try:
        if key:
            argv = ("sops", "--decrypt", "--input-type", _sops_type(file), "--output-type", "json", "/dev/stdin")
            document = commands.convert(argv, sealed, env={_sops_variable(identity): identity})
            return _of_document(file, key, json.loads(document))
        return commands.convert(("age", "--decrypt", "--identity", identity), sealed)
    except Unsupported as error:
        raise SecretUnavailable(f"{file} cannot be opened: {error}") from error
    except ResourceError as error:
        mend = "add the host's key with sops" if key else "`agentctl secret rekey` seals it anew for all that it is for"
        step = f"is it for this host? {mend}"
        raise SecretUnavailable(f"{file} cannot be opened with {identity}: {error}; {step}") from error


_SOPS_TYPES = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".env": "dotenv", ".ini": "ini"}


def _sops_type(file: str) -> str:
    ending = os.path.splitext(file)[1]
    if ending not in _SOPS_TYPES:
        raise SecretUnavailable(f"{file} cannot be opened: a SOPS file ends with one of {', '.join(_SOPS_TYPES)}")
    return _SOPS_TYPES[ending]


def _sops_variable(identity: str) -> str:
    """How sops is told of a private key: of ssh, or of age itself; most versions refuse one that is of the other kind."""
    with open(identity, "rb") as file:
        return "SOPS_AGE_SSH_PRIVATE_KEY_FILE" if file.read(11) == b"-----BEGIN " else "SOPS_AGE_KEY_FILE"


def _of_document(file: str, key: str, found: Any) -> bytes:  # noqa: ANN401  (JSON)
    for name in key.split("."):
        if not isinstance(found, dict) or name not in found:
            raise SecretUnavailable(f"{file} has no {key}; its keys are not shown, look with sops")
        found = found[name]
    return (found if isinstance(found, str) else json.dumps(found)).encode()


def seal(recipients: Sequence[str], data: bytes) -> bytes:
    """Encrypt for public keys (of age, or of ssh), as text that Git can show. Raises ResourceError."""
    from agent.host import commands

    named = [word for recipient in recipients for word in ("--recipient", recipient)]
    return commands.convert(("age", "--encrypt", "--armor", *named), data)


def trust(mode: str, directory: str) -> Trust:
    """Whose signatures count, judged by the programs gpgv and ssh-keygen."""
    return Trust(mode, directory, _ask)


def _ask(argv: Sequence[str], data: bytes) -> Completed:
    from agent.host import commands

    return commands.ask(argv, data)
