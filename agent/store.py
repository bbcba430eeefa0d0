"""Store: what survives a restart, in one SQLite database.

The inventory (what we own, what it was before, what we left), owed refreshes, the revision in force; and the history.
The journal mode is DELETE, not WAL: only one pass writes, and a reader of a WAL database creates files beside it, while an
idle pass must write nothing at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from agent.errors import StateUnusable
from agent.history import Changed, History
from agent.migrations import MIGRATIONS, Unknown, version_of
from modules.api import State

_UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True)
class Entry:
    """One thing we own."""

    id: str
    resource: str  # JSON, by agent.catalog.codec
    prior: State  # observed before we took it
    left: State  # observed after our last apply of it
    pending: bool  # an apply of it was begun and not finished
    position: int  # in the catalog that brought it, for removal in reverse
    revision: str
    since: int  # seconds since the epoch
    prune: str = "delete"  # what Git said is to be done when it leaves: delete, release, confirm


@dataclass(frozen=True)
class Owed:
    """One refresh that a consumer is owed; the consumer of a host-wide one is `host`."""

    consumer: str
    action: str
    cause: str
    # When what owes it was last about to change, in seconds since the epoch.
    since: int = field(default=0, compare=False)
    withheld: str = ""  # why it is left to a person, and what to do; empty while it is the agent's to deliver


Origin = tuple[str, str, str]  # consumer, action, cause


class Store:
    """The state database. `writable=False` reads it, or an empty one where there is none, and never writes.

    What cannot be understood is set aside and begun anew, and a notice says so. Raises StateUnusable.
    """

    def __init__(self, directory: str, *, writable: bool) -> None:
        self.path = os.path.join(directory, "state.db")
        self.notices: list[str] = []
        self._writable = writable
        with self._explained():
            try:
                self._db = self._open() if writable else self._open_to_read()
            except sqlite3.DatabaseError as error:
                if not writable or not _is_unreadable(error):
                    raise
                self.notices.append(self._set_aside(error))
                self._db = self._open()
            self.history = History(self._db)

    def __enter__(self) -> Self:
        """Give itself; at the end of the `with` it is closed, and what went wrong with the database is explained."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        self._db.close()
        with self._explained():
            if isinstance(error, sqlite3.DatabaseError):
                raise error

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        db = sqlite3.connect(self.path, timeout=10)
        for version in range(version_of(db), len(MIGRATIONS)):
            db.executescript(f"BEGIN; {MIGRATIONS[version]} PRAGMA user_version={version + 1}; COMMIT")
        return db

    def _open_to_read(self) -> sqlite3.Connection:
        """Open it as it is; one that is missing, empty or of an older version reads as empty."""
        if os.path.exists(self.path) and os.path.getsize(self.path):
            address = self.path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
            db = sqlite3.connect(f"file:{address}?mode=ro", uri=True, timeout=10)
            if version_of(db) == len(MIGRATIONS):
                return db
            db.close()
        db = sqlite3.connect(":memory:")
        db.executescript("".join(MIGRATIONS))
        return db

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not _is_unreadable(error):
                hint = "make room on its file system, or see what else holds it; then try again"
                raise StateUnusable(f"{self.path} cannot be used: {error}", hint) from error
            if not self._writable:
                hint = "the next pass sets it aside and begins anew"
                raise StateUnusable(f"{self.path} cannot be read: {error}", hint) from error
            raise StateUnusable(self._set_aside(error), "the next pass begins anew") from error

    def _set_aside(self, error: Exception) -> str:
        """Give the database another name; what to say of it."""
        aside = f"{self.path}.unusable-{int(time.time())}"
        os.rename(self.path, aside)
        return f"the state database could not be used ({error}); it is now {aside}, and nothing is pruned until what is owned is known again"

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # What is remembered by name

    def recall(self, name: str) -> str:
        """What was remembered under a name; empty when nothing was."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def remember(self, **values: str) -> None:
        """Remember values by name; one that is already so is not written again."""
        news = {name: value for name, value in values.items() if self.recall(name) != value}
        if news:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", news.items())

    # The inventory

    def inventory(self) -> dict[str, Entry]:
        """Everything we own, by id."""
        rows = self._db.execute(
            "SELECT id, resource, prior, left_state, pending, position, revision, since, prune FROM inventory"
        )
        return {row[0]: _entry(row) for row in rows}

    def count_owned(self) -> int:
        """How much we own."""
        return int(self._db.execute("SELECT count(*) FROM inventory").fetchone()[0])

    def begin(self, entries: Iterable[Entry], owed: Iterable[Owed]) -> None:
        """Write, before anything is touched, what is about to be applied and which refreshes that will owe.

        From here on the inventory is not settled: after a crash the next pass looks at it.
        """
        with self._db:
            self._unsettle()
            self._put(entries)
            now = int(time.time())
            rows = [(item.consumer, item.action, item.cause, now) for item in owed]
            again = "ON CONFLICT DO UPDATE SET since = excluded.since, withheld = ''"
            columns = "consumer, action, cause, since"
            self._db.executemany(f"INSERT INTO refreshes ({columns}) VALUES (?, ?, ?, ?) {again}", rows)

    def finish(self, entries: Iterable[Entry], changes: Iterable[Changed], forgotten: Iterable[str] = ()) -> None:
        """Write what came of it: entries as left, lines of the audit trail, and what is no longer owned.

        A catalog that was settled before may come back, and it does not know what was adopted or forgotten meanwhile, so
        nothing is settled from here on.
        """
        kept, gone = list(entries), [(name,) for name in forgotten]
        with self._db:
            if kept or gone:
                self._unsettle()
            self._put(kept)
            self.history.add(changes)
            self._db.executemany("DELETE FROM inventory WHERE id = ?", gone)

    def _unsettle(self) -> None:
        """The inventory is that of no catalog until a pass that went well says so."""
        self._db.execute("DELETE FROM meta WHERE name = 'settled'")

    def _put(self, entries: Iterable[Entry]) -> None:
        rows = [
            (e.id, e.resource, json.dumps(dict(e.prior)), json.dumps(dict(e.left)), e.pending, e.position, e.revision, e.since, e.prune)
            for e in entries
        ]  # fmt: skip
        self._db.executemany("INSERT OR REPLACE INTO inventory VALUES (?,?,?,?,?,?,?,?,?)", rows)

    # Owed refreshes

    def owed(self) -> list[Owed]:
        """Every refresh not yet delivered, the oldest first."""
        rows = self._db.execute("SELECT consumer, action, cause, since, withheld FROM refreshes ORDER BY since, rowid")
        return [Owed(*row) for row in rows]

    def delivered(
        self, owed: Sequence[Owed], started: Mapping[Origin, str] | None = None, gone: Sequence[Origin] = ()
    ) -> None:
        """Clear refreshes that succeeded or are no longer due; note what consumers are started with now, forget the rest."""
        with self._db:
            keys = [(item.consumer, item.action) for item in owed]
            self._db.executemany("DELETE FROM refreshes WHERE consumer = ? AND action = ?", keys)
            rows = [(*origin, digest) for origin, digest in (started or {}).items()]
            self._db.executemany("INSERT OR REPLACE INTO started VALUES (?, ?, ?, ?)", rows)
            self._db.executemany("DELETE FROM started WHERE consumer = ? AND action = ? AND cause = ?", gone)

    def withhold(self, owed: Sequence[Owed]) -> None:
        """Note of refreshes that are owed why they are left to a person."""
        with self._db:
            rows = [(item.withheld, item.consumer, item.action) for item in owed]
            self._db.executemany("UPDATE refreshes SET withheld = ? WHERE consumer = ? AND action = ?", rows)

    def started(self) -> dict[Origin, str]:
        """What each consumer was last started with: a digest by its origin."""
        rows = self._db.execute("SELECT consumer, action, cause, digest FROM started")
        return {(row[0], row[1], row[2]): row[3] for row in rows}


def _is_unreadable(error: sqlite3.DatabaseError) -> bool:
    """Tell what is wrong with the content from what may pass: a full disk, a lock, a file system that is read-only."""
    return isinstance(error, Unknown) or getattr(error, "sqlite_errorcode", 0) in _UNREADABLE


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], row[1], _state(row[2]), _state(row[3]), bool(row[4]), row[5], row[6], row[7], row[8])


def _state(text: str) -> State:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(text).items()}
