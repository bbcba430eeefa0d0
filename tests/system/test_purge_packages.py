"""What packages own is not purged: by dpkg and by rpm, each installing a real package into a root of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from modules import owners
from tests.unit.holding import Holding

FILES = {"/etc/app.d/default.conf": "theirs\n", "/etc/app.d/owned/deep.conf": "theirs\n", "/usr/lib/app/plugin": "x\n"}
SPEC = """\
Name: app
Version: 1
Release: 1
Summary: app
License: none
BuildArch: noarch
AutoReqProv: no
%description
app
%install
cp -a {tree}/. %{{buildroot}}
%files
{files}
"""


def run(*argv: str | Path) -> str:
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True, text=True).stdout


def lay_out(tree: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (tree / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tree / path[1:]).write_text(text)


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("deb")
    lay_out(work / "tree", FILES)
    (work / "tree/DEBIAN").mkdir()
    (work / "tree/DEBIAN/control").write_text(
        "Package: app\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.invalid>\nDescription: app\n"
    )
    run("dpkg-deb", "--build", "--root-owner-group", work / "tree", work / "app.deb")
    return work / "app.deb"


@pytest.fixture(scope="module")
def rpm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("rpm")
    lay_out(work / "tree", FILES)
    (work / "app.spec").write_text(SPEC.format(tree=work / "tree", files="\n".join(FILES)))
    run("rpmbuild", "-bb", f"--define=_topdir {work}/build", f"--define=_rpmdir {work}", work / "app.spec")
    return work / "noarch/app-1-1.noarch.rpm"


def by_dpkg(root: Path, deb: Path) -> None:
    for name in ("info", "updates"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    run("dpkg", f"--root={root}", "--force-not-root", "--force-bad-path", "--install", deb)


def by_rpm(root: Path, rpm: Path) -> None:
    run("rpm", f"--root={root}", "--initdb")
    run("rpm", f"--root={root}", "--install", "--nodeps", "--ignoreos", rpm)


@pytest.fixture(params=["dpkg", "rpm"])
def held(
    request: pytest.FixtureRequest, tmp_path: Path, deb: Path, rpm: Path, monkeypatch: pytest.MonkeyPatch
) -> Holding:
    root = tmp_path / "root"
    root.mkdir()
    if request.param == "dpkg":
        by_dpkg(root, deb)
    else:
        by_rpm(root, rpm)
        monkeypatch.setattr(owners, "DATABASES", ("/root/.rpmdb",))  # where the rpm of Debian has it
    (root / "etc/app.d/stray.conf").write_text("nobody's\n")
    (root / "etc/app.d/dir").mkdir()
    return Holding(root, tmp_path / "state")


def test_what_a_package_owns_is_left_and_said(held: Holding) -> None:
    wish = [{"purge": "/etc/app.d", "exclude": ["owned"]}]
    (step,) = held.plan(wish).steps
    assert step.drift["strangers"].before == ("dir", "stray.conf")
    held.converged(wish)
    assert sorted(os.listdir(held.root / "etc/app.d")) == ["default.conf", "owned"]
    (outcome,) = held.apply(wish)
    assert outcome.result == "in_sync"
    assert outcome.remark == (
        "left, for packages own it: default.conf (app); declare it absent, exclude it, or set packages: true"
    )


def test_force_does_not_reach_what_is_deeper(held: Holding) -> None:
    held.converged([{"directory": "/etc/app.d", "purge": True, "force": True}])
    assert (held.root / "etc/app.d/owned/deep.conf").exists()
    assert sorted(os.listdir(held.root / "etc/app.d")) == ["default.conf", "owned"]


def test_it_goes_when_that_is_said(held: Holding) -> None:
    held.converged([{"purge": "/etc/app.d", "packages": True, "force": True}])
    assert os.listdir(held.root / "etc/app.d") == []


def test_a_path_that_moved_to_usr_is_known_by_either_name(held: Holding) -> None:
    if not (held.root / "lib").exists():
        (held.root / "lib").symlink_to("usr/lib")
    held.converged([{"purge": "/lib/app"}])
    assert os.listdir(held.root / "usr/lib/app") == ["plugin"]
