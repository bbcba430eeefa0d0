"""The tables of the state database, and how one of each older version becomes one of the next."""

from __future__ import annotations

import sqlite3

_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE inventory (
  id TEXT PRIMARY KEY, resource TEXT NOT NULL, prior TEXT NOT NULL, left_state TEXT NOT NULL,
  pending INTEGER NOT NULL, position INTEGER NOT NULL, revision TEXT NOT NULL, since INTEGER NOT NULL);
CREATE TABLE refreshes (
  consumer TEXT NOT NULL, action TEXT NOT NULL, cause TEXT NOT NULL, since INTEGER NOT NULL,
  PRIMARY KEY (consumer, action));
CREATE TABLE passes (
  number INTEGER PRIMARY KEY AUTOINCREMENT, started INTEGER NOT NULL, seconds REAL NOT NULL, reason TEXT NOT NULL,
  revision TEXT NOT NULL, verdict TEXT NOT NULL, counts TEXT NOT NULL, message TEXT NOT NULL);
CREATE TABLE changes (
  number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, id TEXT NOT NULL, result TEXT NOT NULL,
  cause TEXT NOT NULL, revision TEXT NOT NULL, author TEXT NOT NULL, summary TEXT NOT NULL,
  place TEXT NOT NULL, drift TEXT NOT NULL, message TEXT NOT NULL);
CREATE INDEX changes_by_id ON changes (id, number);
"""
_PRUNE_AND_DIFFS = """
ALTER TABLE inventory ADD COLUMN prune TEXT NOT NULL DEFAULT 'delete';
ALTER TABLE changes ADD COLUMN diff TEXT NOT NULL DEFAULT '';
CREATE INDEX changes_by_time ON changes (at);
"""
_STARTED = """
ALTER TABLE refreshes ADD COLUMN withheld TEXT NOT NULL DEFAULT '';
CREATE TABLE started (
  consumer TEXT NOT NULL, action TEXT NOT NULL, cause TEXT NOT NULL, digest TEXT NOT NULL,
  PRIMARY KEY (consumer, action, cause));
"""
_HISTORY = """
ALTER TABLE changes ADD COLUMN class TEXT NOT NULL DEFAULT 'change';
ALTER TABLE changes ADD COLUMN content TEXT NOT NULL DEFAULT '';
UPDATE changes SET class = CASE WHEN result = 'failed' THEN 'failed' WHEN cause = 'drift' THEN 'drift' ELSE 'change' END;
CREATE INDEX changes_by_class ON changes (class, number);
CREATE INDEX changes_with_diff ON changes (number) WHERE diff != '';
ALTER TABLE passes ADD COLUMN class TEXT NOT NULL DEFAULT 'other';
ALTER TABLE passes ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE passes ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE passes ADD COLUMN summary TEXT NOT NULL DEFAULT '';
ALTER TABLE passes ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
ALTER TABLE passes ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
UPDATE passes SET first = started, class = CASE verdict WHEN 'OK' THEN 'good' ELSE 'other' END;
"""
MIGRATIONS = (_FIRST, _PRUNE_AND_DIFFS, _STARTED, _HISTORY)
"""Each takes a database from the version that is its index to the next; none is ever changed."""


class Unknown(sqlite3.DatabaseError):
    """The database was written by a newer version of the agent."""


def version_of(db: sqlite3.Connection) -> int:
    """The version of a database. Raises Unknown for one of the future."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > len(MIGRATIONS):
        raise Unknown(f"its version is {found}, this agent knows {len(MIGRATIONS)}")
    return found
