"""From `apt install` and two lines of settings to a host that is converged and stays so, judged from outside."""

from __future__ import annotations

import json
import time

from tests.hosts.machine import Machine
from tests.system.conftest import Fleet

RESOURCES = """\
  - directory: /srv/www
    mode: "0750"
  - file: /srv/www/index.html
    content: "hello\\n"
    mode: "0640"
    group: www-data
  - file: /etc/systemd/system/web.service
    content: |
      [Service]
      ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv/www 8000
      [Install]
      WantedBy=multi-user.target
  - unit: web.service
    enabled: true
    active: true
    restart_on: ["file:/srv/www/*"]
  - package: tree
"""


def wait_for(check: object, seconds: float = 60, what: str = "it") -> None:
    """Poll until a check holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():  # type: ignore[operator]
            return
        time.sleep(0.3)
    raise AssertionError(f"{what} did not happen in {seconds} s")


def test_installing_starts_nothing(machine: Machine) -> None:
    assert machine.run("systemctl", "is-active", "gitops-agent", check=False).stdout.strip() == "inactive"
    assert machine.run("systemctl", "is-enabled", "gitops-agent").stdout.strip() == "enabled"
    assert machine.run("systemctl", "start", "gitops-agent", check=False).returncode == 0
    assert machine.run("systemctl", "is-active", "gitops-agent", check=False).stdout.strip() == "inactive"
    assert machine.run("systemctl", "is-failed", "gitops-agent", check=False).stdout.strip() != "failed"
    status = machine.run("agentctl", "status", check=False)
    assert (status.returncode, status.stdout.split()[0]) == (3, "UNKNOWN")


def test_two_lines_of_settings_converge_the_host(fleet: Fleet) -> None:
    host = fleet.host
    fleet.hold(RESOURCES, "first")
    host.run("systemctl", "start", "gitops-agent")
    wait_for(lambda: host.run("agentctl", "status", check=False).returncode == 0, 120, "OK")
    assert host.stat("/srv/www/index.html") == "640 root www-data regular file"
    assert host.stat("/srv/www") == "750 root root directory"
    assert host.run("systemctl", "is-active", "web.service").stdout.strip() == "active"
    assert host.run("systemctl", "is-enabled", "web.service").stdout.strip() == "enabled"
    assert "install ok installed" in host.run("dpkg-query", "-W", "-f", "${Status}", "tree").stdout
    assert host.http(8000) == "hello\n"


def test_a_commit_changes_the_host_and_restarts_what_asked_for_it(fleet: Fleet) -> None:
    host = fleet.host
    before = host.run("systemctl", "show", "-p", "MainPID", "web.service").stdout
    fleet.hold(RESOURCES.replace("hello", "goodbye"), "greet otherwise")
    synced = host.run("agentctl", "sync")
    assert "restart, because file:/srv/www/index.html changed" in synced.stdout
    assert host.run("systemctl", "show", "-p", "MainPID", "web.service").stdout != before
    wait_for(lambda: host.http(8000) == "goodbye\n", 10, "the new text")


def test_drift_is_repaired_and_the_rest_left_alone(fleet: Fleet) -> None:
    host = fleet.host
    host.shell(
        "echo broken > /srv/www/index.html; chmod 0777 /srv/www; systemctl disable --now web.service; apt-get -qq -y purge tree"
    )
    assert fleet.plan().returncode == 2
    assert fleet.apply().returncode == 0
    assert host.read("/srv/www/index.html") == "goodbye\n"
    assert host.stat("/srv/www") == "750 root root directory"
    assert host.run("systemctl", "is-active", "web.service").stdout.strip() == "active"
    assert "install ok installed" in host.run("dpkg-query", "-W", "-f", "${Status}", "tree").stdout
    assert fleet.plan().returncode == 0


def test_a_pass_with_nothing_to_do_writes_nothing_to_disk(fleet: Fleet) -> None:
    host = fleet.host
    fleet.apply()
    listing = "find /var/lib/gitops-agent /etc /usr /srv /var/lib/dpkg -printf '%p %i %T@ %C@\\n' | sort"
    before = host.shell(listing)
    assert fleet.apply().returncode == 0
    assert host.shell(listing) == before


def test_a_bad_commit_is_refused_and_drift_is_still_repaired(fleet: Fleet) -> None:
    host = fleet.host
    good = fleet.repository.head()
    fleet.hold(RESOURCES.replace("    mode:", "    mood:"), "oops")
    synced = host.run("agentctl", "sync", check=False)
    assert synced.returncode == 1
    assert 'hosts/web-01.yaml:3: unknown field "mood" in directory:/srv/www; did you mean mode?' in synced.stderr
    host.shell("echo broken > /srv/www/index.html")
    host.run("agentctl", "sync", check=False)
    assert host.read("/srv/www/index.html") == "goodbye\n"
    status = host.run("agentctl", "status", check=False)
    assert status.returncode == 1
    assert good[:7] in status.stdout.splitlines()[0]
    assert "refused" in status.stdout.splitlines()[0]


def test_what_leaves_git_leaves_the_host(fleet: Fleet) -> None:
    host = fleet.host
    fleet.hold(RESOURCES.partition("  - file: /etc/systemd")[0], "without the service")
    assert host.run("agentctl", "sync").returncode == 0
    assert not host.exists("/etc/systemd/system/web.service")
    assert host.run("systemctl", "is-active", "web.service", check=False).stdout.strip() != "active"
    assert host.run("dpkg-query", "-W", "-f", "${db:Status-Status}", "tree", check=False).stdout != "installed"
    assert host.exists("/srv/www/index.html")


def test_the_journal_tells_what_changed_by_field(fleet: Fleet) -> None:
    entries = fleet.host.run("journalctl", "-o", "json", "GITOPS_RESOURCE=file:/srv/www/index.html").stdout.splitlines()
    found = [json.loads(line) for line in entries]
    assert found[0]["GITOPS_RESULT"] == "converged"
    assert len(found[0]["GITOPS_REVISION"]) == 40
    assert found[0]["GITOPS_PLACE"].startswith("hosts/web-01.yaml:")


def test_status_says_when_nobody_keeps_it_up_to_date(fleet: Fleet) -> None:
    fleet.host.run("systemctl", "stop", "gitops-agent")
    status = fleet.host.run("agentctl", "status", check=False)
    assert status.returncode == 3
    assert "not running" in status.stdout.splitlines()[0]


def test_purge_leaves_nothing(fleet: Fleet) -> None:
    host = fleet.host
    host.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "purge", "gitops-agent")
    found = host.shell("find / -xdev -name '*gitops-agent*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/cache/*' "
                       "-not -path '/var/log/*' -not -path '/sys/*'")  # fmt: skip
    assert found == ""
    assert host.run("sh", "-c", "command -v agentctl", check=False).returncode != 0
