"""What dnf 4 and 5 keep in files of their own: why each package was installed. Real ones in tests/system."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from modules.api import Completed, ResourceError
from modules.dnf import DnfView
from modules.dnf_changes import Dnf
from modules.package import Package
from tests.unit.convergence import difference
from tests.unit.fake_host import FakeHost
from tests.unit.fake_rpm import FakeRpm

HISTORY = """
    CREATE TABLE trans (id INTEGER PRIMARY KEY, state INTEGER);
    CREATE TABLE rpm (item_id INTEGER, name TEXT, arch TEXT);
    CREATE TABLE trans_item (id INTEGER PRIMARY KEY, trans_id INTEGER, item_id INTEGER, action INTEGER, reason INTEGER);
    INSERT INTO rpm VALUES (1, 'a', 'noarch'), (2, 'b', 'noarch'), (3, 'c', 'noarch'), (4, 'd', 'i686');
    INSERT INTO trans VALUES (1, 1), (2, 2), (3, 1);
    INSERT INTO trans_item VALUES (1, 1, 1, 1, 1), (2, 1, 2, 1, 4), (3, 1, 3, 1, 2), (4, 1, 4, 1, 1);
    INSERT INTO trans_item VALUES (5, 2, 1, 11, 2);
"""


def test_what_came_along_is_read_from_the_history_of_dnf_4_with_its_log(host: FakeHost, tmp_path: Path) -> None:
    FakeRpm(host)
    with closing(sqlite3.connect(tmp_path / "history.sqlite", isolation_level=None)) as history:
        history.execute("PRAGMA journal_mode = WAL")
        history.executescript(HISTORY)
        put_history(host, tmp_path)
        view = DnfView(host)
        assert view.automatic() == {"a", "a:noarch", "b", "b:noarch", "d:i686"}, (
            "a failed transaction counts for nothing"
        )
        history.execute("INSERT INTO trans_item VALUES (6, 3, 1, 11, 2), (7, 3, 2, 3, 2)")
        put_history(host, tmp_path)
        assert view.automatic() == {"b", "b:noarch", "d:i686"}
        history.execute("PRAGMA wal_checkpoint(RESTART)")
        history.execute("DELETE FROM trans_item WHERE id = 2")  # a new log over the old one, of which there is more
        put_history(host, tmp_path)
        assert view.automatic() == {"d:i686"}
    host.files.put("/var/lib/dnf/history.sqlite", b"SQLite format 3\0 and no more")
    host.files.drop("/var/lib/dnf/history.sqlite-wal")
    with pytest.raises(ResourceError, match=r"cannot tell what came as a dependency: /var/lib/dnf/history\.sqlite: "):
        DnfView(host).automatic()


def put_history(host: FakeHost, directory: Path) -> None:
    for name in ("history.sqlite", "history.sqlite-wal"):
        host.files.put(f"/var/lib/dnf/{name}", (directory / name).read_bytes())


def test_what_came_along_is_read_from_the_state_of_dnf_5_and_marked_in_its_words(host: FakeHost) -> None:
    FakeRpm(host, ("a", "0:1-1", "noarch"))
    host.files.put("/usr/bin/dnf", "dnf5", kind="symlink")
    reasons = {"a.noarch": "Dependency", "b.noarch": "User", "c.d.i686": "Weak Dependency"}
    rows = "".join(f'"{name}" = {{reason = "{reason}"}}\n' for name, reason in reasons.items())
    host.files.put("/usr/lib/sysimage/libdnf5/packages.toml", f'version = "1.0"\n[packages]\n{rows}')
    assert DnfView(host).automatic() == {"a", "a:noarch", "c.d:i686"}
    assert difference(Package(name="a"), Package(name="a").observe(host))["marked"].before == "automatic"
    host.programs["dnf"] = lambda _words: Completed(0, "", "")
    Dnf(host).mark_manual(["a"])
    assert host.history[-1] == "dnf mark -C -q -y user a"


def test_dnf_5_may_have_no_other_name(host: FakeHost) -> None:
    FakeRpm(host)
    host.files.drop("/usr/bin/dnf")
    assert DnfView(host).command("x")[0] == "dnf"  # which is what is missing
    host.files.put("/usr/bin/dnf5")
    assert DnfView(host).command("x")[0] == "dnf5"
    assert DnfView(host).is_dnf_5
