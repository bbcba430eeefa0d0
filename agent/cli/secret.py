"""agentctl secret: make secrets that only some hosts can open, and make them anew for other hosts."""

from __future__ import annotations

import argparse
import os
import sys

from agent.cli.text import several
from agent.errors import ConfigInvalid

HELP = """Make secrets of a fleet: age files in secrets/ that only the hosts can open which they are for.
A host's public key is keys/HOST.pub, a copy of its /etc/ssh/ssh_host_ed25519_key.pub; people may have one too."""
EPILOG = """`secret encrypt NAME --for HOST,GROUP` reads the text from standard input, or from --from FILE, never from the command
line. `secret rekey` makes every secret anew for those it is for by now: after a host, or a key, came or went.
Templates use a secret as {{ secret('NAME') }}, in `content`, `template` and `env`.

exit status: 0 done, 1 error"""
MAX_BYTES = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what is to be done, and with which secret."""
    parser.add_argument("what", choices=("encrypt", "rekey"), help="make one secret, or all of them anew")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the secret: secrets/NAME.age")
    parser.add_argument("--for", dest="recipients", metavar="NAME,NAME", help="hosts, groups and people it is for")
    parser.add_argument(
        "--from", dest="file", metavar="FILE", help="read the text from a file (default: standard input)"
    )
    parser.add_argument("--repo", default=".", metavar="DIR", help="the checkout (default: the current directory)")
    parser.add_argument(
        "--identity", metavar="FILE", help="rekey: the private key that opens them (default: ~/.ssh/id_ed25519)"
    )


def run(options: argparse.Namespace) -> int:
    """Encrypt one, or all anew."""
    if options.what == "rekey":
        return _rekey(options)
    if not options.name or not options.recipients:
        raise ConfigInvalid("encrypt needs a NAME and --for", "agentctl secret encrypt db-password --for web-01,backup")
    return _encrypt(options)


def _encrypt(options: argparse.Namespace) -> int:
    from agent.cli.opening import seal
    from agent.sealing import Checkout

    checkout = Checkout(os.path.abspath(options.repo))
    names = [name for name in options.recipients.split(",") if name]
    recipients = checkout.recipients(names)
    written = checkout.write(options.name, seal(recipients, _text(options.file)), names)
    print(f"{' and '.join(written)} written, for {several(len(recipients), 'key')}; commit both")
    return 0


def _text(file: str | None) -> bytes:
    if file is None and sys.stdin.isatty():
        print("the text of the secret, then Ctrl-D:", file=sys.stderr)
    if file is None:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    if not data or len(data) > MAX_BYTES:
        raise ConfigInvalid("the text is empty" if not data else "the text has more than 1 MiB", "nothing was written")
    return data


def _rekey(options: argparse.Namespace) -> int:
    from agent.cli.opening import opener, seal
    from agent.sealing import Checkout
    from agent.secrets import DIRECTORY, SecretUnavailable

    checkout = Checkout(os.path.abspath(options.repo))
    opening = opener(options.identity or os.path.expanduser("~/.ssh/id_ed25519"))
    wanted = [options.name] if options.name else list(checkout.sealed())
    failed = 0
    for name in wanted:
        try:
            text = opening(f"{DIRECTORY}/{name}.age", checkout.read(name))
        except SecretUnavailable as error:
            print(f"{error}", file=sys.stderr)
            failed += 1
            continue
        names = checkout.names_for(name)
        recipients = checkout.recipients(names)
        checkout.write(name, seal(recipients, text), names)
        print(f"{DIRECTORY}/{name}.age is for {several(len(recipients), 'key')}: {', '.join(names)}")
    return 1 if failed else 0
