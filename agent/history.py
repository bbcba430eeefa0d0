"""History: passes and changes of this host, bounded by class, so that failures cannot push out what went well."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

CHANGE, DRIFT, FAILED = "change", "drift", "failed"  # classes of changes
KEPT_CHANGES = {CHANGE: 10_000, DRIFT: 5_000, FAILED: 5_000}
KEPT_DIFFS = 1_000  # the newest changes keep their diff, each of at most agent.apply.audit.MAX_DIFF bytes
GOOD, ROLLED_BACK, OTHER = "good", "rolled_back", "other"  # classes of passes
KEPT_PASSES = 200  # of any class, and beside them
KEPT_OF_CLASS = {GOOD: 50, ROLLED_BACK: 50}

_CHANGE = ("id", "result", "cause", "revision", "author", "summary", "place", "drift", "message", "content", "diff")
_PASS = (
    "started", "first", "times", "seconds", "reason", "cause", "revision", "author", "summary", "verdict", "class", "counts",
    "message",
)  # fmt: skip


@dataclass(frozen=True)
class Changed:
    """One line of the audit trail."""

    id: str
    result: str
    cause: str
    revision: str
    author: str
    summary: str
    place: str
    drift: Mapping[str, Any]
    message: str
    content: str = ""  # how much of text changed: `content +2 -1`
    diff: str = ""  # the text that changed, unified, without names of files

    @property
    def kind(self) -> str:
        """The class it is kept in."""
        return FAILED if self.result == "failed" else DRIFT if self.cause == "drift" else CHANGE


@dataclass(frozen=True)
class PassRecord:
    """One pass in the history."""

    started: float  # seconds since the epoch
    seconds: float
    reason: str
    revision: str
    verdict: str
    counts: Mapping[str, int]
    message: str
    kind: str = OTHER  # the class it is kept in
    cause: str = ""  # of what it changed; empty when it changed nothing
    author: str = ""
    summary: str = ""


class History:
    """The tables of passes and changes of an open state database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # Changes

    def add(self, changes: Iterable[Changed]) -> None:
        """Add lines to the audit trail, in the transaction that is open."""
        now = int(time.time())
        rows = [
            (now, c.kind, c.id, c.result, c.cause, c.revision, c.author, c.summary, c.place, json.dumps(c.drift), c.message,
             c.content, c.diff)
            for c in changes
        ]  # fmt: skip
        columns = ", ".join(("at", "class", *_CHANGE))
        self._db.executemany(f"INSERT INTO changes ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)

    def changes(self, name: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """Lines of the audit trail, the newest first, of one resource or of all."""
        columns = ("at", *_CHANGE)
        where, values = ("WHERE id = ?", [name]) if name else ("", [])
        query = f"SELECT {', '.join(columns)} FROM changes {where} ORDER BY number DESC LIMIT ?"
        return [dict(zip(columns, row, strict=True)) for row in self._db.execute(query, [*values, limit])]

    def names(self) -> list[str]:
        """Every id that the audit trail tells of."""
        return [str(row[0]) for row in self._db.execute("SELECT DISTINCT id FROM changes ORDER BY id")]

    def repairs(self, since: float) -> Counter[tuple[str, str]]:
        """How often each property of each resource was put back after drift, since a moment (seconds since the epoch)."""
        query = "SELECT id, drift FROM changes WHERE at >= ? AND cause = 'drift' AND result = 'converged'"
        rows = self._db.execute(query, (int(since),))
        return Counter((name, item) for name, drift in rows for item in json.loads(drift))

    def repaired(self, since: float) -> dict[str, Any]:
        """How many times anything was put back after drift since a moment, and what was last, when."""
        query = (
            "SELECT count(*), id, max(at) FROM changes WHERE at >= ? AND cause = 'drift' AND result = 'converged'"
            " AND drift != '{}'"
        )
        count, name, at = self._db.execute(query, (int(since),)).fetchone()
        return {"count": count, "last_id": name or "", "last_at": at or 0}

    def last_message(self, name: str) -> str:
        """What the newest line of the audit trail of a resource says."""
        query = "SELECT message FROM changes WHERE id = ? ORDER BY number DESC LIMIT 1"
        row = self._db.execute(query, (name,)).fetchone()
        return str(row[0]) if row else ""

    def trim(self) -> None:
        """Forget the oldest changes of each class, and the diffs of all but the newest."""
        oldest = "(SELECT number FROM changes WHERE class = ? ORDER BY number DESC LIMIT 1 OFFSET ?)"
        with self._db:
            for kind, kept in KEPT_CHANGES.items():
                self._db.execute(f"DELETE FROM changes WHERE class = ? AND number <= {oldest}", (kind, kind, kept))
            last = "(SELECT number FROM changes WHERE diff != '' ORDER BY number DESC LIMIT 1 OFFSET ?)"
            self._db.execute(f"UPDATE changes SET diff = '' WHERE diff != '' AND number <= {last}", (KEPT_DIFFS,))

    # Passes

    def record(self, record: PassRecord) -> None:
        """Add one pass, the same again to what is known of it, and forget what is older than its class is long."""
        key = (record.revision, record.verdict, record.cause, record.message)
        same = "revision = ? AND verdict = ? AND cause = ? AND message = ?"
        started = int(record.started)
        with self._db:
            query = f"SELECT min(first), sum(times) FROM passes WHERE {same}"
            first, times = self._db.execute(query, key).fetchone()
            self._db.execute(f"DELETE FROM passes WHERE {same}", key)
            row = (
                started, first or started, (times or 0) + 1, round(record.seconds, 3), record.reason, record.cause,
                record.revision, record.author, record.summary, record.verdict, record.kind, json.dumps(record.counts),
                record.message,
            )  # fmt: skip
            marks = ",".join("?" * len(_PASS))
            self._db.execute(f"INSERT INTO passes ({', '.join(_PASS)}) VALUES ({marks})", row)
            self._forget_passes()

    def _forget_passes(self) -> None:
        newest = "number NOT IN (SELECT number FROM passes ORDER BY number DESC LIMIT ?)"
        of_class = "number NOT IN (SELECT number FROM passes WHERE class = ? ORDER BY number DESC LIMIT ?)"
        values = [item for pair in KEPT_OF_CLASS.items() for item in pair]
        conditions = " AND ".join([newest, *[of_class] * len(KEPT_OF_CLASS)])
        self._db.execute(f"DELETE FROM passes WHERE {conditions}", [KEPT_PASSES, *values])

    def passes(self, limit: int) -> list[dict[str, Any]]:
        """Passes that changed something or came to something new, the newest first."""
        query = f"SELECT {', '.join(_PASS)} FROM passes ORDER BY number DESC LIMIT ?"
        found = [dict(zip(_PASS, row, strict=True)) for row in self._db.execute(query, (limit,))]
        return [{**one, "counts": json.loads(one["counts"])} for one in found]

    def last_pass(self) -> Mapping[str, Any] | None:
        """The newest pass that is recorded (passes that found and changed nothing new are not)."""
        return next(iter(self.passes(1)), None)
