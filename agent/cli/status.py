"""agentctl status: is this host what Git says, and since when. Reads two small files and imports next to nothing."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.cli.text import (
    RESULT_COLOUR,
    age,
    ago,
    cause_prefix,
    clock,
    differences,
    join_columns,
    one_line,
    paint,
    printable,
    several,
)
from agent.cli.verdict import first_line, held, judge
from agent.status import EXIT_STATUS, FORMAT, UNKNOWN, read_status

HELP = (
    "Tell whether this host is what Git says, since when, and what to do if it is not. The first line is the verdict."
)
EPILOG = "exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (the monitoring-plugin convention)"
MAX_MORE_LINES = 10  # of a message, after its first line
MAX_SHOWN = 5  # of what left Git and stays


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


def _details(status: Mapping[str, Any], daemon: Mapping[str, Any]) -> Iterator[str]:
    if status:
        yield from _source_lines(status)
        yield from _sync_lines(status)
        yield _operation_line(status)
        yield from _released_lines(status["last_change"])
        yield from _health_lines(status)
        for item in status["owed"]:
            yield f"owed       {one_line(item['id'])}: {one_line(item['text'])}"
        for notice in status["notices"]:
            yield f"notice     {printable(notice)}"
    yield _next_line(status, daemon)


def _source_lines(status: Mapping[str, Any]) -> Iterator[str]:
    source, revision = status["source"], status["revision"]
    fetched = f"asked {ago(source['fetched_at'])}" if source["fetched_at"] else "never reached"
    waits = status["revisions"]["applied"] != revision["commit"]  # nothing may be changed: it was only compared with
    by = f" by {printable(revision['author'])}" if revision["author"] and not waits else ""
    if source.get("signed_by") and not waits:
        by = f", signed by {one_line(source['signed_by'])}"
    said = f' "{printable(revision["summary"])}"' if revision["commit"] and not waits else ""
    yield f"source     {source['state']:<9} {held(status)}{said}{by}, {fetched}"
    if source["error"]:
        yield f"           {first_line(source['error'])}"
    else:
        yield from _fallback_line(source.get("remotes", ()))


def _fallback_line(remotes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say it when the first remote is silent and another one answers."""
    if remotes and remotes[0]["failures"]:
        answered = max(remotes, key=lambda remote: float(remote["answered_at"]))
        silent = f"since {clock(remotes[0]['answered_at'])}" if remotes[0]["answered_at"] else "yet"
        yield f"           {first_line(remotes[0]['error'])} (no answer {silent}); {one_line(answered['url'])} answers"


def _sync_lines(status: Mapping[str, Any]) -> Iterator[str]:
    sync, good = status["sync"], status["revisions"]["good"]
    counts = sync["counts"]
    bad = {result: counts.get(result, 0) for result in ("failed", "blocked", "pending")}
    parts = [f"{counts.get('in_sync', 0) + counts.get('converged', 0)} in sync"]
    parts += [f"{count} {result}" for result, count in bad.items() if count]
    if any(bad.values()) and good:
        parts[-1] += f"; last good {good[:7]}"
    repairs = sync["repairs"]
    if repairs["count"]:
        last = f"last {one_line(repairs['last_id'])} at {clock(repairs['last_at'])}"
        parts[-1] += f"; {several(repairs['count'], 'drift')} repaired in 24 h, {last}"
    yield f"sync       {sync['state'].replace('_', ' '):<9} {', '.join(parts)}"
    for problem in status["problems"]:
        first, *more = printable(problem["message"]).strip().splitlines() or [differences(problem["drift"])]
        result = paint(f"{problem['result']:<8}", RESULT_COLOUR[problem["result"]])
        told = cause_prefix(problem["cause"]) + first
        yield join_columns(f"  {result} {one_line(problem['id']):<32} {told}", one_line(problem["place"]))
        yield from (f"             {line}" for line in more[-MAX_MORE_LINES:])  # what a tool said last tells most


def _operation_line(status: Mapping[str, Any]) -> str:
    last, operation = status["last_change"], status["operation"]
    changed = "nothing changed since the agent started"
    if last:
        cause = last.get("cause", "")
        why = last["revision"][:7] if cause == "revision" else cause
        because = f" ({why})" if why else ""
        changed = f"last change {clock(last['at'])}: {last['summary']} in {last['seconds']:.1f} s{because}"
    waits = [first_line(operation["waiting_for"])] if operation["waiting_for"] else []
    if operation["retry_at"]:
        waits.append(f"retry at {clock(operation['retry_at'], seconds=True)}")
    if operation["soak_until"]:
        waits.append(f"has to stay healthy until {clock(operation['soak_until'])}")
    return f"operation  {operation['state']:<9} {'; '.join([*waits, changed])}"


def _released_lines(last: Mapping[str, Any] | None) -> Iterator[str]:
    """What left Git with the last change and stays: a person may want to look."""
    left = last.get("released", ()) if last else ()
    for found in left[:MAX_SHOWN]:
        yield f"  {paint('released', RESULT_COLOUR['released'])} {one_line(found['id']):<32} {first_line(found['message'])}"
    if len(left) > MAX_SHOWN:
        yield f"  and {len(left) - MAX_SHOWN} more: agentctl log"


def _health_lines(status: Mapping[str, Any]) -> Iterator[str]:
    health = status["health"]
    checks = health["checks"]
    well = sum(check["health"] == "healthy" for check in checks)
    told = f"{well} of {several(len(checks), 'check')} well" if checks else "no checks"
    yield f"health     {health['state']:<9} {told}"
    for check in checks:
        if check["health"] != "healthy":
            name = paint(f"{check['health']:<8}", "yellow")
            yield f"  {name} {one_line(check['id']):<32} {first_line(check['message'])}"


def _next_line(status: Mapping[str, Any], daemon: Mapping[str, Any]) -> str:
    if not daemon["running"]:
        return "next       nothing: the agent is not running"
    now = time.time()
    plans = [("poll", "next_poll"), ("full pass", "next_drift")]
    coming = [f"{what} in {age(daemon[key] - now)}" for what, key in plans if daemon.get(key)]
    if status.get("problems"):
        coming.append("a new commit starts at once; `agentctl sync` tries now")
    return f"next       {', '.join(coming) or 'not known'}"
