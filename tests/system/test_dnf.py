"""Packages and their repositories on real hosts with dnf, each parameter fourfold, judged by rpm and dnf themselves."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts.archive import PORT, served
from tests.hosts.machine import Machine
from tests.hosts.rpms import GENERATIONS, SHELL, Repository, Rpm, rpm_machine
from tests.system.conftest import Fleet

PACKAGES = (
    SHELL,
    *(Rpm(name) for name in ("tiny", "gone", "erased", "extra", "loose")),
    *(Rpm("moving", version) for version in ("1.0", "1.1", "2.0")),
    *(Rpm("newest", version) for version in ("1.9", "1.10")),
    *(Rpm("stuck", version) for version in ("1.0", "2.0")),
    *(Rpm("back", version) for version in ("1.0", "2.0")),
    *(Rpm("kept", version, config=f"kept {version}") for version in ("1.0", "2.0")),
    Rpm("frugal", tags="Recommends: extra"),
    Rpm("dragged"),
    Rpm("dragger", tags="Requires: dragged"),
    *(Rpm("within", version) for version in ("1.0", "1.9", "2.0")),
    *(Rpm("followed", version) for version in ("1.0", "2.0")),
    Rpm("ranked", "2.0"),
    Rpm("aside"),
)
REPOSITORY = f"""\
  - rpm_repository: tests
    baseurl: ["http://127.0.0.1:{PORT}/"]
    key: repository.asc
    description: Tests
    repo_gpgcheck: true
  - rpm_repository: better
    baseurl: ["http://127.0.0.1:{PORT}/better/"]
    gpgcheck: false
    priority: 10
  - rpm_repository: side
    baseurl: ["http://127.0.0.1:{PORT}/side/"]
    gpgcheck: false
    enabled: false
"""


@dataclass(frozen=True)
class Case:
    """One parameter: what Git says, what the plan shows of it, who judges it, and how an admin breaks it."""

    name: str
    resource: str
    plan: str
    judge: str
    verdict: str
    before: str = ""
    drift: str = ""


def lock_and(name: str) -> str:
    return f"dnf -q versionlock list 2>/dev/null | grep -cE '^({name}-|Package name: {name}$)' || true; rpm -q {name}"


CASES = (
    Case("repository itself", "", "rpm_repository:tests", "grep -v ^gpgkey /etc/yum.repos.d/tests.repo",
         f"[tests]\nname=Tests\nbaseurl=http://127.0.0.1:{PORT}/\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1",
         drift="sed -i s/^gpgcheck=1/gpgcheck=0/ /etc/yum.repos.d/tests.repo"),
    Case("present", "  - package: tiny", "package:tiny", "rpm -q tiny", "tiny-1.0-1.noarch", drift="rpm -e tiny"),
    Case("absent", "  - package: gone\n    ensure: absent", "package:gone", "rpm -q gone || true",
         "package gone is not installed", before="gone", drift="dnf -q -y install gone"),
    Case("purged", "  - package: erased\n    ensure: purged", "purged", "rpm -q erased || true",
         "package erased is not installed", before="erased", drift="dnf -q -y install erased"),
    Case("version", "  - package: moving\n    version: 1.1-1", "1.1", "rpm -q moving", "moving-1.1-1.noarch",
         before="moving-1.0", drift="dnf -q -y downgrade moving-1.0"),
    Case("glob and hold", '  - package: stuck\n    version: "1.*"\n    hold: true', "hold", lock_and("stuck"),
         "1\nstuck-1.0-1.noarch", drift="dnf -q versionlock delete stuck"),
    Case("latest", "  - package: newest\n    ensure: latest", "package:newest", "rpm -q newest", "newest-1.10-1.noarch",
         before="newest-1.9", drift="dnf -q -y downgrade newest-1.9"),
    Case("downgrade of what is held", '  - package: back\n    version: "1.0"\n    allow_downgrade: true\n    hold: true',
         "1.0", lock_and("back"), "1\nback-1.0-1.noarch", before="back-2.0",
         drift="dnf -q versionlock delete back; dnf -q -y install back-2.0; dnf -q versionlock add back"),
    Case("unheld", "  - package: loose\n    hold: false", "hold", lock_and("loose"), "0\nloose-1.0-1.noarch",
         before="loose", drift="dnf -q versionlock add loose"),
    Case("weak dependencies", "  - package: frugal\n    install_recommends: false", "package:frugal",
         "rpm -q frugal extra || true", "frugal-1.0-1.noarch\npackage extra is not installed", drift="rpm -e frugal"),
    Case("edited configuration", '  - package: kept\n    version: "2.0"', "2.0", "rpm -q kept; cat /etc/kept.conf",
         "kept-2.0-1.noarch\nedited", before="kept-1.0",
         drift="dnf -q -y downgrade kept-1.0; echo edited > /etc/kept.conf"),
    Case("manual", "  - package: dragged", "marked",
         "dnf -C -q repoquery --userinstalled --qf='%{name}\n' 2>/dev/null | grep -x dragged", "dragged", before="dragger",
         drift="dnf -q mark remove dragged || dnf -q -y mark dependency dragged"),
    Case("range", '  - package: within\n    version: ">=1.1 <2"', "package:within", "rpm -q within", "within-1.9-1.noarch",
         before="within-1.0", drift="dnf -q -y downgrade within-1.0"),
    Case("only upgraded", '  - package: followed\n    version: ">=2"\n    only_upgrade: true', "package:followed",
         "rpm -q followed", "followed-2.0-1.noarch", before="followed-1.0", drift="dnf -q -y downgrade followed-1.0"),
    Case("priority", "  - package: ranked\n    ensure: latest", "package:ranked", "rpm -q ranked", "ranked-1.0-1.noarch",
         drift="rpm -e ranked"),
    Case("repository", "  - package: aside\n    repository: side", "package:aside", "rpm -q aside", "aside-3.0-1.noarch",
         drift="rpm -e aside"),
    Case("file", "  - package: local\n    version: 3.0-1\n    source: local.rpm", "package:local", "rpm -q local",
         "local-3.0-1.noarch", drift="rpm -e local"),
    Case("url", '  - package: remote\n    version: "4.0"\n    source: {url}\n    checksum: {checksum}', "package:remote",
         "rpm -q remote", "remote-4.0-1.noarch", drift="rpm -e remote"),
)  # fmt: skip
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(params=GENERATIONS, scope="module")
def machine(request: pytest.FixtureRequest, deb: Path) -> Iterator[Machine]:
    """A host where rpm counts."""
    with rpm_machine(request.param, deb) as host:
        yield host


@pytest.fixture(scope="module")
def repository(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository of its own for the host, which has some of its packages already."""
    made = Repository(tmp_path_factory.mktemp("repository"))
    made.add(*PACKAGES)
    for name, package in (("better", Rpm("ranked", "1.0")), ("side", Rpm("aside", "3.0"))):
        another = Repository(tmp_path_factory.mktemp(name))
        another.add(package)
        shutil.copytree(another.directory, made.directory / name)
    with served(made.directory, pid=machine.leader, port=PORT):
        old = f"[old]\nname=old\nbaseurl=http://127.0.0.1:{PORT}/\ngpgcheck=0\n"
        machine.write("/etc/yum.repos.d/old.repo", old)
        machine.shell("dnf -q -y install " + " ".join(case.before for case in CASES if case.before))
        machine.shell("dnf -q versionlock add loose; rm /etc/yum.repos.d/old.repo; echo edited > /etc/kept.conf")
        yield made


@pytest.fixture(scope="module")
def planned(fleet: Fleet, repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> str:
    """All cases in one catalog."""
    elsewhere = Repository(tmp_path_factory.mktemp("elsewhere"))
    local = elsewhere.build(Rpm("local", "3.0")).read_bytes()
    remote = elsewhere.build(Rpm("remote", "4.0")).read_bytes()
    (repository.directory / "remote.rpm").write_bytes(remote)
    texts = "\n".join(case.resource for case in CASES if case.resource)
    texts = texts.replace("{url}", f"http://127.0.0.1:{PORT}/remote.rpm")
    texts = texts.replace("{checksum}", hashlib.sha256(remote).hexdigest())
    fleet.repository.commit({"files/repository.asc": repository.key, "files/local.rpm": local}, "files")
    fleet.hold(REPOSITORY + texts + "\n")
    plan = fleet.plan()
    assert plan.returncode == 2, plan.stderr
    return plan.stdout


@pytest.fixture(scope="module")
def applied(fleet: Fleet, planned: str) -> str:
    return said(fleet.apply())


@pytest.fixture(scope="module")
def repaired(fleet: Fleet, applied: str) -> tuple[str, str]:
    """Everything broken by hand, what the plan said of that, and what the repair said."""
    fleet.host.shell("\n".join(case.drift for case in CASES))
    plan = fleet.plan()
    return plan.stdout, said(fleet.apply())


def said(ended: subprocess.CompletedProcess[str]) -> str:
    return f"{ended.returncode}\n{ended.stdout}{ended.stderr}"


@cases
def test_the_plan_shows_it(planned: str, case: Case) -> None:
    assert case.plan in planned


@cases
def test_apply_does_it(fleet: Fleet, applied: str, case: Case) -> None:
    assert fleet.host.shell(case.judge).strip() == case.verdict, applied


def test_nothing_failed(applied: str) -> None:
    assert applied.startswith("0\n"), applied


def test_a_second_apply_does_nothing_and_the_plan_is_empty(fleet: Fleet, applied: str) -> None:
    locks = "/etc/dnf/plugins/versionlock.list /etc/dnf/versionlock.toml"
    history = f"dnf -q history list | wc -l; sha256sum {locks} /etc/yum.repos.d/* 2>/dev/null || true"
    before = fleet.host.shell(history)
    assert fleet.apply().returncode == 0
    assert fleet.host.shell(history) == before
    assert fleet.plan().returncode == 0


def test_what_is_not_there_is_not_brought_by_an_upgrade(fleet: Fleet, applied: str) -> None:
    fleet.host.shell("rpm -e followed")
    plan = fleet.plan()
    fleet.host.shell("dnf -q -y install followed-2.0")
    assert plan.returncode == 0, plan.stdout


@cases
def test_what_an_admin_broke_is_shown_and_comes_back(fleet: Fleet, repaired: tuple[str, str], case: Case) -> None:
    plan, applied = repaired
    assert case.plan in plan
    assert fleet.host.shell(case.judge).strip() == case.verdict, applied
