"""`agentctl validate`: every problem of a repository at once, for every host and for what no host uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli import main
from modules.registry import KIND_NAMES
from tests.unit.fleets import Files, host, write

TEN_PROBLEMS: Files = {
    "fleet.yaml": """format: 1
groups:
  web: {hosts: ["web-*"]}
  arm: {when: facts.arch == 'pdp11'}
vars:
  port: 80
""",
    "groups/web.yaml": """roles: [nginx, monitor]
""",
    "groups/wbe.yaml": "vars: {}\n",
    "groups/arm.yaml": """resources:
  - pakage: qemu
""",
    "hosts/db-01.yaml": """resources:
  - file: /etc/motd
    contents: hello
    mode: 0644
  - file: /etc/motd
    content: twice
  - file: /etc/port
    content: "port {{ vars.prot }}"
  - unit: db.service
    enabled: yes
    reload_on: [file:/etc/prot]
""",
    "hosts/web-01.yaml": """resources:
  - file: /etc/web
    source: web.conf
    requires: [file:/etc/wbe]
""",
    "hosts/web-02.yaml": "resources: [\n",
    "hosts/web-03.yaml": "vars: {}\nresources: []\nvars: {}\n",
    "roles/nginx/role.yaml": """resources:
  - file: /etc/nginx.conf
    template: nginx.conf.j2
""",
    "roles/nginx/templates/nginx.conf.j2": "listen {{ vars.port }}\nworkers {{ vars.workers }}\n",
    "roles/monitoring/role.yaml": """resources:
  - unit: monitor.service
    aktive: true
checks:
  - http: "{{ vars.url }}"
    contain: fine
""",
}
TOLD = f"""\
groups/arm.yaml:2: unknown kind "pakage"; did you mean package?; the first key is one of {", ".join(KIND_NAMES)}
groups/wbe.yaml: fleet.yaml has no group "wbe"; did you mean web?
groups/web.yaml:1: role "monitor" has no roles/monitor/role.yaml; did you mean monitoring?
hosts/db-01.yaml:3: unknown field "contents" in file:/etc/motd; did you mean content?
hosts/db-01.yaml:4: "mode" of file:/etc/motd must be quoted text such as "0644": a bare number loses its leading zero
hosts/db-01.yaml:8: vars.prot is not defined; did you mean vars.port?
hosts/db-01.yaml:10: "enabled" of unit:db.service must be true or false, not 'yes'
hosts/web-02.yaml:2: not valid YAML: while parsing a flow node did not find expected node content
hosts/web-03.yaml:3: the key 'vars' stands twice; the first is on line 1
roles/monitoring/role.yaml:3: unknown field "aktive" in a unit; did you mean active?
roles/monitoring/role.yaml:6: unknown field "contain" in a http check; did you mean contains?
"""


def validate(directory: Path, said: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    status = main(["validate", str(directory), *options])
    out, err = said.readouterr()
    return status, out, err


def test_many_different_problems_come_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = validate(write(tmp_path, TEN_PROBLEMS), capsys)
    assert status == 1
    assert out == TOLD
    assert err == "11 problems in 7 files; 4 hosts read, 0 fine\n"


def test_what_was_hidden_by_them_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mended = {
        **TEN_PROBLEMS,
        "groups/web.yaml": "roles: [nginx]\n",
        "hosts/db-01.yaml": str(TEN_PROBLEMS["hosts/db-01.yaml"])
        .replace("contents", "content")
        .replace("0644", '"0644"')
        .replace("vars.prot", "vars.port")
        .replace("yes", "true"),
    }
    _, out, err = validate(write(tmp_path, mended), capsys)
    assert out.splitlines()[2:] == [
        "hosts/db-01.yaml:5: file:/etc/motd is declared twice; the first is at hosts/db-01.yaml:2",
        (
            "hosts/db-01.yaml:11: `reload_on` of unit:db.service names file:/etc/prot, which this host does not have; "
            "did you mean file:/etc/port?"
        ),
        (
            "hosts/web-01.yaml:3: \"source\" of file:/etc/web names 'web.conf', which is none of files/web.conf, "
            "roles/nginx/files/web.conf"
        ),
        "hosts/web-02.yaml:2: not valid YAML: while parsing a flow node did not find expected node content",
        "hosts/web-03.yaml:3: the key 'vars' stands twice; the first is on line 1",
        'roles/monitoring/role.yaml:3: unknown field "aktive" in a unit; did you mean active?',
        'roles/monitoring/role.yaml:6: unknown field "contain" in a http check; did you mean contains?',
        "roles/nginx/templates/nginx.conf.j2:2: vars.workers is not defined",
    ]
    assert err == "10 problems in 8 files; 4 hosts read, 0 fine\n"


def test_one_host_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, host("file: /etc/motd\n    content: a"))
    assert validate(tmp_path, capsys, "--host", "web-01") == (0, "1 host read, 1 fine\n", "")


def test_a_group_whose_hosts_are_not_named_is_checked_as_a_host_that_it_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "fleet.yaml": "format: 1\ngroups:\n  web: {hosts: ['web-[0-9]?']}\n",
        "groups/web.yaml": "resources:\n  - file: /etc/motd\n    content: '{{ vars.nothing }}'\n",
    }
    assert validate(write(tmp_path, files), capsys) == (
        1,
        "groups/web.yaml:3: vars.nothing is not defined\n",
        "1 problem in 1 file; 1 host read, 0 fine; web-0x stands for the hosts of group web\n",
    )


@pytest.mark.parametrize("folder", ["hosts", "groups", "roles"])
def test_a_folder_that_leads_out_of_the_repository(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"fleet.yaml": "format: 1\n"})
    (tmp_path / folder).symlink_to("/etc")
    status, out, _ = validate(tmp_path, capsys)
    assert status == 1
    assert out.startswith(f"{folder}: {folder} goes through the link {folder} to /etc, out of the repository")


@pytest.mark.parametrize("name", ["../hosts", "a/b", "..", ""])
def test_a_role_is_a_folder_in_roles(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": f"roles: ['{name}']\n"})
    assert validate(tmp_path, capsys)[1] == (
        f'hosts/web-01.yaml:1: role "{name}" must be the name of a folder in roles/\n'
    )


def test_a_directory_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = validate(tmp_path / "none", capsys)
    assert (status, err) == (1, f"agentctl: {tmp_path}/none is not a directory; give the checkout of the repository\n")


def test_a_repository_that_names_no_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = validate(write(tmp_path, {"fleet.yaml": "format: 1\n"}), capsys)
    assert status == 1
    assert err == "agentctl: the repository names no host; add hosts/NAME.yaml, or a group with host names\n"
