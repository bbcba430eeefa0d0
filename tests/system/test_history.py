"""The history of a real host: a commit, a repair, a failure and a rollback, each with its cause and its text."""

from __future__ import annotations

import json

import pytest

from tests.system.conftest import Fleet

MOTD = "  - file: /etc/motd\n    content: \"{}\\n\"\n    mode: '0644'\n"
BROKEN = '  - file: /etc/broken\n    content: "x\\n"\n    validate: ["false", "%s"]\n'


@pytest.fixture(scope="module")
def suite() -> str:
    """One release will do: nothing here is of the platform."""
    return "bookworm"


@pytest.fixture(scope="module")
def lived(fleet: Fleet) -> tuple[Fleet, list[str]]:
    """A host that has seen it all, and the commits that it has seen."""
    fleet.configure(rollback="failure", health_soak="0s")
    commits = []
    for text in ("one", "two"):
        commits.append(fleet.hold(MOTD.format(text), f"motd: say {text}"))
        assert fleet.apply().returncode == 0
    fleet.host.shell("printf 'by hand\\n' > /etc/motd; chmod 600 /etc/motd")
    assert fleet.apply().returncode == 0
    commits.append(fleet.hold(MOTD.format("three") + BROKEN, "motd: say three, and break"))
    assert fleet.apply().returncode == 4, "the newest revision is rolled back"
    assert fleet.host.shell("cat /etc/motd") == "two\n", "and the last good one is back"
    return fleet, commits


def test_the_log_tells_commit_cause_and_text(lived: tuple[Fleet, list[str]]) -> None:
    fleet, (first, second, third) = lived
    printed = fleet.host.run("agentctl", "log", "file:/etc/motd", "--diff").stdout
    back, broke, repaired, changed, *older = [line for line in printed.splitlines() if line[:1] != " "]
    assert (back.split()[2], broke.split()[2]) == (second[:7], third[:7])
    assert '"motd: say three, and break"' in broke
    assert repaired.split()[2] == "drift"
    assert "mode 0600 -> 0644" in repaired
    assert '"motd: say two"' in changed
    assert changed.endswith("content +1 -1")
    assert [line.split()[2] for line in older] == [first[:7]]
    assert "    -one\n    +two\n" in printed
    assert "    -by hand\n" not in printed, "only its owner could read it"
    log = json.loads(fleet.host.run("agentctl", "log", "--json").stdout)["changes"]
    failed = next(change for change in log if change["id"] == "file:/etc/broken" and change["result"] == "failed")
    assert (failed["revision"], failed["cause"]) == (third, "revision")
    assert "validate" in failed["message"]


def test_the_history_tells_passes_with_subject_verdict_and_cause(lived: tuple[Fleet, list[str]]) -> None:
    fleet, (first, second, third) = lived
    passes = json.loads(fleet.host.run("agentctl", "history", "--json").stdout)["passes"]
    assert [(one["class"], one["cause"], one["revision"]) for one in passes] == [
        ("rolled_back", "revision", second), ("good", "drift", second), ("good", "revision", second),
        ("good", "revision", first),
    ]  # fmt: skip
    assert passes[0]["message"].startswith(f"{third[:7]} was rolled back: file:/etc/broken failed")
    printed = fleet.host.run("agentctl", "history").stdout
    assert "ROLLED BACK" in printed.splitlines()[0]
    assert f'{second[:7]} "motd: say two" by ' in printed


def test_two_revisions_are_compared_for_this_host(lived: tuple[Fleet, list[str]]) -> None:
    fleet, (first, second, third) = lived
    printed = fleet.host.run("agentctl", "diff", f"{first[:7]}..{second[:7]}").stdout
    assert "-one\n      +two\n" in printed
    assert printed.splitlines()[-1] == "1 changed, 0 the same"
    newest = fleet.host.run("agentctl", "diff", second).stdout
    assert f"{second[:7]} -> {third[:7]}" in newest
    assert "+ file:/etc/broken" in newest
    assert fleet.host.shell("cat /etc/motd") == "two\n", "nothing was changed"


def test_the_status_tells_of_repairs(lived: tuple[Fleet, list[str]]) -> None:
    fleet, _ = lived
    printed = fleet.host.run("agentctl", "status", check=False).stdout
    assert "1 drift repaired in 24 h, last file:/etc/motd at " in printed


def test_of_two_commits_that_come_at_once_each_change_names_its_own(lived: tuple[Fleet, list[str]]) -> None:
    fleet = lived[0]
    other = '  - file: /etc/other\n    content: "{}"\n'
    fleet.repository.commit({"roles/other/role.yaml": "resources:\n" + other.format("one")}, "a role")
    resources = "resources:\n" + MOTD.format("four") + "roles: [other]\n"
    fleet.repository.commit({"hosts/web-01.yaml": resources}, "take the role")
    assert fleet.apply().returncode == 0
    role = fleet.repository.commit({"roles/other/role.yaml": "resources:\n" + other.format("two")}, "other: say two")
    motd = fleet.repository.commit({"hosts/web-01.yaml": resources.replace("four", "five")}, "motd: say five")
    assert fleet.apply().returncode == 0
    for name, commit, summary in (("other", role, "other: say two"), ("motd", motd, "motd: say five")):
        printed = fleet.host.run("agentctl", "log", f"file:/etc/{name}").stdout.splitlines()[0]
        assert (printed.split()[2], f'"{summary}"' in printed) == (commit[:7], True)
