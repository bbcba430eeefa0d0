"""What is downloaded and when, a history that was rewritten, and a clone that was killed or damaged."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.errors import FetchFailed, RevisionRejected
from agent.source import Source
from tests.hosts.git import (
    GitRepository,
    HttpServer,
)
from tests.hosts.relay import Relay
from tests.system.source.refusals import MakeSource, noise

CODE = Path(__file__).parents[3]


def test_asking_whether_the_branch_moved_downloads_nothing(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    first = made.fetch(None).commit
    assert http.log.downloads == 1
    sent = http.log.sent
    assert made.remote_tip() == first
    assert made.fetch(first).commit == first
    assert http.log.downloads == 1
    assert http.log.sent - sent < 4096
    second = repository.commit({"files/noise": noise()})
    assert made.remote_tip() == second
    assert http.log.downloads == 1
    assert made.fetch(first).commit == second
    assert http.log.downloads == 2


def test_only_what_is_new_is_downloaded(http: HttpServer, repository: GitRepository, source: MakeSource) -> None:
    repository.commit({"files/noise": noise()})
    made = source(http.url())
    made.fetch(None)
    sent = http.log.sent
    repository.commit({"fleet.yaml": "format: 1\nvars: {}\n"})
    made.fetch(None)
    assert http.log.sent - sent < 8192


def test_a_rewritten_branch_is_refused_unless_allowed(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    first = made.fetch(None).commit
    other = repository.rewrite()
    with pytest.raises(RevisionRejected) as caught:
        made.fetch(first)
    assert str(caught.value) == (
        f"main@{other[:7]} does not contain {first[:7]}, the accepted revision: the history was rewritten; "
        f"push a commit on top of {first[:7]}, or if this is meant, agentctl source accept {other[:12]} --reason TEXT"
    )
    assert made.revision(first).read("fleet.yaml") == b"format: 1\n"
    assert source(http.url(), allow_rewritten_history=True).fetch(first).commit == other
    third = repository.commit({"fleet.yaml": "format: 1\nvars: {}\n"})
    assert source(http.url()).fetch(other).commit == third


def test_a_branch_that_comes_back_is_accepted_again(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    first = made.fetch(None).commit
    repository.rewrite()
    with pytest.raises(RevisionRejected):
        made.fetch(first)
    git = ["git", f"--git-dir={repository.bare}"]
    subprocess.run([*git, "update-ref", "refs/heads/main", first], check=True)
    assert made.fetch(first).commit == first


def damaged(source: Source) -> str:
    """Fetch, then write zeros over all objects; the commit. In a process of its own: the library keeps packs open."""
    code = f"from agent.source import Remote, Source\nprint(Source({source.remote!r}, {source.directory!r}).fetch(None).commit)"
    command = [sys.executable, "-c", code]
    commit = subprocess.run(command, cwd=CODE, check=True, capture_output=True, text=True).stdout.strip()
    for pack in Path(source.directory, "objects/pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(b"\0" * pack.stat().st_size)
    return commit


def test_a_clone_that_is_no_repository_is_set_aside(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    made.fetch(None)
    Path(made.directory, "HEAD").unlink()
    Path(made.directory, "mine").write_text("kept")
    again = source(http.url())
    assert again.fetch(None).commit == repository.head()
    (notice,) = again.notices
    aside = notice.partition("it is now ")[2].partition(",")[0]
    assert Path(aside, "mine").read_text() == "kept"


def test_a_file_in_the_place_of_the_clone_is_set_aside(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    made = source(http.url())
    Path(made.directory).write_text("not a clone")
    assert made.fetch(None).commit == repository.head()
    assert len(made.notices) == 1


def test_a_clone_that_is_damaged_again_and_again_fills_no_disk(http: HttpServer, source: MakeSource) -> None:
    for _ in range(3):
        made = source(http.url())
        made.fetch(None)
        Path(made.directory, "HEAD").unlink()
    assert sorted(os.listdir(os.path.dirname(made.directory))) == ["repo.git", "repo.git.unusable"]


def test_a_damaged_clone_is_fetched_again_even_when_nothing_moved(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    first = damaged(source(http.url()))
    again = source(http.url())
    assert again.fetch(first).read("fleet.yaml") == b"format: 1\n"


def test_a_fetch_that_is_killed_leaves_a_clone_that_works(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    first = source(http.url()).fetch(None).commit
    repository.commit({"files/noise": noise()})
    made = source(http.url())
    with Relay(http.port, 2 << 20).running() as relay:
        url = f"http://127.0.0.1:{relay.port}/fleet.git"
        code = f"from agent.source import Remote, Source\nSource(Remote({url!r}), {made.directory!r}).fetch({first!r})"
        child = subprocess.Popen([sys.executable, "-c", code], cwd=CODE, start_new_session=True)
        assert relay.stalled.wait(20)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
    assert made.revision(first).read("fleet.yaml") == b"format: 1\n"
    assert made.fetch(first).commit == repository.head()
    assert made.revision(repository.head()).read("files/noise") == noise()
    assert made.notices == []


def test_whoever_fetches_for_a_pass_that_was_killed_ends_too(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    repository.commit({"files/noise": noise()})
    made = source(http.url())
    with Relay(http.port, 1 << 20).running() as relay:
        remote = f"Remote('http://127.0.0.1:{relay.port}/fleet.git', transfer_timeout_seconds=1)"
        code = f"from agent.source import Remote, Source\nSource({remote}, {made.directory!r}).fetch(None)"
        child = subprocess.Popen([sys.executable, "-c", code], cwd=CODE, start_new_session=True)
        assert relay.stalled.wait(20)
        child.kill()
        child.wait(10)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, 0)
                time.sleep(0.1)
                continue
            return
    os.killpg(child.pid, signal.SIGKILL)
    raise AssertionError("the child that downloads outlived its pass")


# What a person asks for by name


def test_a_branch_a_tag_and_a_commit_are_found_by_name(
    http: HttpServer, repository: GitRepository, source: MakeSource
) -> None:
    first, second = repository.head(), repository.commit({"fleet.yaml": "format: 1\nvars: {}\n"})
    git = ["git", f"--git-dir={repository.bare}", "-c", "user.name=Operations", "-c", "user.email=ops@example.com"]
    for command in (["tag", "light", first], ["tag", "-a", "-m", "1.0", "v1.0", first], ["branch", "next", first]):
        subprocess.run([*git, *command], check=True)
    assert source(http.url()).at("light").commit == first
    assert source(http.url()).at("v1.0").commit == first
    assert source(http.url()).at("next").commit == first
    assert source(http.url()).at("main").commit == second
    assert source(http.url()).at(first).commit == first
    assert source(http.url()).at(second[:8]).commit == second


def test_a_name_that_is_not_there(http: HttpServer, source: MakeSource) -> None:
    with pytest.raises(FetchFailed, match=r"has no branch mian; it has main; did you mean main\?"):
        source(http.url()).at("mian")
    with pytest.raises(FetchFailed, match="there is no commit 0123456789"):
        source(http.url()).at("0123456789")


def test_the_branch_of_the_settings_is_no_tag(http: HttpServer, repository: GitRepository, source: MakeSource) -> None:
    subprocess.run(["git", f"--git-dir={repository.bare}", "tag", "v1.0"], check=True)
    with pytest.raises(
        FetchFailed, match=r"^v1\.0 is a tag of http://.*, and the agent follows a branch; set `branch`"
    ):
        source(http.url(), branch="v1.0").fetch(None)
