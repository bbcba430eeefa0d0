"""Repositories of apt and dnf: what may be written in Git, and the files that come of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modules.api import Change, Resource, ResourceError, applied
from modules.apt_repository import AptRepository
from modules.repository_files import _key
from modules.rpm_repository import RpmRepository
from tests.unit.convergence import converge, drift_of, text
from tests.unit.fake_apt import FakeApt
from tests.unit.fake_host import FakeHost
from tests.unit.test_package_options import TEXTS

ARMORED = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n-----END PGP PUBLIC KEY BLOCK-----\n"
APT = AptRepository(
    name="shop",
    uris=("https://deb.example.org/debian",),
    suites=("bookworm", "bookworm-updates"),
    components=("main",),
    architectures=("amd64",),
    signed_by={"asc": text(ARMORED)},
    options={"Check-Valid-Until": "no"},
)
RPM = RpmRepository(
    name="shop",
    baseurl=("https://rpm.example.org/9",),
    key={"asc": text(ARMORED)},
    priority=10,
    exclude=("kernel*",),
    options={"proxy": "http://proxy.example.org:3128"},
)
APT_PATH, RPM_PATH = "/etc/apt/sources.list.d/shop.sources", "/etc/yum.repos.d/shop.repo"
BOTH = pytest.mark.parametrize(
    ("repository", "path", "key"),
    [(APT, APT_PATH, "/etc/apt/keyrings/shop.asc"), (RPM, RPM_PATH, "/etc/pki/rpm-gpg/shop.asc")],
    ids=["apt", "rpm"],
)


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@BOTH
def test_it_is_written_with_its_key_and_kept(host: FakeHost, repository: Resource, path: str, key: str) -> None:
    assert repository.problems() == []
    assert drift_of(repository, host)["ensure"] == Change("absent", "present")
    converge(repository, host)
    assert host.files.read(key).decode() == ARMORED
    for each in (path, key):
        found = host.files.lstat(each)
        assert found is not None
        assert (found.mode, found.uid, found.gid) == (0o644, 0, 0)
    assert {f"path:{path}", f"path:{key}"} < set(repository.provides())
    assert list(repository.host_refreshes()) == ["package-index"]


def test_apt_reads_it_as_deb822(host: FakeHost) -> None:
    converge(APT, host)
    assert host.files.read(APT_PATH).decode() == (
        "Types: deb\nURIs: https://deb.example.org/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        "Architectures: amd64\nSigned-By: /etc/apt/keyrings/shop.asc\nCheck-Valid-Until: no\n"
    )


def test_dnf_reads_it_and_checks_signatures(host: FakeHost) -> None:
    converge(RPM, host)
    assert host.files.read(RPM_PATH).decode() == (
        "[shop]\nname=shop\nbaseurl=https://rpm.example.org/9\nenabled=1\ngpgcheck=1\n"
        "gpgkey=file:///etc/pki/rpm-gpg/shop.asc\npriority=10\nexcludepkgs=kernel*\nproxy=http://proxy.example.org:3128\n"
    )


def test_what_apt_cannot_fetch_is_written_and_fails_in_apts_words(host: FakeHost) -> None:
    apt = FakeApt(host)
    host.files.put("/usr/bin/apt-get")
    apt.reachable = False
    error = applied(APT, host, {"ensure": Change("absent", "present")})
    assert str(error).startswith("it is written, and apt cannot use it: E: Failed to fetch https://archive.example.com")
    assert host.count(f"-o Dir::Etc::SourceList={APT_PATH} -o Dir::Etc::SourceParts=- ") == 1
    assert drift_of(APT, host) == {}
    disabled = replace(APT, enabled=False)
    assert applied(disabled, host, {"enabled": Change("", "no")}) is None, "apt is not asked for what it does not use"


@BOTH
def test_drift_is_shown_by_field_and_closed(host: FakeHost, repository: Resource, path: str, key: str) -> None:
    converge(repository, host)
    good = host.files.read(path)
    host.files.put(
        path,
        good.replace(b"example.org", b"evil.example") + (b"Trusted: yes\n" if repository is APT else b"trusted=yes\n"),
    )
    shown = set(drift_of(repository, host))
    assert shown & {"uris", "baseurl"}
    assert "trusted" in shown
    converge(repository, host)
    assert host.files.read(path) == good
    host.files.put(key, "another key")
    assert set(drift_of(repository, host)) == {"key"}
    converge(repository, host)
    host.files.set_mode(key, 0o666)
    assert drift_of(repository, host) == {"files": Change("0666 root:root", "0644 root:root")}
    converge(repository, host)
    host.files.set_owner(path, 7, 7)
    assert drift_of(repository, host) == {"files": Change("0644 7:7", "0644 root:root")}
    converge(repository, host)


@BOTH
def test_what_leaves_git_takes_its_own_key_with_it(host: FakeHost, repository: Resource, path: str, key: str) -> None:
    prior = repository.observe(host)
    converge(repository, host)
    undone = repository.undo(prior)
    assert undone is not None
    converge(undone, host)
    assert host.files.lstat(path) is None
    assert host.files.lstat(key) is None
    assert repository.undo({"ensure": "present"}) is None


def test_a_key_that_no_repository_names_stays(host: FakeHost) -> None:
    host.files.put("/etc/apt/keyrings/shop.asc", "somebody's")
    host.files.put(APT_PATH, "Types: deb\nSigned-By: /usr/share/keyrings/other.gpg\n")
    converge(AptRepository(name="shop", ensure="absent"), host)
    assert host.files.lstat("/etc/apt/keyrings/shop.asc") is not None


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "a/b"}, "not the name of a file"),
        ({"signed_by": None}, "`signed_by` is missing"),
        ({"trusted": True}, "keep one of them"),
        ({"uris": ()}, "`uris` is missing"),
        ({"uris": ("deb.example.org",)}, "no address"),
        ({"uris": ("https://me:secret@deb.example.org/",)}, "a password in it"),
        ({"suites": ()}, "`suites` is missing"),
        ({"components": ()}, "`components` go with suites"),
        ({"suites": ("./",)}, "`components` go with suites"),
        ({"suites": ("./", "stable")}, "make two repositories"),
        ({"suites": ("a b",)}, "not one word"),
        ({"types": ("rpm",)}, "neither deb nor deb-src"),
        ({"options": {"Trusted": "yes"}}, "has a field of its own: trusted"),
        ({"options": {"A": "b\nTrusted: yes"}}, "not one line"),
    ],
)
def test_what_apt_would_not_take_or_anybody_could_speak_for_is_refused(fields: dict[str, object], problem: str) -> None:
    repository = AptRepository(**{**vars(APT), **fields})
    assert any(problem in found for found in repository.problems()), repository.problems()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "a]b"}, "not the name of a file"),
        ({"key": None}, "`key` or `gpgkey` is missing"),
        ({"baseurl": ()}, "give one of baseurl, metalink, mirrorlist"),
        ({"metalink": "https://example.org/m"}, "give one of"),
        ({"description": "a\ngpgcheck=0"}, "not one line"),
        ({"options": {"gpgcheck": "0"}}, "has a field of its own"),
        ({"gpgkey": ("https://me:secret@example.org/key",)}, "a password in it"),
    ],
)
def test_what_dnf_would_not_take_or_anybody_could_speak_for_is_refused(fields: dict[str, object], problem: str) -> None:
    repository = RpmRepository(**{**vars(RPM), **fields})
    assert any(problem in found for found in repository.problems()), repository.problems()


def test_a_repository_that_nobody_signs_must_be_said_to_be_so() -> None:
    assert AptRepository(**{**vars(APT), "signed_by": None, "trusted": True}).problems() == []
    assert RpmRepository(**{**vars(RPM), "key": None, "gpgcheck": False}).problems() == []


def test_a_key_is_known_by_its_form() -> None:
    assert _key(ARMORED, TEXTS) == {"asc": text(ARMORED)}
    assert _key("/usr/share/keyrings/x.gpg", TEXTS) == {"path": "/usr/share/keyrings/x.gpg"}
    assert list(_key("shop.gpg", TEXTS)) == ["gpg"]
    with pytest.raises(ValueError, match=r"must end in \.asc"):
        _key("shop.key", TEXTS)


@pytest.mark.parametrize(("form", "data"), [("asc", "\x99binary"), ("gpg", ARMORED), ("gpg", ""), ("gpg", "text")])
def test_a_key_of_another_form_is_refused_before_anything_is_written(host: FakeHost, form: str, data: str) -> None:
    repository = AptRepository(**{**vars(APT), "signed_by": {form: text(data)}})
    with pytest.raises(ResourceError, match="name it"):
        converge(repository, host)
    assert host.files.lstat(APT_PATH) is None


def test_a_key_that_the_host_has_comes_first_and_stays(host: FakeHost) -> None:
    repository = AptRepository(**{**vars(APT), "signed_by": {"path": "/usr/share/keyrings/x.gpg"}})
    converge(repository, host)
    assert ("path:/usr/share/keyrings/x.gpg",) in repository.needs()
    assert "in:/etc/apt/keyrings" not in repository.provides()


def test_what_is_no_file_is_left_to_a_person(host: FakeHost) -> None:
    host.files.put(APT_PATH, "/etc/passwd", kind="symlink")
    with pytest.raises(ResourceError, match="is a symlink, not a file"):
        APT.observe(host)
