"""What a package may be told beyond its version: holds, downgrades, options of transactions, answers, files."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.api import Change, Completed, Content, Unsupported
from modules.fields import Folder, Lookup
from modules.package import Package, _answers
from tests.unit.convergence import difference, text
from tests.unit.fake_apt import FakeApt, Release
from tests.unit.fake_host import FakeHost


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def apt(host: FakeHost) -> FakeApt:
    return FakeApt(host)


def apply(host: FakeHost, *packages: Package) -> list[str]:
    """Apply as the agent does; what each said, empty when it is in sync afterwards."""
    drifting = [(package, drift) for package in packages if (drift := difference(package, package.observe(host)))]
    said = [str(error or "") for error in Package.apply_all(host, drifting)]
    for (package, _), error in zip(drifting, said, strict=True):
        assert error or difference(package, package.observe(host)) == {}
    return said


def commands(host: FakeHost, words: str) -> list[str]:
    return [line for line in host.history if words in line and "apt-get -s" not in line]


class Texts:
    """A repository that has no files."""

    def text(self, text_: str) -> Content:
        return text(text_)

    source = template = text

    def folder(self, name: str) -> Folder:
        raise AssertionError(name)


TEXTS: Lookup = Texts()


@pytest.mark.parametrize(
    ("package", "problem"),
    [
        (Package(name="a", ensure="absent", hold=True), "`hold` has no meaning with `ensure: absent`"),
        (Package(name="a", ensure="purged", install_recommends=True), "`install_recommends` has no meaning"),
        (Package(name="a", allow_downgrade=True), "`allow_downgrade` needs a `version`"),
        (Package(name="a", source=text("deb")), "`source` needs `version`"),
        (Package(name="a", source=text("deb"), version="1.*"), "`source` needs `version`"),
        (
            Package(name="a", source=Content("", -1, url="https://example.org/a.deb"), version="1"),
            "checksum is missing",
        ),
        (Package(name="a", checksum="0" * 64), "checksum needs a source"),
    ],
)
def test_what_contradicts_itself_is_refused(package: Package, problem: str) -> None:
    assert any(problem in found for found in package.problems()), package.problems()


def test_a_hold_is_set_and_taken_away_without_a_transaction(host: FakeHost, apt: FakeApt) -> None:
    apt.put("a", "1")
    held = Package(name="a", hold=True)
    assert difference(held, held.observe(host)) == {"hold": Change(before=False, after=True)}
    assert apply(host, held) == [""]
    assert apt.has["a"].wish == "hold"
    assert apply(host, Package(name="a", hold=False)) == [""]
    assert apt.has["a"].wish == "install"
    assert not commands(host, "apt-get")
    assert apply(host, Package(name="a")) == []


def test_what_is_held_by_git_follows_git(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "3", "2", "1")
    apt.put("a", "1", wish="hold")
    assert apply(host, Package(name="a", version="2", hold=True)) == [""]
    assert (apt.status_of("a"), apt.has["a"].wish) == (("installed", "2"), "hold")
    order = [line for line in host.history if line.startswith("apt-mark") or "apt-get -q -y" in line]
    assert [line.split()[1] for line in order] == ["unhold", "-q", "hold"]
    assert apply(host, Package(name="a", ensure="latest", hold=True)) == [""]
    assert (apt.status_of("a"), apt.has["a"].wish) == (("installed", "3"), "hold")


def test_a_hold_is_put_back_when_the_change_fails(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", Release("2", depends=("nowhere",)), "1")
    apt.put("a", "1", wish="hold")
    [said] = apply(host, Package(name="a", version="2", hold=True))
    assert "nowhere" in said
    assert (apt.status_of("a"), apt.has["a"].wish) == (("installed", "1"), "hold")


def test_a_downgrade_is_done_when_it_is_allowed(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("a", "2", "1")
    apt.put("a", "2")
    assert apply(host, Package(name="a", version="1", allow_downgrade=True)) == [""]
    assert apt.status_of("a") == ("installed", "1")
    assert "--allow-downgrades" in commands(host, "apt-get -q -y")[0]
    assert apply(host, Package(name="a", version="2", allow_downgrade=True)) == [""]
    assert "--allow-downgrades" not in commands(host, "apt-get -q -y")[1]


def test_packages_with_other_options_have_a_transaction_of_their_own(host: FakeHost, apt: FakeApt) -> None:
    for name in "abcd":
        apt.offer(name, "1")
    frugal = [Package(name=name, install_recommends=False) for name in "ab"]
    assert apply(host, *frugal, Package(name="c", config_files="replace"), Package(name="d")) == [""] * 4
    lines = commands(host, "apt-get -q -y")
    assert [line.partition("install ")[2] for line in lines] == ["a b", "c", "d"]
    assert "--no-install-recommends" in lines[0]
    assert "--force-confnew" in lines[1]
    assert "--force-confdef" not in lines[1]
    assert "recommends" not in lines[2]


def test_what_came_along_and_is_declared_is_marked_as_wanted(host: FakeHost, apt: FakeApt) -> None:
    for name in ("a", "b", "c"):
        apt.put(name, "1", automatic=True)
    wanted = [Package(name="a"), Package(name="b")]
    assert difference(wanted[0], wanted[0].observe(host)) == {"marked": Change("automatic", "manual")}
    assert apply(host, *wanted) == ["", ""]
    assert commands(host, "apt-mark") == ["apt-mark manual a b"]
    assert apt.has["c"].automatic
    assert not commands(host, "apt-get")


def test_answers_go_to_debconf_by_its_input_before_anything_is_installed(host: FakeHost, apt: FakeApt) -> None:
    host.programs["debconf-set-selections"] = lambda _words: Completed(0, "", "")
    apt.offer("a", "1")
    answers = _answers({"a/password": "password s3cret", "a/town": "string Delft"}, TEXTS)
    assert apply(host, Package(name="a", debconf=answers)) == [""]
    assert host.inputs == ["a a/password password s3cret\na a/town string Delft\n"]
    assert not any("s3cret" in line for line in host.history)
    assert host.history.index("debconf-set-selections") < next(
        at for at, line in enumerate(host.history) if "apt-get -q -y" in line
    )


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"town": "string x"}, "not the name of a question"),
        ({"a/town": "Delft"}, "its type first"),
        ({"a/town": "string x\nb c/d string y"}, "in one line"),
        ("a/town", "must be a mapping"),
    ],
)
def test_what_is_no_answer_is_refused(answers: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        _answers(answers, TEXTS)


def test_what_exists_for_another_architecture_only_is_not_there(host: FakeHost, apt: FakeApt) -> None:
    table = "  Installed: (none)\n  Candidate: 1\n  Version table:\n     1 500\n"
    host.programs["apt-cache"] = lambda _words: Completed(0, f"wine32:i386:\n{table}", "")
    assert Package(name="wine32").observe(host)["archive"] == "no such package"


def test_a_file_is_installed_when_it_holds_what_git_says(host: FakeHost, apt: FakeApt) -> None:
    found = Completed(0, "Package: a\nVersion: 1\n", "")
    host.programs["dpkg-deb"] = lambda _words: found
    wish = Package(name="a", version="1", source=text("deb"))
    assert difference(wish, wish.observe(host))["version"] == Change(None, "1")
    assert not commands(host, "apt-cache"), "the archives are not asked"
    wrong = Package(name="a", version="2", source=text("deb"))
    assert "the file holds a 1, not a 2; correct `version`" in apply(host, wrong)[0]
    apt.lists["a.deb"] = [Release("1")]
    wish.apply(host, {"ensure": Change("absent", "present")})
    assert commands(host, "apt-get -q -y")[0].endswith("/a.deb")
    assert not Path(commands(host, "apt-get -q -y")[0].rpartition(" ")[2]).exists(), "it was there only meanwhile"


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("/run/ostree-booted", "", "booted from an image"),
        (
            "/proc/self/mounts",
            "/dev/vda / ext4 rw 0 0\n/dev/vdb /usr erofs ro,relatime 0 0\n",
            "/usr is mounted read-only",
        ),
        ("/proc/self/mounts", "/dev/vda / erofs ro 0 0\n", "/usr is mounted read-only"),
    ],
)
def test_packages_of_an_image_are_as_they_are(host: FakeHost, apt: FakeApt, path: str, content: str, said: str) -> None:
    apt.put("there", "1", automatic=True)
    apt.offer("missing", "1")
    host.files.put(path, content)
    assert difference(Package(name="there"), Package(name="there").observe(host)) == {}
    with pytest.raises(Unsupported, match=said):
        Package(name="missing").observe(host)
    with pytest.raises(Unsupported, match=said):
        Package(name="missing").apply(host, {"ensure": Change("absent", "present")})


def test_a_writable_usr_is_no_image(host: FakeHost, apt: FakeApt) -> None:
    apt.offer("missing", "1")
    host.files.put("/proc/self/mounts", "/dev/vda / ext4 ro 0 0\n/dev/vdb /usr ext4 rw 0 0\ntmpfs /srv tmpfs ro 0 0\n")
    assert apply(host, Package(name="missing")) == [""]
