"""Packages and their repositories on real hosts with apt, each parameter fourfold, judged by dpkg and apt themselves."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.hosts.archive import PORT, Archive, Deb, only_archive
from tests.hosts.machine import Machine
from tests.system.conftest import Fleet

ASKING = {
    "templates": "Template: asking/town\nType: string\nDefault: Nowhere\nDescription: Where?\n",
    "config": "#!/bin/sh\n. /usr/share/debconf/confmodule\ndb_input high asking/town || true\ndb_go || true\n",
    "postinst": '#!/bin/sh\n. /usr/share/debconf/confmodule\ndb_get asking/town\necho "$RET" > /etc/town\n',
}
PACKAGES = (
    *(Deb(name) for name in ("tiny", "gone", "erased", "extra", "dragged", "loose")),
    *(Deb("moving", version) for version in ("1.0", "1.1", "2:0.5")),
    *(Deb("newest", version) for version in ("1.9", "1.10")),
    *(Deb("stuck", version) for version in ("1.0", "2.0")),
    *(Deb("back", version) for version in ("1.0", "2.0")),
    *(
        Deb(name, v, conffiles={f"/etc/{name}.conf": f"{name} {v}\n"})
        for name in ("kept", "new")
        for v in ("1.0", "2.0")
    ),
    Deb("frugal", recommends="extra"),
    Deb("asking", depends="debconf", control=ASKING),
    *(Deb("within", version) for version in ("1.0~rc1", "1.0", "1:1.9", "1:2.0")),
    *(Deb("followed", version) for version in ("1.0", "2.0")),
    Deb("aside", "3.0"),
    Deb("erased-conf", conffiles={"/etc/erased.conf": "x\n"}),
)
REPOSITORY = f"""\
  - apt_repository: tests
    uris: ["http://127.0.0.1:{PORT}/"]
    suites: ["./"]
    signed_by: archive.asc
  - apt_repository: side
    uris: ["http://127.0.0.1:{PORT}/side/"]
    suites: ["./"]
    signed_by: side.asc
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


def version_of(name: str) -> str:
    return f"dpkg-query -W -f '${{Status}} ${{Version}}' {name}"


CASES = (
    Case("repository", "", "apt_repository:tests", "cat /etc/apt/sources.list.d/tests.sources | head -2",
         f"Types: deb\nURIs: http://127.0.0.1:{PORT}/", drift="echo 'Trusted: yes' >> /etc/apt/sources.list.d/tests.sources"),
    Case("present", "  - package: tiny", "package:tiny", version_of("tiny"), "install ok installed 1.0",
         drift="apt-get -qq -y purge tiny"),
    Case("absent", "  - package: gone\n    ensure: absent", "package:gone", "dpkg -l gone 2>/dev/null | grep -c ^ii || true",
         "0", before="gone", drift="apt-get -qq -y install gone"),
    Case("purged", "  - package: erased-conf\n    ensure: purged", "purged", "ls /etc/erased.conf 2>/dev/null || echo none",
         "none", before="erased-conf", drift="apt-get -qq -y install erased-conf"),
    Case("version", '  - package: moving\n    version: "1.1"', "1.1", version_of("moving"), "install ok installed 1.1",
         before="moving=1.0", drift="apt-get -qq -y install --allow-downgrades moving=1.0"),
    Case("glob", '  - package: stuck\n    version: "1.*"\n    hold: true', "hold", "apt-mark showhold stuck; " + version_of("stuck"),
         "stuck\nhold ok installed 1.0", drift="apt-mark -qq unhold stuck"),
    Case("latest", "  - package: newest\n    ensure: latest", "package:newest", version_of("newest"), "install ok installed 1.10",
         before="newest=1.9", drift="apt-get -qq -y install --allow-downgrades newest=1.9"),
    Case("downgrade", '  - package: back\n    version: "1.0"\n    allow_downgrade: true\n    hold: true', "1.0",
         version_of("back"), "hold ok installed 1.0", before="back=2.0",
         drift="apt-mark -qq unhold back; apt-get -qq -y install back=2.0; apt-mark -qq hold back"),
    Case("unheld", "  - package: loose\n    hold: false", "hold", version_of("loose"), "install ok installed 1.0",
         before="loose", drift="apt-mark -qq hold loose"),
    Case("recommends", "  - package: frugal\n    install_recommends: false", "package:frugal",
         version_of("frugal") + "; dpkg -l extra 2>/dev/null | grep -c ^ii || true", "install ok installed 1.00",
         drift="apt-get -qq -y purge frugal"),
    Case("manual", "  - package: dragged", "marked", "apt-mark showmanual dragged", "dragged", before="dragged",
         drift="apt-mark -qq auto dragged"),
    Case("conffile kept", '  - package: kept\n    version: "2.0"', "2.0", version_of("kept") + "; cat /etc/kept.conf",
         "install ok installed 2.0edited", before="kept=1.0",
         drift="apt-get -qq -y install --allow-downgrades -o Dpkg::Options::=--force-confold kept=1.0; echo edited > /etc/kept.conf"),
    Case("conffile replaced", '  - package: new\n    version: "2.0"\n    config_files: replace', "2.0",
         version_of("new") + "; cat /etc/new.conf", "install ok installed 2.0new 2.0", before="new=1.0",
         drift="apt-get -qq -y install --allow-downgrades -o Dpkg::Options::=--force-confold new=1.0; echo edited > /etc/new.conf"),
    Case("debconf", "  - package: asking\n    debconf: {asking/town: string Delft}", "package:asking", "cat /etc/town",
         "Delft", drift="apt-get -qq -y purge asking; rm /etc/town"),
    Case("range", '  - package: within\n    version: ">=1.0 <2.0"', "package:within", version_of("within"),
         "install ok installed 1:1.9", before="within=1.0~rc1",
         drift="apt-get -qq -y install --allow-downgrades within=1.0~rc1"),
    Case("only upgraded", '  - package: followed\n    version: ">=2"\n    only_upgrade: true', "package:followed",
         version_of("followed"), "install ok installed 2.0", before="followed=1.0",
         drift="apt-get -qq -y install --allow-downgrades followed=1.0"),
    Case("release", "  - package: aside\n    repository: backports", "package:aside", version_of("aside"),
         "install ok installed 1.0", drift="apt-get -qq -y purge aside"),
    Case("file", "  - package: local\n    version: 3.0-1\n    source: local.deb", "package:local", version_of("local"),
         "install ok installed 3.0-1", drift="apt-get -qq -y purge local"),
    Case("url", '  - package: remote\n    version: "4.0"\n    source: {url}\n    checksum: {checksum}', "package:remote",
         version_of("remote"), "install ok installed 4.0", drift="apt-get -qq -y purge remote"),
)  # fmt: skip
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def archive(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive of its own for the host, which knows no other and has some of its packages already."""
    made = Archive(tmp_path_factory.mktemp("archive"))
    made.add(*PACKAGES)
    side = Archive(tmp_path_factory.mktemp("side"), suite="backports")
    side.add(Deb("aside", "1.0"))
    shutil.copytree(side.directory, made.directory / "side")
    (made.directory / "side.asc").write_text(side.key)
    with only_archive(machine, made):
        machine.write("/root/key.asc", made.key)
        line = f"deb [signed-by=/root/key.asc] http://127.0.0.1:{PORT}/ ./"
        machine.shell(f"chmod 755 /root; echo '{line}' > /etc/apt/sources.list.d/old.list; apt-get -qq update")
        before = " ".join(case.before for case in CASES if case.before)
        machine.shell(f"DEBIAN_FRONTEND=noninteractive apt-get -qq -y install {before}")
        machine.shell("apt-mark -qq auto dragged; apt-mark -qq hold loose; rm /etc/apt/sources.list.d/old.list")
        machine.shell("echo edited > /etc/kept.conf; echo edited > /etc/new.conf")
        yield made


@pytest.fixture(scope="module")
def wanted(fleet: Fleet, archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> str:
    """All cases in one catalog, with what they need in the repository."""
    elsewhere = Archive(tmp_path_factory.mktemp("elsewhere"))
    elsewhere.add(Deb("local", "3.0-1"), Deb("remote", "4.0"))
    remote = archive.directory / "downloads" / "remote.deb"
    remote.parent.mkdir()
    remote.write_bytes(elsewhere.path_of("remote", "4.0").read_bytes())
    digest = subprocess.run(["sha256sum", remote], check=True, capture_output=True, text=True).stdout.split()[0]
    url = f"http://127.0.0.1:{PORT}/downloads/remote.deb"
    texts = "\n".join(
        case.resource.replace("{url}", url).replace("{checksum}", digest) for case in CASES if case.resource
    )
    local = elsewhere.path_of("local", "3.0-1").read_bytes()
    side = (archive.directory / "side.asc").read_text()
    fleet.repository.commit({"files/side.asc": side}, "a key")
    fleet.repository.commit({"files/archive.asc": archive.key, "files/local.deb": local}, "files")
    return REPOSITORY + texts + "\n"


@pytest.fixture(scope="module")
def planned(fleet: Fleet, wanted: str) -> str:
    fleet.hold(wanted)
    plan = fleet.plan()
    assert plan.returncode == 2, plan.stderr
    return plan.stdout


@pytest.fixture(scope="module")
def applied(fleet: Fleet, planned: str) -> str:
    return said(fleet.apply())


def said(ended: subprocess.CompletedProcess[str]) -> str:
    return f"{ended.returncode}\n{ended.stdout}{ended.stderr}"


@pytest.fixture(scope="module")
def repaired(fleet: Fleet, applied: str) -> tuple[str, str]:
    """Everything broken by hand, what the plan said of that, and what the repair said."""
    fleet.host.shell("export DEBIAN_FRONTEND=noninteractive\n" + "\n".join(case.drift for case in CASES))
    plan = fleet.plan()
    return plan.stdout, said(fleet.apply())


def transactions(host: Machine) -> str:
    return host.shell(
        "cat /var/log/dpkg.log | wc -l; ls -l --time-style=full-iso /var/lib/apt/extended_states /etc/apt/sources.list.d"
    )


@cases
def test_the_plan_shows_it(planned: str, case: Case) -> None:
    assert case.plan in planned


@cases
def test_apply_does_it(fleet: Fleet, applied: str, case: Case) -> None:
    assert fleet.host.shell(case.judge).strip() == case.verdict, applied


def test_nothing_failed(applied: str) -> None:
    assert applied.startswith("0\n"), applied


def test_a_second_apply_does_nothing_and_the_plan_is_empty(fleet: Fleet, applied: str) -> None:
    before = transactions(fleet.host)
    assert fleet.apply().returncode == 0
    assert transactions(fleet.host) == before
    assert fleet.plan().returncode == 0


def test_answers_that_come_too_late_are_said_once(fleet: Fleet, applied: str, wanted: str) -> None:
    fleet.hold(wanted.replace("string Delft", "string Paris"))
    said = fleet.apply().stderr
    assert "notice: package:asking: it is installed already, so its answers in `debconf` were not given" in said
    assert "notice: package:asking" not in fleet.apply().stderr
    assert fleet.host.shell("cat /etc/town").strip() == "Delft"
    fleet.hold(wanted)
    fleet.apply()


@cases
def test_what_an_admin_broke_is_shown_and_comes_back(fleet: Fleet, repaired: tuple[str, str], case: Case) -> None:
    plan, applied = repaired
    assert case.plan in plan
    assert fleet.host.shell(case.judge).strip() == case.verdict, applied
