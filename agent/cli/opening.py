"""How secrets are opened and sealed, by the programs age and sops with a key of this host, and how signatures are judged."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from agent.secrets import Open, SecretUnavailable
from agent.source import Trust
from modules.api import Completed, ResourceError


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
            environment = {"SOPS_AGE_KEY_FILE": identity, "SOPS_AGE_SSH_PRIVATE_KEY_FILE": identity}
            kind = "yaml" if file.endswith((".yaml", ".yml")) else "json"
            argv = ("sops", "--decrypt", "--input-type", kind, "--output-type", "json", "/dev/stdin")
            return _of_document(file, key, json.loads(commands.convert(argv, sealed, env=environment)))
        return commands.convert(("age", "--decrypt", "--identity", identity), sealed)
    except ResourceError as error:
        step = "is it for this host? `agentctl secret rekey` seals it anew for all that it is for"
        raise SecretUnavailable(f"{file} cannot be opened with {identity}: {error}; {step}") from error


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
