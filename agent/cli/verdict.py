"""The first line of status: a verdict, and what a person has to know to decide whether to get up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.cli.text import age, clock, one_line, printable, several
from agent.status import CRITICAL, OK, UNKNOWN, WARNING

NO_CONTACT_SECONDS = 900
FIRST_STEPS = "write `repository: URL` in /etc/gitops-agent/agent.yaml, then systemctl start gitops-agent"
REFUSED = ("RolledBack", "HistoryRefused", "VerifyFailed", "ManifestInvalid", "Refused")


def judge(status: Mapping[str, Any], daemon: Mapping[str, Any], *, supervised: bool, now: float) -> tuple[str, str]:
    """Give the verdict and its line; never OK on a verdict that is too old, or that nobody keeps up to date."""
    if not status:
        if not daemon["running"]:
            return UNKNOWN, f"the agent has never run here; {FIRST_STEPS}"
        reason = first_line(daemon.get("last_error", "")) or "no pass has ended yet"
        return UNKNOWN, f"{reason}; see systemctl status gitops-agent"
    name, old = status["host"], now - status["checked_at"]
    if supervised and not daemon["running"]:
        return UNKNOWN, f"{name} the agent is not running, last pass {age(old)} ago; systemctl start gitops-agent"
    if supervised and old > status["limits"]["stale_seconds"]:
        return UNKNOWN, f"{name} the last verdict is {age(old)} old; see journalctl -u gitops-agent"
    verdict, headline = _judge_fresh(status, now)
    if verdict == OK and daemon.get("last_error") and status["source"]["state"] == "current":
        return WARNING, f"{name} holds {held(status)}, the last pass could not run: {first_line(daemon['last_error'])}"
    return verdict, headline


def _judge_fresh(status: Mapping[str, Any], now: float) -> tuple[str, str]:
    source, holds = status["source"], f"{status['host']} holds {held(status)}"
    silent, old = now - source["fetched_at"], now - status["checked_at"]
    conditions = {found["reason"]: found["message"] for found in status["conditions"]}
    order = status["orders"].get("suspend")
    if order and not 0 < order["until"] < now:  # it may have been given since the last pass
        conditions.setdefault("Suspended", f"suspended by {order['by']}: {order['reason']}")
    if status["verdict"] == CRITICAL:
        return CRITICAL, _failing(status, conditions)
    if why := _why_held(source, conditions):
        return WARNING, f"{holds}, {why}"
    if source["state"] == "failed" and silent > NO_CONTACT_SECONDS:
        since = f"for {age(silent)}" if source["fetched_at"] else "ever"
        return WARNING, f"{holds}, no contact with the remote {since}: {first_line(source['error'])}"
    if status["verdict"] == WARNING and (status["problems"] or "HealthDegraded" in conditions):
        return WARNING, _failing(status, conditions)
    if "RefreshOwed" in conditions or (status["verdict"] == WARNING and source["state"] != "failed"):
        return WARNING, f"{holds}, {_left(conditions)}"
    total = sum(status["sync"]["counts"].get(result, 0) for result in ("in_sync", "converged"))
    return OK, f"{status['host']} in sync with {held(status)}, {several(total, 'resource')}, checked {age(old)} ago"


def _left(conditions: Mapping[str, str]) -> str:
    """What there is to do, when all resources are as Git says."""
    if "RefreshOwed" in conditions:
        return f"a refresh is left to you: {first_line(conditions['RefreshOwed'])}"
    return first_line("; ".join(conditions.values()) or "see below")


def _why_held(source: Mapping[str, Any], conditions: Mapping[str, str]) -> str:
    """Why nothing newer is held; empty when nothing newer is there."""
    refused = next((reason for reason in REFUSED if reason in conditions), "")
    if refused or source["state"] == "rejected":
        return f"a newer revision is refused: {first_line(conditions.get(refused, source['error']))}"
    return next((first_line(conditions[reason]) for reason in ("Suspended", "Pinned") if reason in conditions), "")


def held(status: Mapping[str, Any]) -> str:
    """The revision that is held: `main@4f2c1a9`."""
    revision = status["revision"]
    commit = status["revisions"]["applied"]
    return one_line(f"{revision['branch']}@{commit[:7]}" if commit else revision["summary"])


def first_line(text: str) -> str:
    """The first line of a text, kept to what fits."""
    line = printable(text).strip().partition("\n")[0]
    return line if len(line) <= 120 else f"{line[:117]}..."


def _failing(status: Mapping[str, Any], conditions: Mapping[str, str]) -> str:
    counts, problems, host = status["sync"]["counts"], status["problems"], status["host"]
    since = clock(min((problem["since"] for problem in problems), default=status["checked_at"]))
    total = sum(counts.values())
    words = {"failed": "failing", "blocked": "blocked", "pending": "not as Git says"}
    bad = [(counts.get(result, 0), word) for result, word in words.items() if counts.get(result, 0)]
    if not bad:
        return f"{host} is not healthy ({held(status)}): {first_line(conditions.get('HealthDegraded', ''))}"
    (count, word), *more = bad
    also = "".join(f", {number} {other}" for number, other in more)
    return f"{host} {count} of {total} resources {word} since {since} ({held(status)}){also}"
