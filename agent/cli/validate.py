"""agentctl validate: check a repository for every host, all problems at once."""

from __future__ import annotations

import argparse
import os
import sys

from agent.cli.text import paint, printable, several
from agent.errors import AgentError, ConfigInvalid, ManifestInvalid, Place, Problem, TreeError
from agent.source import WorkingTree

HELP = """Check a checkout of a repository for every host it names: syntax, kinds, fields, templates, dependencies.
Facts are those of this machine. Nothing is written, and no host is looked at."""
EPILOG = "exit status: 0 fine, 1 problems"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the directory, and optionally one host."""
    parser.add_argument("directory", nargs="?", default=".", help="the checkout (default: the current directory)")
    parser.add_argument("--host", metavar="NAME", help="only this host")


def run(options: argparse.Namespace) -> int:
    """Check, and print each problem with its place."""
    from agent.manifest import check_documents

    directory = os.path.abspath(options.directory)
    if not os.path.isdir(directory):
        raise ConfigInvalid(f"{directory} is not a directory", "give the checkout of the repository")
    tree = WorkingTree(directory)
    problems: set[Problem] = set()
    hosts = [options.host] if options.host else []
    try:
        hosts = hosts or check_documents(tree)
    except ManifestInvalid as error:
        problems.update(error.problems)
        hosts = hosts or sorted({name.rpartition(".")[0] for name in tree.names("hosts")})
    found = [_check_host(tree, host) for host in hosts]
    problems.update(problem for of_one_host in found for problem in of_one_host)
    return _conclude(sorted(problems), len(hosts), found.count([]))


def _check_host(tree: WorkingTree, host: str) -> list[Problem]:
    from agent.reconcile import compile_tree

    try:
        compile_tree(tree, host, "")
    except ManifestInvalid as error:
        return list(error.problems)
    except TreeError as error:
        return [Problem(Place(f"hosts/{host}.yaml"), str(error))]
    return []


def _conclude(problems: list[Problem], hosts: int, fine: int) -> int:
    read = f"{several(hosts, 'host')} read, {fine} fine"
    if not problems:
        if not hosts:
            raise AgentError("the repository names no host", "add hosts/NAME.yaml, or a group with host names")
        print(paint(read, "green"))
        return 0
    for problem in problems:
        print(printable(str(problem)))
    files = len({problem.place.file for problem in problems})
    print(f"{several(len(problems), 'problem')} in {several(files, 'file')}; {read}", file=sys.stderr)
    return 1
