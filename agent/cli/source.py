"""agentctl source: where revisions come from, what is accepted and by whom it was signed, and accepting what was refused."""

from __future__ import annotations

import argparse
import json
import os
import pwd
import re
from collections.abc import Iterator, Mapping
from typing import Any

from agent.cli.parser import add_json
from agent.cli.session import Site, site_of, writing
from agent.cli.text import ago, clock, one_line, printable, several, tell
from agent.errors import AgentError, ConfigInvalid, FetchFailed
from agent.source import Remote
from agent.source.floor import read_floor
from agent.source.signatures import KEYS, OFF
from agent.status import FORMAT, read_status

HELP = """Show the remotes and what each last said, the accepted revision (the floor: every newer one has to contain it), who
signed it, and which revisions were refused."""
EPILOG = """`source accept COMMIT --reason TEXT` takes a commit for accepted, once, though its history was rewritten or nobody
signed it. Who did so and why is kept, and shown here. It needs root.

exit status: 0 done, 1 error"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what is to be done, and where things are."""
    parser.add_argument("what", nargs="?", choices=("accept",), help="accept a commit that was refused")
    parser.add_argument("commit", nargs="?", metavar="COMMIT", help="accept: its id, as the refusal names it")
    parser.add_argument("--reason", metavar="TEXT", help="accept: why, for those who come after you")
    parser.add_argument(
        "--config", default="/etc/gitops-agent", metavar="DIR", help="the agent's settings (default: %(default)s)"
    )
    parser.add_argument("--repo", metavar="URL", help="another repository than the one of the settings")
    parser.add_argument("--root", default="/", metavar="DIR", help="the host's files are under DIR")
    parser.add_argument(
        "--state-dir", metavar="DIR", help="where state is kept (default: /var/lib/gitops-agent under --root)"
    )
    add_json(parser)
    parser.set_defaults(ref=None, host=None, working_tree=False)


def run(options: argparse.Namespace) -> int:
    """Show, or accept."""
    site = site_of(options)
    if options.what == "accept":
        return _accept(site, options)
    shown = source_to_json(site)
    if options.json:
        print(json.dumps(shown, indent=2))
    else:
        tell(_lines(shown))
    return 0


def _accept(site: Site, options: argparse.Namespace) -> int:
    from agent import journal

    if not options.commit or not (options.reason or "").strip():
        raise ConfigInvalid("accept needs a COMMIT and --reason", "agentctl source accept 1a2b3c4 --reason 'rebased'")
    if not re.fullmatch("[0-9a-f]{7,40}", options.commit):
        raise ConfigInvalid(
            f"{options.commit} is not the id of a commit", "a branch may move: give what `git log` shows"
        )
    with writing(site) as session:
        try:
            commit = session.source.revision(options.commit).commit
        except FetchFailed:
            commit = session.source.at(options.commit).commit
        before, by = session.floor.commit, _who()
        session.source.accept(commit)
        session.floor.accept_anyway(commit, by, options.reason.strip())
        session.store.remember(attempted="")  # so that the next poll looks at it again
    said = f"{commit[:7]} was accepted by {by} instead of {before[:7] or 'none'}: {options.reason.strip()}"
    if site.root == "/" and journal.available():
        journal.send("accepted", said, revision=commit)
    print(f"{printable(said)}; the next poll goes on from there, `agentctl sync` now")
    return 0


def _who() -> str:
    """The person behind a command: who called sudo, or else the user."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def source_to_json(site: Site) -> dict[str, Any]:
    """What is known of where revisions come from; the floor's own file is for root alone, most of it is in the status."""
    status = read_status(site.status_path)
    source, floor = status.get("source", {}), read_floor(site.floor_path)
    known = {found["url"]: found for found in source.get("remotes", ())}
    accepted = floor.get("accepted") or source.get("accepted", "")
    return {
        "format": FORMAT,
        "state": source.get("state", "unknown"),
        "error": source.get("error", ""),
        "reason": source.get("reason", ""),
        "attempted": source.get("attempted", ""),
        "fetched_at": source.get("fetched_at", 0),
        "in_force": status.get("revision", {}).get("commit", ""),
        "branch": site.remote.branch,
        "remotes": [_remote(remote, known) for remote in (site.remote, *site.fallbacks)],
        "accepted": accepted,
        "accepted_at": floor.get("accepted_at", 0),
        "signed_by": floor.get("signers", {}).get(accepted, ""),
        "verify": _verify(site),
        "decisions": floor.get("decisions", []),
        "refusals": floor.get("refusals", []),
    }


def _remote(remote: Remote, known: Mapping[str, Any]) -> dict[str, Any]:
    return known.get(remote.shown) or {"url": remote.shown, "answered_at": 0, "asked_at": 0, "failures": 0, "error": ""}


def _verify(site: Site) -> dict[str, Any]:
    trust = site.trust
    try:
        found = {"mode": trust.in_effect, "keys": [os.path.basename(path) for path in trust.files(*KEYS)], "error": ""}
    except (AgentError, OSError) as error:
        found = {"mode": trust.mode or OFF, "keys": [], "error": str(error)}
    return {**found, "directory": trust.directory}


def _lines(shown: Mapping[str, Any]) -> Iterator[str]:
    asked = f"asked {ago(shown['fetched_at'])}" if shown["fetched_at"] else "not asked yet"
    held = f"{shown['branch']}@{shown['in_force'][:7]}" if shown["in_force"] else f"nothing of {shown['branch']} yet"
    yield f"source     {shown['state']:<9} {held}, {asked}"
    if shown["error"]:
        yield f"           {printable(shown['error'])}"
    for remote in shown["remotes"]:
        answered = f"answered {ago(remote['answered_at'])}" if remote["answered_at"] else "no answer yet"
        yield f"remote     {one_line(remote['url'])}  {answered}"
        if remote["error"]:
            yield f"           {printable(remote['error'])}"
    yield from _floor_lines(shown)


def _floor_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    by = f", signed by {one_line(shown['signed_by'])}" if shown["signed_by"] else ""
    when = f", accepted {clock(shown['accepted_at'])}" if shown["accepted_at"] else ""
    yield f"floor      {shown['accepted'] or 'none yet'}{when}{by}"
    verify = shown["verify"]
    yield f"verify     {verify['mode']:<9} {several(len(verify['keys']), 'file')} of keys in {verify['directory']}"
    if verify["error"]:
        yield f"           {printable(verify['error'])}"
    for decision in shown["decisions"]:
        instead = decision["instead_of"][:7] or "none"
        yield (
            f"accepted   {decision['commit'][:7]} instead of {instead} by {one_line(decision['by'])} "
            f"{clock(decision['at'])}: {one_line(decision['reason'])}"
        )
    for refusal in shown["refusals"]:
        yield f"refused    {clock(refusal['at'])} {refusal['reason']}: {one_line(refusal['message'])}"
