"""agentctl validate: check a repository for every host, all problems at once."""

from __future__ import annotations

import argparse
import os
import sys

from agent.cli.progress import Progress
from agent.cli.text import paint, printable, several
from agent.errors import AgentError, ConfigInvalid, ManifestInvalid, Place, Problem, TreeError
from agent.secrets import Open
from agent.source import WorkingTree

HELP = """Check a checkout of a repository for every host it names: syntax, kinds, fields, templates, dependencies.
Facts are those of this machine. Nothing is written, and no host is looked at."""
EPILOG = "exit status: 0 fine, 1 problems"
MAX_UNTOLD = 10  # that are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the directory, and optionally one host."""
    parser.add_argument("directory", nargs="?", default=".", help="the checkout (default: the current directory)")
    parser.add_argument("--host", metavar="NAME", help="only this host")


def run(options: argparse.Namespace) -> int:
    """Check, and print each problem with its place."""
    from agent.catalog import checked, typed
    from agent.manifest.repository import hosts_of, listed, problems_of
    from agent.recipients import Recipients

    directory = os.path.abspath(options.directory)
    if not os.path.isdir(directory):
        raise ConfigInvalid(f"{directory} is not a directory", "give the checkout of the repository")
    tree = WorkingTree(directory)
    named, made_up = ([options.host], {}) if options.host else hosts_of(tree)
    hosts = [*named, *made_up]
    recipients, found = Recipients(directory), []
    with Progress() as progress:
        for number, host in enumerate(hosts, 1):
            progress.say(f"reading {number:,} of {len(hosts):,}: {host}")
            found.append(_check_host(tree, host, recipients.of(host)))
    problems = {
        *problems_of(tree),
        *recipients.problems,
        *(problem for of_one_host in found for problem in of_one_host),
    }
    told = {problem.place for problem in problems}  # what some host uses is told about in its own words
    names = (*typed.name_problems(listed(tree, "resources")), *checked.name_problems(listed(tree, "checks")))
    problems |= {problem for problem in names if problem.place not in told}
    read = f"{several(len(found), 'host')} read, {found.count([])} fine"
    read += "".join(f"; {host} stands for the hosts of group {group}" for host, group in made_up.items())
    untold = [f"cannot tell whether {one}" for one in sorted(recipients.untold)]
    more = [f"and {len(untold) - MAX_UNTOLD} more that cannot be told"] if len(untold) > MAX_UNTOLD else []
    for line in untold[:MAX_UNTOLD] + more:
        print(printable(line), file=sys.stderr)
    return _conclude(sorted(problems), read)


def _check_host(tree: WorkingTree, host: str, opener: Open) -> list[Problem]:
    from agent.catalog.cache import Cache
    from agent.desired import compile_tree

    try:
        compile_tree(tree, host, Cache(), opener)
    except ManifestInvalid as error:
        return list(error.problems)
    except TreeError as error:
        return [Problem(Place(f"hosts/{host}.yaml"), str(error))]
    return []


def _conclude(problems: list[Problem], read: str) -> int:
    if not problems:
        if read.startswith("0"):
            raise AgentError("the repository names no host", "add hosts/NAME.yaml, or a group with host names")
        print(paint(read, "green"))
        return 0
    for problem in problems:
        print(printable(str(problem)))
    files = len({problem.place.file for problem in problems})
    print(f"{several(len(problems), 'problem')} in {several(files, 'file')}; {read}", file=sys.stderr)
    return 1
