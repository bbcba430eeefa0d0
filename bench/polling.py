"""`python -m bench.polling`: bytes on the wire of one poll that finds nothing new, counted before the server, over HTTP and SSH."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.source import Remote, Source
from tests.hosts.git import GitRepository, http_server, ssh_server
from tests.hosts.relay import Relay

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/fleet"
POLLS, BRANCHES = 10, 100
GIT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def main() -> int:
    """Measure with one branch and with many."""
    print(f"bytes to and from the server, mean of {POLLS} polls; the repository is examples/fleet")
    print(f"{'transport':<10} {'branches':>8} {'poll':>8} {'git ls-remote':>22} {'clone':>20}")
    with tempfile.TemporaryDirectory() as directory:
        repository = GitRepository(Path(directory) / "served")
        repository.copy(EXAMPLE)
        for branches in (1, BRANCHES):
            for number in range(1, branches):
                subprocess.run(["git", "-C", str(repository.bare), "branch", f"topic-{number}", "main"], check=True)
            _over_http(repository, branches)
            _over_ssh(repository, branches)
    return 0


def _over_http(repository: GitRepository, branches: int) -> None:
    with http_server(repository.bare.parent) as server, Relay(server.port).running() as relay:
        _measure("HTTP", branches, relay, Remote(f"http://127.0.0.1:{relay.port}/fleet.git"), {})


def _over_ssh(repository: GitRepository, branches: int) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        ssh_server(Path(directory) / "sshd") as server,
        Relay(server.port).running() as relay,
    ):
        known = Path(directory) / "known_hosts"
        known.write_text(server.known_hosts.read_text().replace(f":{server.port} ", f":{relay.port} "))
        url = f"ssh://root@127.0.0.1:{relay.port}{repository.bare}"
        ssh = f"ssh -i {server.key} -o UserKnownHostsFile={known} -o IdentitiesOnly=yes"
        remote = Remote(url, ssh_key=str(server.key), known_hosts=str(known))
        _measure("SSH", branches, relay, remote, {"GIT_SSH_COMMAND": ssh})


def _measure(transport: str, branches: int, relay: Relay, remote: Remote, environment: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source = Source(remote, f"{directory}/repo.git")
        clone = _bytes(relay, lambda: source.fetch(None))
        poll = sum(_bytes(relay, source.remote_tip) for _ in range(POLLS)) / POLLS
    command = ["git", "ls-remote", remote.url, "refs/heads/main"]
    least = _bytes(relay, lambda: subprocess.run(command, check=True, capture_output=True, env={**GIT, **environment}))
    print(
        f"{transport:<10} {branches:>8} {poll:>8,.0f} {least:>14,} ({poll / least:.2f} x) {clone:>12,} ({clone / poll:.0f} x)"
    )


def _bytes(relay: Relay, work: Callable[[], object]) -> int:
    before = relay.asked + relay.answered
    work()
    time.sleep(0.3)  # until the connection has been closed on both sides
    return relay.asked + relay.answered - before


if __name__ == "__main__":
    sys.exit(main())
