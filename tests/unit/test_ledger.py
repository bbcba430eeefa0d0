"""The ledger: nothing is read again while its status is the same, nothing that changed is missed, and nothing is written."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from agent.cli import main
from agent.host import LocalHost, LocalView, reading
from agent.host import files as host_files
from agent.host.ledger import Ledger
from modules.file import File
from tests.unit.convergence import drift_of, text

PAST_NS = 10 * 10**9


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths whose content was read."""
    done: list[str] = []
    contents = reading.contents

    def noting(path: str, *rest: int) -> object:
        done.append(path)
        return contents(path, *rest)

    monkeypatch.setattr(host_files, "contents", noting)
    return done


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files were made long ago: the clock that a ledger asks is ahead of the file system's."""
    clock = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: clock() + PAST_NS)


def look(tmp_path: Path, every: int = 1000) -> dict[str, object]:
    """One pass: what differs, by name."""
    ledger = Ledger(str(tmp_path / "ledger"), every)
    host = LocalView(ledger=ledger)
    wanted = [File(path=str(path), content=text("wanted")) for path in sorted(tmp_path.glob("file*"))]
    drifts = {os.path.basename(file.path): drift_of(file, host) for file in wanted}
    ledger.save()
    return {name: drift for name, drift in drifts.items() if drift}


def make(tmp_path: Path, count: int = 1) -> None:
    for number in range(count):
        (tmp_path / f"file{number}").write_text("wanted")


@pytest.mark.usefixtures("later")
def test_what_did_not_change_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    make(tmp_path)
    for _ in range(3):
        assert look(tmp_path) == {}
    assert reads == [str(tmp_path / "file0")]
    assert stat.S_IMODE((tmp_path / "ledger").stat().st_mode) == 0o600


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("change", ["bytes", "times put back", "replaced", "in its place", "longer"])
def test_what_changed_is_seen(tmp_path: Path, change: str) -> None:
    make(tmp_path)
    path = tmp_path / "file0"
    look(tmp_path)
    assert look(tmp_path) == {}
    before = path.stat()
    if change in ("bytes", "times put back"):
        path.write_text("WANTED")
    elif change == "replaced":
        (tmp_path / "new").write_text("WANTED")
        (tmp_path / "new").rename(path)
    elif change == "longer":
        path.write_text("wanted, and more")
    else:
        with path.open("r+b", buffering=0) as file:
            file.write(b"W")
    if change != "bytes":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert set(look(tmp_path)) == {"file0"}


def test_what_changed_lately_is_not_trusted(tmp_path: Path, reads: list[str]) -> None:
    """Two changes within one tick of a file system's clock have the same status."""
    make(tmp_path)
    for _ in range(3):
        look(tmp_path)
    assert len(reads) == 3


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("every", [1, 2, 5])
def test_each_file_is_read_once_in_so_many_passes_whatever_its_status_says(
    tmp_path: Path, reads: list[str], every: int
) -> None:
    make(tmp_path, 20)
    look(tmp_path, every)
    for _ in range(3):
        reads.clear()
        for _ in range(every):
            look(tmp_path, every)
        assert sorted(reads) == sorted(str(path) for path in tmp_path.glob("file*"))


@pytest.mark.usefixtures("later")
def test_an_idle_pass_writes_a_count_and_no_more(tmp_path: Path) -> None:
    make(tmp_path, 3)
    look(tmp_path)
    before = (tmp_path / "ledger").stat()
    look(tmp_path)
    look(tmp_path, every=2)
    assert (tmp_path / "ledger").stat().st_ino == before.st_ino
    assert (tmp_path / "ledger.passes").read_text() == "3"
    (tmp_path / "file1").unlink()
    look(tmp_path)
    assert (tmp_path / "ledger").stat().st_ino != before.st_ino


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_damaged_ledger_only_costs_time(tmp_path: Path, reads: list[str], damage: bytes) -> None:
    make(tmp_path)
    look(tmp_path)
    (tmp_path / "ledger").write_bytes(damage)
    (tmp_path / "ledger.passes").write_bytes(damage)
    assert look(tmp_path) == {}
    assert len(reads) == 2


@pytest.mark.usefixtures("later")
def test_a_file_that_changes_while_it_is_read_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    path = tmp_path / "file0"
    contents = reading.contents

    def interrupted(*args: object) -> object:
        yield from contents(*args)  # type: ignore[arg-type]
        path.write_text("WANTED")

    monkeypatch.setattr(host_files, "contents", interrupted)
    assert look(tmp_path) == {}, "it was right when it was read"
    monkeypatch.setattr(host_files, "contents", contents)
    assert set(look(tmp_path)) == {"file0"}


def test_a_host_without_a_place_for_it_reads_everything(tmp_path: Path, reads: list[str]) -> None:
    make(tmp_path)
    for host in (LocalHost(), LocalView()):
        assert drift_of(File(path=f"{tmp_path}/file0", content=text("wanted")), host) == {}
    assert len(reads) == 2
    assert sorted(os.listdir(tmp_path)) == ["file0"]


@pytest.mark.usefixtures("later")
def test_apply_reads_once_in_so_many_passes_and_whenever_it_is_told_to(tmp_path: Path, reads: list[str]) -> None:
    repository, root, state = (tmp_path / name for name in ("repository", "root", "state"))
    (repository / "hosts").mkdir(parents=True)
    root.mkdir()
    (repository / "fleet.yaml").write_text("format: 1\n")
    (repository / "hosts" / "h.yaml").write_text("resources:\n  - file: /conf\n    content: wanted\n")
    place = ["--repo", str(repository), "--working-tree", "--host", "h", "--root", str(root), "--state-dir", str(state)]

    def done(*arguments: str) -> int:
        reads.clear()
        assert main([*arguments, *place]) == 0
        return len(reads)

    asked_to_end = signal.getsignal(signal.SIGTERM)
    try:
        assert done("apply") == 1, "what was written is verified"
        assert [done("apply"), done("plan")] == [0, 0]
        assert [done("apply", "--verify-content"), done("apply")] == [1, 0]
        assert sum(done("apply") for _ in range(12)) == 1
    finally:
        signal.signal(signal.SIGTERM, asked_to_end)
    assert stat.S_IMODE((state / "ledger").stat().st_mode) == 0o600
