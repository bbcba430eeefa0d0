"""agentctl status: is this host what Git says, and since when. Reads two small files and imports next to nothing."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from agent.cli.text import (
    RESULT_COLOUR,
    age,
    ago,
    clock,
    differences,
    join_columns,
    one_line,
    paint,
    printable,
    several,
)
from agent.status import CRITICAL, EXIT_STATUS, FORMAT, OK, UNKNOWN, WARNING, read_status

HELP = (
    "Tell whether this host is what Git says, since when, and what to do if it is not. The first line is the verdict."
)
EPILOG = "exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (the monitoring-plugin convention)"
NO_CONTACT_SECONDS = 900
FIRST_STEPS = "write `repository: URL` in /etc/gitops-agent/agent.yaml, then systemctl start gitops-agent"
MAX_MORE_LINES = 6  # of a message, after its first line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where the runtime directory is."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--root", default="/", metavar="DIR", help="the status of a host whose files are under DIR")
    parser.add_argument("--runtime-dir", metavar="DIR", help="where the status file is (default: /run/gitops-agent)")


def run(options: argparse.Namespace) -> int:
    """Judge and print."""
    directory = options.runtime_dir or os.path.join(options.root, "run/gitops-agent")
    status = read_status(os.path.join(directory, "status.json"))
    daemon = _daemon(os.path.join(directory, "daemon.json"))
    try:
        verdict, headline = judge(status, daemon, supervised=options.root == "/", now=time.time())
        details = list(_details(status, daemon))
    except (KeyError, TypeError, AttributeError, ValueError):  # another version wrote it, or somebody by hand
        verdict, headline = UNKNOWN, f"{directory}/status.json cannot be understood; the next pass writes it anew"
        details = []
    if options.json:
        shown = {**status, "format": FORMAT, "verdict": verdict, "headline": headline, "daemon": daemon}
        print(json.dumps(shown, indent=2, sort_keys=True))
    else:
        print(f"{paint(verdict, RESULT_COLOUR[verdict])} {headline}")
        for line in details:
            print(line)
    return EXIT_STATUS[verdict]


def _daemon(path: str) -> dict[str, Any]:
    """What the daemon says of itself, with whether its process is there."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        found["running"] = os.path.exists(f"/proc/{int(found['pid'])}")
    except (OSError, ValueError, KeyError, TypeError):
        return {"running": False}
    return dict(found)


def judge(status: Mapping[str, Any], daemon: Mapping[str, Any], *, supervised: bool, now: float) -> tuple[str, str]:
    """Give the verdict and its line; never OK on a verdict that is too old, or that nobody keeps up to date."""
    if not status:
        if not daemon["running"]:
            return UNKNOWN, f"the agent has never run here; {FIRST_STEPS}"
        reason = _first(daemon.get("last_error", "")) or "no pass has ended yet"
        return UNKNOWN, f"{reason}; see systemctl status gitops-agent"
    name, old = status["host"], now - status["checked_at"]
    if supervised and not daemon["running"]:
        return UNKNOWN, f"{name} the agent is not running, last pass {age(old)} ago; systemctl start gitops-agent"
    if supervised and old > status["limits"]["stale_seconds"]:
        return UNKNOWN, f"{name} the last verdict is {age(old)} old; see journalctl -u gitops-agent"
    verdict, headline = _judge_fresh(status, now - status["source"]["fetched_at"], old)
    if verdict == OK and daemon.get("last_error") and status["source"]["state"] == "current":
        return WARNING, f"{name} holds {_name(status)}, the last pass could not run: {_first(daemon['last_error'])}"
    return verdict, headline


def _judge_fresh(status: Mapping[str, Any], silent: float, old: float) -> tuple[str, str]:
    source, held = status["source"], f"{status['host']} holds {_name(status)}"
    if status["verdict"] == CRITICAL:
        return CRITICAL, _failing(status)
    if source["state"] == "rejected":
        return WARNING, f"{held}, a newer revision is refused: {_first(source['error'])}"
    if source["state"] == "failed" and silent > NO_CONTACT_SECONDS:
        since = f"for {age(silent)}" if source["fetched_at"] else "ever"
        return WARNING, f"{held}, no contact with the remote {since}: {_first(source['error'])}"
    if status["verdict"] == WARNING and status["problems"]:
        return WARNING, _failing(status)
    if status["verdict"] == WARNING and status.get("owed", ()):
        names = ", ".join(one_line(item["id"]) for item in status.get("owed", ()))
        return WARNING, f"{held}, a refresh is left to you: {_first(names)}"
    total = sum(status["counts"].get(result, 0) for result in ("in_sync", "converged"))
    return OK, f"{status['host']} in sync with {_name(status)}, {several(total, 'resource')}, checked {age(old)} ago"


def _name(status: Mapping[str, Any]) -> str:
    revision = status["revision"]
    name = f"{revision['branch']}@{revision['commit'][:7]}" if revision["commit"] else revision["summary"]
    return one_line(name)


def _first(text: str) -> str:
    line = printable(text).strip().partition("\n")[0]
    return line if len(line) <= 120 else f"{line[:117]}..."


def _failing(status: Mapping[str, Any]) -> str:
    counts, problems = status["counts"], status["problems"]
    failed, blocked = counts.get("failed", 0), counts.get("blocked", 0)
    since = clock(min((problem["since"] for problem in problems), default=status["checked_at"]))
    total = sum(counts.values())
    if not failed:
        return f"{status['host']} {blocked} of {total} resources blocked since {since} ({_name(status)})"
    also = f", {blocked} blocked" if blocked else ""
    return f"{status['host']} {failed} of {total} resources failing since {since} ({_name(status)}){also}"


def _details(status: Mapping[str, Any], daemon: Mapping[str, Any]) -> Iterator[str]:
    if status:
        yield _source_line(status)
        yield from _sync_lines(status)
        yield _operation_line(status)
        for item in status.get("owed", ()):
            yield f"owed       {one_line(item['id'])}: {one_line(item['text'])}"
        for notice in status["notices"]:
            yield f"notice     {printable(notice)}"
    yield _next_line(status, daemon)


def _source_line(status: Mapping[str, Any]) -> str:
    source, revision = status["source"], status["revision"]
    fetched = f"asked {ago(source['fetched_at'])}" if source["fetched_at"] else "never reached"
    by = f" by {printable(revision['author'])}" if revision["author"] else ""
    said = f' "{printable(revision["summary"])}"' if revision["commit"] else ""
    text = f"source     {source['state']:<9} {_name(status)}{said}{by}, {fetched}"
    return f"{text}\n           {_first(source['error'])}" if source["error"] else text


def _sync_lines(status: Mapping[str, Any]) -> Iterator[str]:
    counts = status["counts"]
    bad = {result: counts.get(result, 0) for result in ("failed", "blocked")}
    good = counts.get("in_sync", 0) + counts.get("converged", 0)
    state = "pending  " if any(bad.values()) else "in sync  "
    parts = [f"{good} in sync", *(f"{count} {result}" for result, count in bad.items() if count)]
    if any(bad.values()) and status["last_good"]:
        parts[-1] += f"; last good {status['last_good'][:7]}"
    yield f"sync       {state} {', '.join(parts)}"
    for problem in status["problems"]:
        first, *more = printable(problem["message"]).strip().splitlines() or [differences(problem["drift"])]
        result = paint(f"{problem['result']:<8}", RESULT_COLOUR[problem["result"]])
        yield join_columns(f"  {result} {one_line(problem['id']):<32} {first}", one_line(problem["place"]))
        yield from (f"             {line}" for line in more[-MAX_MORE_LINES:])  # what a tool said last tells most


def _operation_line(status: Mapping[str, Any]) -> str:
    last = status["last_change"]
    if not last:
        return "operation  idle      nothing changed since the agent started"
    return f"operation  idle      last change {clock(last['at'])}: {last['summary']} in {last['seconds']:.1f} s"


def _next_line(status: Mapping[str, Any], daemon: Mapping[str, Any]) -> str:
    if not daemon["running"]:
        return "next       nothing: the agent is not running"
    now = time.time()
    plans = [("poll", "next_poll"), ("full pass", "next_drift")]
    coming = [f"{what} in {age(daemon[key] - now)}" for what, key in plans if daemon.get(key)]
    if status.get("problems"):
        coming.append("a new commit starts at once; `agentctl sync` tries now")
    return f"next       {', '.join(coming) or 'not known'}"
