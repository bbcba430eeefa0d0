"""The manual page agentctl(8), from the parsers and the settings themselves, so that it cannot be out of date."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module

from agent.cli import EPILOG, VERBS
from agent.cli.parser import parser_of
from agent.settings import Settings


def escape(text: str) -> str:
    """Text as troff takes it: no line of it is a request, no backslash or dash of it means anything else."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in lines)


def manual(version: str, epoch: int) -> str:
    """The whole page, of a version and a time (seconds since the epoch)."""
    date = time.strftime("%Y-%m-%d", time.gmtime(epoch))
    head = f'.TH AGENTCTL 8 "{date}" "gitops-agent {version}" "System administration"'
    return "\n".join([head, *_lines()]) + "\n"


def _lines() -> Iterator[str]:
    yield ".SH NAME\nagentctl \\- hold this host to what Git says about it"
    yield ".SH SYNOPSIS\n.B agentctl\n.I VERB\n[options]"
    yield ".SH DESCRIPTION"
    yield escape(
        "The agent polls a Git repository for the desired state of this host, converges the host to it and keeps it there."
    )
    yield ".SH VERBS"
    for verb, (module, _) in VERBS.items():
        yield from _verb(verb, parser_of(verb, import_module(module)))
    yield ".SH EXIT STATUS\n.nf"
    yield escape("\n".join(f"{verb:<14} {text}" for verb, text in exits()))
    yield ".fi\n.SH SETTINGS"
    yield escape(
        "YAML in /etc/gitops-agent/agent.yaml, then in /etc/gitops-agent/agent.d/*.yaml by name; later keys win."
    )
    for field in fields(Settings):
        yield f".TP\n.B {escape(field.name)}\n{escape(field.metadata['doc'])}{_default(field.default)}"
    yield ".SH FILES"
    for path, meaning in FILES.items():
        yield f".TP\n.I {escape(path)}\n{escape(meaning)}"


def _verb(verb: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f".SS agentctl {escape(verb)}\n{escape(parser.description or '')}"
    for name, text in options_of(parser):
        yield f".TP\n.B {escape(name)}\n{escape(text)}"


def options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Every option and argument of a verb, and what it means."""
    for action in parser._actions:  # noqa: SLF001  (argparse shows its options no other way)
        if action.help != argparse.SUPPRESS:
            name = ", ".join(action.option_strings) or action.metavar or action.dest
            value = f" {action.metavar}" if action.option_strings and action.metavar else ""
            yield f"{name}{value}", (action.help or "") % {"default": action.default}


def exits() -> Iterator[tuple[str, str]]:
    """The exit status of every verb, from what `agentctl --help` prints."""
    for line in EPILOG.partition("\n\n")[0].splitlines()[1:]:
        verb, text = re.split(r"\s{2,}", line.strip(), maxsplit=1)
        yield verb, text


def _default(value: object) -> str:
    if value in ("", None, ()):
        return ""
    return escape(f" Default: {str(value).lower() if isinstance(value, bool) else value}.")


FILES = {
    "/etc/gitops-agent/agent.yaml": "The settings.",
    "/etc/gitops-agent/agent.d/*.yaml": "More settings, read after it; for your own tools.",
    "/etc/gitops-agent/known_hosts": "Host keys of the remote, for ssh.",
    "/etc/gitops-agent/trusted.d": "Keys whose signatures of commits count.",
    "/var/lib/gitops-agent/state.db": "What is owned, what it was before, owed restarts, history.",
    "/var/lib/gitops-agent/floor.json": "The accepted revision once more, who signed it, and what was refused or accepted by a person.",
    "/var/lib/gitops-agent/repo.git": "The clone.",
    "/var/lib/gitops-agent/catalog.json": "The compiled catalog, kept to save compiling it again.",
    "/var/lib/gitops-agent/ssh-home": "The host keys that are trusted, as the Git library wants them; there with ssh remotes.",
    "/run/gitops-agent/status.json": "The last verdict, readable by all.",
    "/run/gitops-agent/daemon.json": "The daemon's own state.",
    "/run/gitops-agent/control.sock": "Where `agentctl sync` asks for a pass; for root alone.",
    "/run/gitops-agent/ledger": "What files held when they were last read, by their times; it saves reading them again.",
    "/run/gitops-agent/ledger.passes": "How many passes trusted it since all was last read.",
    "/run/gitops-agent/lock": "Held while a pass runs.",
}
