"""The packages as files: what is in them, for whom, built the same twice, and in words that their own tools accept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent import __version__
from tests.system.conftest import HERE

LIBRARY = "usr/lib/gitops-agent"
SHIPPED = {
    "etc/gitops-agent/agent.d": 0o755,
    "etc/gitops-agent/agent.yaml": 0o644,
    "usr/bin/agentctl": 0o755,
    "usr/lib/systemd/system/gitops-agent.service": 0o644,
    "usr/share/doc/gitops-agent/README.md": 0o644,
    "usr/share/doc/gitops-agent/changelog.gz": 0o644,
    "usr/share/doc/gitops-agent/copyright": 0o644,
    "usr/share/gitops-agent/schema.json": 0o644,
    "usr/share/man/man8/agentctl.8.gz": 0o644,
}
DEPENDS = {
    "init-system-helpers", "python3", "python3-apscheduler", "python3-jinja2", "python3-psutil", "python3-pygit2",
    "python3-systemd", "python3-yaml",
}  # fmt: skip


def run(*command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    """What a command prints; an error with all of it when it fails."""
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=HERE, check=False, env={**os.environ, "LC_ALL": "C", **(env or {})}
    )
    assert not check or ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


def build(kind: str, into: Path) -> Path:
    run(sys.executable, "packaging/build.py", "--into", str(into), kind)
    return next(into.glob(f"*.{kind}"))


@pytest.fixture(scope="module")
def rpm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("rpm", tmp_path_factory.mktemp("rpm"))


@pytest.fixture(scope="module")
def unpacked(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb's files, and its control files in DEBIAN/."""
    root = tmp_path_factory.mktemp("deb")
    run("dpkg-deb", "--raw-extract", str(deb), str(root))
    return root


def sources() -> set[str]:
    listed = run("git", "ls-files", "agent/*.py", "modules/*.py").split()
    return {f"{LIBRARY}/{path}" for path in listed}


def test_the_deb_holds_these_files_and_no_others(unpacked: Path) -> None:
    files = {
        str(path.relative_to(unpacked)): path.stat().st_mode & 0o7777
        for path in unpacked.rglob("*")
        if path.is_file() and "DEBIAN" not in path.parts
    }
    wanted = {path: mode for path, mode in SHIPPED.items() if path != "etc/gitops-agent/agent.d"}
    assert files == {**wanted, **dict.fromkeys(sources(), 0o644)}
    assert (unpacked / "etc/gitops-agent/agent.d").is_dir()


def test_everything_in_the_deb_is_roots_and_writable_by_root_alone(deb: Path) -> None:
    lines = run("dpkg-deb", "--contents", str(deb)).splitlines()
    assert {line.split()[1] for line in lines} == {"root/root"}
    assert [line for line in lines if "w" in line[5:10]] == []


def test_the_deb_depends_on_what_debian_calls_the_libraries(deb: Path) -> None:
    fields = dict(
        line.split(": ", 1) for line in run("dpkg-deb", "--field", str(deb)).splitlines() if not line.startswith(" ")
    )
    assert (fields["Package"], fields["Version"], fields["Architecture"]) == ("gitops-agent", __version__, "all")
    assert {item.split()[0] for item in fields["Depends"].split(", ")} == DEPENDS
    assert fields["Recommends"] == "python3-docker, age, gpgv, openssh-client"


def test_the_settings_are_the_admins(unpacked: Path) -> None:
    assert (unpacked / "DEBIAN/conffiles").read_text().split() == ["/etc/gitops-agent/agent.yaml"]
    text = (unpacked / "etc/gitops-agent/agent.yaml").read_text()
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [], "nothing is set"


def test_lintian_finds_no_error(deb: Path) -> None:
    found = run("lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0", str(deb))
    assert [line for line in found.splitlines() if line.startswith("E:")] == []


def test_the_manual_page_is_well_formed(unpacked: Path) -> None:
    page = str(unpacked / "usr/share/man/man8/agentctl.8.gz")
    run("mandoc", "-T", "lint", "-W", "warning", page)
    shown = run("mandoc", "-T", "utf8", page).replace("\b", "")
    assert "hold this host to what Git says about it" in shown
    assert run("man", "--warnings", "-l", page, env={"MAN_KEEP_STDERR": "1"}).count("warning:") == 0


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_two_builds_are_the_same_bytes(deb: Path, rpm: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = {kind: build(kind, tmp_path) for kind in ("deb", "rpm")}
    finally:
        os.umask(before)
    for path in (deb, rpm):  # digests, since showing what differs in megabytes takes minutes
        assert digest(again[path.suffix.removeprefix(".")]) == digest(path)


def test_the_rpm_holds_the_same_files(rpm: Path) -> None:
    listed = set(run("rpm", "-qp", "--list", str(rpm)).split())
    assert {f"/{path}" for path in SHIPPED | dict.fromkeys(sources())} <= listed
    assert run("rpm", "-qp", "--configfiles", str(rpm)).split() == ["/etc/gitops-agent/agent.yaml"]
    named = run("rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{ARCH} %{LICENSE}", str(rpm))
    assert named == f"gitops-agent {__version__} noarch Apache-2.0"


def test_the_rpm_requires_what_its_distributions_call_the_libraries(rpm: Path) -> None:
    required = {line.split()[0] for line in run("rpm", "-qp", "--requires", str(rpm)).splitlines()}
    ours = {name.replace("python3-yaml", "python3-pyyaml") for name in DEPENDS - {"init-system-helpers"}}
    assert {name for name in required if not name.startswith("rpmlib(")} == ours


def test_the_rpms_scripts_are_shell_that_parses_and_starts_nothing(rpm: Path, tmp_path: Path) -> None:
    scripts = run("rpm", "-qp", "--scripts", str(rpm))
    for name in ("postinstall", "preuninstall", "postuninstall"):
        assert f"{name} scriptlet (using /bin/sh)" in scripts
    assert "systemctl start" not in scripts
    for script in sorted((HERE / "packaging/scripts").iterdir()):
        run("sh", "-n", str(script))


def test_the_rpm_installs_into_a_root_of_its_own(rpm: Path, tmp_path: Path) -> None:
    root = str(tmp_path)
    run("rpm", "--root", root, "--initdb")
    run("rpm", "--root", root, "--install", "--nodeps", "--noscripts", "--ignoreos", "--ignorearch", str(rpm))
    assert run("rpm", "--root", root, "--verify", "--nodeps", "gitops-agent") == ""
    for path, mode in SHIPPED.items():
        assert (tmp_path / path).stat().st_mode & 0o7777 == mode, path
    run("rpm", "--root", root, "--erase", "--nodeps", "--noscripts", "gitops-agent")
    assert [path for path in SHIPPED if (tmp_path / path).exists()] == []
