"""The state database: what survives, what an idle pass leaves alone, and what becomes of one that cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent import store as store_module
from agent.errors import StateUnusable
from agent.history import Changed, PassRecord
from agent.migrations import MIGRATIONS
from agent.store import Entry, Owed, Store
from tests.unit.world import World, file

ENTRY = Entry("file:/a", '["file", {"path": "/a"}]', {"ensure": "absent"}, {"names": ("x", "y")}, False, 3, "abc", 5)


def change(name: str = "file:/a", message: str = "") -> Changed:
    return Changed(name, "failed", "revision", "abc", "ops", "do it", "hosts/a.yaml:3", {"mode": ["1", "2"]}, message)


def a_pass(number: int = 0) -> PassRecord:
    return PassRecord(number, 0.5, "poll", "abc", "OK", {"converged": 1}, str(number))


def opened(directory: Path) -> Store:
    return Store(str(directory), writable=True)


def state_of(directory: Path) -> Mapping[str, Any]:
    found = {path.name: path.stat() for path in directory.iterdir()}
    return {name: (one.st_ino, one.st_mtime_ns, one.st_size) for name, one in found.items()}


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.begin([ENTRY], [Owed("unit:a", "restart", "file:/a"), Owed("unit:a", "restart", "file:/b")])
        store.finish([], [change()])
        store.remember(in_force="abc")
        store.history.record(a_pass())
    with opened(tmp_path) as store:
        assert store.inventory() == {"file:/a": ENTRY}
        assert store.owed() == [Owed("unit:a", "restart", "file:/a")]
        assert store.recall("in_force") == "abc"
        assert store.recall("nothing") == ""
        last = store.history.last_pass()
        assert last is not None
        assert (last["reason"], last["seconds"]) == ("poll", 0.5)
        (line,) = store.history.changes("file:/a")
        assert (line["result"], line["place"], line["drift"]) == ("failed", "hosts/a.yaml:3", '{"mode": ["1", "2"]}')
        store.delivered([Owed("unit:a", "restart", "")])
        store.finish([], [], ["file:/a"])
    with Store(str(tmp_path), writable=False) as store:
        assert (store.owed(), store.inventory()) == ([], {})


def test_it_is_for_root_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        opened(tmp_path).close()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


def test_what_begins_unsettles_the_inventory_in_the_same_transaction(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.remember(settled="digest", in_force="abc")
        store.begin([ENTRY], [])
        assert (store.recall("settled"), store.recall("in_force")) == ("", "abc")


@pytest.mark.parametrize(
    ("adopted", "forgotten", "left"), [([ENTRY], [], ""), ([], ["file:/a"], ""), ([], [], "digest")]
)
def test_so_does_what_is_adopted_or_forgotten_without_having_been_begun(
    tmp_path: Path, adopted: list[Entry], forgotten: list[str], left: str
) -> None:
    with opened(tmp_path) as store:
        store.remember(settled="digest")
        store.finish(adopted, [], forgotten)
        assert store.recall("settled") == left


def test_an_idle_pass_writes_nothing_and_asks_little(world: World) -> None:
    resources = "".join(file(f"/etc/f{number}") for number in range(20))
    world.run(resources)
    before = state_of(world.directory)
    said: list[str] = []
    original = Store._open

    def traced(self: Store) -> sqlite3.Connection:
        db = original(self)
        db.set_trace_callback(said.append)
        return db

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "_open", traced)
        assert set(world.run(resources).values()) == {"in_sync"}
    assert state_of(world.directory) == before
    assert said, "the trace works"
    assert {line.split()[0] for line in said} == {"SELECT"}
    assert not any("inventory" in line for line in said)
    assert len(said) <= 7


def test_the_same_value_is_not_written_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.remember(a="1")
        before = state_of(tmp_path)
        store.remember(a="1")
        store.delivered([])
        assert state_of(tmp_path) == before
        store.remember(a="2")
        assert state_of(tmp_path) != before


def test_the_newest_message_of_a_resource(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.finish([], [change(message="one"), change(message="two"), change("file:/b", "three")])
        assert [store.history.last_message(name) for name in ("file:/a", "file:/b", "file:/c")] == ["two", "three", ""]


# What cannot be used


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 100)


def future(path: Path) -> None:
    opened(path.parent).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")


@pytest.mark.parametrize("spoil", [garbage, future])
def test_one_that_cannot_be_understood_is_set_aside_and_said(tmp_path: Path, spoil: Any) -> None:
    spoil(tmp_path / "state.db")
    with pytest.raises(StateUnusable, match=r"cannot be read.*the next pass sets it aside"):
        Store(str(tmp_path), writable=False)
    assert [path.name for path in tmp_path.iterdir()] == ["state.db"]
    with opened(tmp_path) as store:
        assert store.inventory() == {}
        (notice,) = store.notices
        assert "nothing is pruned until" in notice
    new, aside = sorted(path.name for path in tmp_path.iterdir())
    assert (new, aside.partition("-")[0]) == ("state.db", "state.db.unusable")
    assert aside in notice


def test_damage_found_in_the_middle_is_set_aside_too(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(200):
            store.finish([Entry(f"file:/{number}", "x" * 500, {}, {}, False, 0, "abc", 0)], [change()])
    data = bytearray((tmp_path / "state.db").read_bytes())
    data[8192:60_000] = b"\xff" * (60_000 - 8192)
    (tmp_path / "state.db").write_bytes(data)
    with pytest.raises(StateUnusable, match=r"it is now .*the next pass begins anew"), opened(tmp_path) as store:
        store.inventory()
    with opened(tmp_path) as store:
        assert store.inventory() == {}
        assert store.notices == []


def test_after_it_was_set_aside_nothing_is_pruned_until_it_is_known_again(world: World) -> None:
    both = file("/etc/a") + file("/etc/b")
    world.run(both)
    garbage(world.directory / "state.db")
    assert world.run(file("/etc/a")) == {"file:/etc/a": "in_sync"}
    assert world.has("/etc/b")
    world.run(both)
    assert world.run(file("/etc/a"))["file:/etc/b"] == "released", "it was there when we came to know it again"


def test_a_full_disk_is_said_and_nothing_is_touched_or_set_aside(world: World) -> None:
    world.run(file("/etc/a"))

    def full(self: Store) -> sqlite3.Connection:
        db = original(self)
        db.execute(f"PRAGMA max_page_count={db.execute('PRAGMA page_count').fetchone()[0]}")
        return db

    original = Store._open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "_open", full)
        many = "".join(file(f"/etc/f{number}", "x" * 300) for number in range(50))
        with pytest.raises(StateUnusable, match="database or disk is full; make room"):
            world.run(file("/etc/a") + many)
    assert not world.has("/etc/f0"), "what is not written down is not begun"
    assert sorted(path.name for path in world.directory.iterdir()) == ["state.db"]
    assert set(world.inventory()) == {"file:/etc/a"}
    assert set(world.run(file("/etc/a") + many).values()) == {"in_sync", "converged"}


def test_one_that_is_locked_is_not_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path).close()
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **named: real(*args, **{**named, "timeout": 0.05}))
    other = real(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateUnusable, match="locked"):
        opened(tmp_path)
    other.close()
    assert [path.name for path in tmp_path.iterdir()] == ["state.db"]


def test_reading_where_there_is_none_makes_none(tmp_path: Path) -> None:
    with Store(str(tmp_path), writable=False) as store:
        assert (store.inventory(), store.recall("x"), store.history.last_pass()) == ({}, "", None)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "state.db").touch()  # a first pass that died right after it made the file
    with Store(str(tmp_path), writable=False) as store:
        assert store.inventory() == {}


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(StateUnusable, match="readonly"), Store(str(tmp_path), writable=False) as store:
        store.remember(a="1")


def test_an_older_database_is_brought_forward_and_keeps_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        store.begin([ENTRY], [])
    added = "ALTER TABLE meta ADD COLUMN note TEXT NOT NULL DEFAULT 'none';"
    monkeypatch.setattr(store_module, "MIGRATIONS", (*MIGRATIONS, added))
    with Store(str(tmp_path), writable=False) as store:
        assert store.inventory() == {}, "a reader leaves it as it is"
    with opened(tmp_path) as store:
        assert store.inventory() == {"file:/a": ENTRY}
        assert store._db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
        store._db.execute("SELECT note FROM meta")
        assert store.notices == []


def test_a_migration_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path).close()
    broken = "ALTER TABLE meta ADD COLUMN note TEXT; ALTER TABLE nosuch ADD COLUMN x;"
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "MIGRATIONS", (*MIGRATIONS, broken))
        with pytest.raises(StateUnusable, match="nosuch"):
            opened(tmp_path)
    with opened(tmp_path) as store:
        assert "note" not in {row[1] for row in store._db.execute("PRAGMA table_info(meta)")}


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / "state.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        opened(tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "theirs"
