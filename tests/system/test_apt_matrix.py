"""What is found of a package by what is asked for it, each cell made for real on hosts with apt and judged by dpkg."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.hosts.archive import PORT, Archive, Deb, only_archive
from tests.hosts.machine import Machine
from tests.system.conftest import Fleet

REPOSITORY = f"""\
  - apt_repository: tests
    uris: ["http://127.0.0.1:{PORT}/"]
    suites: ["./"]
    signed_by: archive.asc
"""
ASKS = {
    "present": "",
    "version": '    version: "{version}"\n',
    "latest": "    ensure: latest\n",
    "absent": "    ensure: absent\n",
    "purged": "    ensure: purged\n",
    "held": "    hold: true\n",
}
OK, DONE, FAIL = "in_sync", "converged", "failed"
INSTALLED = dict.fromkeys(("present", "version", "latest"), (DONE, "ii  2.0"))
GOES = {"absent": (DONE, "rc  2.0"), "purged": (DONE, "")}
HELD = {"held": (DONE, "hi  2.0")}
REPAIRED = {**INSTALLED, **GOES, **HELD}


@dataclass(frozen=True)
class Row:
    """One state of a package: how it comes about for `{}`, and for each ask the result and dpkg's word afterwards."""

    name: str
    setup: str
    cells: Mapping[str, tuple[str, str]]
    then: str = "true"  # once apt is no longer run, which would mend it
    version: str = "2.0"  # that is asked for
    said: str = ""  # by each that fails


INSTALL = "apt-get -qq -y install {}"
DOWNLOAD = "cd /root; apt-get -qq download {}"
MARK = "sed -i '/^Package: {}$/,/^Status:/s/ok installed$/MARK/' /var/lib/dpkg/status"
ROWS = (
    Row("not-installed", "true", {**INSTALLED, **HELD, "absent": (OK, ""), "purged": (OK, "")}),
    Row("older", INSTALL + "=1.0", {
        "present": (OK, "ii  1.0"), "version": (DONE, "ii  2.0"), "latest": (DONE, "ii  2.0"),
        "absent": (DONE, "rc  1.0"), "purged": (DONE, ""), "held": (DONE, "hi  1.0"),
    }),
    Row("newer", INSTALL, {
        "present": (OK, "ii  2.0"), "version": (FAIL, "ii  2.0"), "latest": (OK, "ii  2.0"), **GOES, **HELD,
    }, version="1.0", said="`allow_downgrade: true` is needed"),
    Row("same", INSTALL + "; apt-mark -qq auto {}", REPAIRED),
    Row("config-files", INSTALL + "; apt-get -qq -y remove {}", {**REPAIRED, "absent": (OK, "rc  2.0")}),
    Row("unpacked", DOWNLOAD, REPAIRED, then="dpkg --unpack /root/{}_2.0_all.deb"),
    Row("half-configured", DOWNLOAD, REPAIRED, then="touch /run/fail; dpkg -i /root/{}_2.0_all.deb || true; rm /run/fail"),
    Row("half-installed", INSTALL, REPAIRED, then=MARK.replace("MARK", "ok half-installed")),
    Row("triggers-pending", INSTALL + "; " + DOWNLOAD.replace("{}", "puller-{}"), {
        **dict.fromkeys(("present", "version", "latest"), (OK, "ii  2.0")), **GOES, **HELD,
    }, then="dpkg --no-triggers -i /root/puller-{}_2.0_all.deb"),
    Row("held by an admin", INSTALL + "=1.0; apt-mark -qq hold {}", {
        "present": (OK, "hi  1.0"), "version": (FAIL, "hi  1.0"), "latest": (OK, "hi  1.0"),
        "absent": (FAIL, "hi  1.0"), "purged": (FAIL, "hi  1.0"), "held": (OK, "hi  1.0"),
    }, said="`hold: false` here lets it go"),
    Row("virtual", "apt-get -qq -y install provider-{}", {
        "present": (OK, "un"), **dict.fromkeys(("version", "latest", "absent", "purged", "held"), (FAIL, "un")),
    }, said="virtual package"),
)  # fmt: skip
LAST = Row(
    "reinst-required",
    INSTALL,
    dict.fromkeys(ASKS, (FAIL, "iHR 2.0")),
    then=MARK.replace("MARK", "reinstreq half-installed"),
    said="must be installed again; do that by hand: apt-get install --reinstall",
)


def name_of(row: Row, ask: str) -> str:
    return f"{row.name.replace(' ', '-')}-{ask}"


def packages() -> Iterator[Deb]:
    """Both versions of all, each with a configuration file, a script that can be made to fail, and a trigger."""
    script = "[ ! -e /run/fail ]"
    for row in (*ROWS, LAST):
        for name in (name_of(row, ask) for ask in ASKS):
            if row.name == "virtual":
                yield Deb(f"provider-{name}", "2.0", provides=name)
                continue
            control = {"triggers": f"interest /srv/{name}\n"}
            for version in ("1.0", "2.0"):
                yield Deb(name, version, postinst=script, control=control, conffiles={f"/etc/{name}": f"{version}\n"})
            if row.name == "triggers-pending":
                yield Deb(f"puller-{name}", "2.0", files={f"/srv/{name}/x": "x\n"})


@pytest.fixture(scope="module")
def archive(machine: Machine, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive with all of them, which the host follows."""
    made = Archive(tmp_path_factory.mktemp("archive"))
    made.add(*packages())
    fleet.repository.commit({"files/archive.asc": made.key}, "key")
    with only_archive(machine, made):
        fleet.hold(REPOSITORY)
        assert fleet.apply().returncode == 0
        yield made


def prepared(host: Machine, *rows: Row) -> None:
    """Bring every row about for each ask."""
    cells = [(row, name_of(row, ask)) for row in rows for ask in ASKS]
    lines = [row.setup.replace("{}", name) for row, name in cells] + [
        row.then.replace("{}", name) for row, name in cells
    ]
    host.shell(
        "export DEBIAN_FRONTEND=noninteractive; set -e\n" + "\n".join(f"( {line} )" for line in lines), timeout=300
    )


def applied(fleet: Fleet, *rows: Row) -> Mapping[str, tuple[str, str]]:
    """Ask for every cell in one pass; the result and the message of each resource that was not in sync."""
    texts = (
        f"  - package: {name_of(row, ask)}\n{ASKS[ask].format(version=row.version)}" for row in rows for ask in ASKS
    )
    fleet.hold(REPOSITORY + "".join(texts))
    said = json.loads(fleet.apply("--json").stdout)
    return {one["id"].removeprefix("package:"): (one["result"], one["message"]) for one in said["outcomes"]}


@pytest.fixture(scope="module")
def outcomes(fleet: Fleet, archive: Archive) -> Mapping[str, tuple[str, str]]:
    """What one pass made of every cell."""
    prepared(fleet.host, *ROWS)
    return applied(fleet, *ROWS)


def judge(host: Machine, outcomes: Mapping[str, tuple[str, str]], row: Row, ask: str) -> None:
    result, message = outcomes.get(name_of(row, ask), (OK, ""))
    asked = ("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", name_of(row, ask))
    word = host.run(*asked, check=False).stdout.strip()
    assert (result, word) == row.cells[ask], message
    assert result != FAIL or row.said in message


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_cell_comes_to_what_the_table_says(
    fleet: Fleet, outcomes: Mapping[str, tuple[str, str]], row: Row, ask: str
) -> None:
    judge(fleet.host, outcomes, row, ask)


def test_what_came_along_is_wanted_by_name_where_it_is_to_be_present(
    fleet: Fleet, outcomes: Mapping[str, tuple[str, str]]
) -> None:
    manual = fleet.host.run("apt-mark", "showmanual").stdout.split()
    assert {f"same-{ask}" for ask in ("present", "version", "latest", "held")} <= set(manual)


def test_what_an_admin_holds_back_from_the_latest_is_said(
    fleet: Fleet, outcomes: Mapping[str, tuple[str, str]]
) -> None:
    again = fleet.apply()
    assert "notice: package:held-by-an-admin-latest: it is held at 1.0, by somebody else; " in again.stderr


def test_what_dpkg_calls_broken_is_left_to_a_person_whatever_is_asked(
    fleet: Fleet, outcomes: Mapping[str, tuple[str, str]]
) -> None:
    prepared(fleet.host, LAST)
    found = applied(fleet, LAST)
    for ask in ASKS:
        judge(fleet.host, found, LAST, ask)
