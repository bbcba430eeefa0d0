"""Options: one parser for each verb, with the options that several verbs share."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NoReturn


class _Parser(argparse.ArgumentParser):
    """Leaves with 1 for wrong usage: 2 is a verdict of `plan` and of `status`."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to go on."""
        self.exit(1, f"{self.prog}: {message}\n{self.format_usage()}")


def parser_of(verb: str, module: ModuleType) -> argparse.ArgumentParser:
    """Build the parser of a verb's module."""
    parser = _Parser(
        prog=f"agentctl {verb}",
        description=module.HELP,
        epilog=getattr(module, "EPILOG", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def parse(verb: str, module: ModuleType, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of a verb; leaves with exit status 1 when they are wrong."""
    parser = parser_of(verb, module)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(f"there is no option {unknown[0]}" + _nearest(unknown[0], parser))
    return options


def _nearest(word: str, parser: argparse.ArgumentParser) -> str:
    """`; did you mean --root?`, or how to find out."""
    known = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001  (it shows no other way)
    close = difflib.get_close_matches(word.partition("=")[0], known, n=1)
    return f"; did you mean {close[0]}?" if close else f" ({parser.prog} --help lists them)"


def usage(verbs: Mapping[str, tuple[str, str]], epilog: str) -> str:
    """What `agentctl --help` prints."""
    lines = ["usage: agentctl VERB [options]", "", "Hold this host to what Git says about it.", ""]
    lines += [f"  {verb:<10} {what}" for verb, (_, what) in verbs.items()]
    return "\n".join([*lines, "", epilog])


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_place(parser: argparse.ArgumentParser) -> None:
    """Options that say which repository, which host, and where its files are."""
    parser.add_argument(
        "--config", default="/etc/gitops-agent", metavar="DIR", help="the agent's settings (default: %(default)s)"
    )
    parser.add_argument("--repo", metavar="URL|DIR", help="another repository than the one of the settings")
    parser.add_argument(
        "--ref", metavar="REF", help="a branch, tag or commit of it (default: the branch of the settings, or main)"
    )
    parser.add_argument(
        "--host", metavar="NAME", help="be this host (default: `host` of the settings, or the hostname)"
    )
    parser.add_argument(
        "--root",
        default="/",
        metavar="DIR",
        help="the host's files are under DIR; units and containers are not reached there",
    )
    parser.add_argument(
        "--state-dir", metavar="DIR", help="where state is kept (default: /var/lib/gitops-agent under --root)"
    )
    parser.add_argument(
        "--working-tree", action="store_true", help="read the files of --repo DIR as they lie, committed or not"
    )
