"""Reading by path: a commit and a directory show the same, and nothing leads out of either."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import FileMode

from agent.errors import TreeError
from agent.source import Remote, Source, Tree, WorkingTree

Links = dict[str, str]
FILES = {
    "fleet.yaml": b"format: 1\n",
    "roles/web/files/a": b"\xff\0",
    "roles/web/role.yaml": b"{}",
    "run": b"#!/bin/sh\n",
}


def from_directory(directory: Path, links: Links) -> Tree:
    for name, content in FILES.items():
        path = directory / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (directory / "tree/run").chmod(0o755)
    for name, target in links.items():
        (directory / "tree" / name).symlink_to(target)
    return WorkingTree(str(directory / "tree"))


def from_commit(directory: Path, links: Links) -> Tree:
    repository = pygit2.init_repository(str(directory / "fleet.git"), bare=True)
    index = pygit2.Index()
    for name, content in FILES.items():
        mode = FileMode.BLOB_EXECUTABLE if name == "run" else FileMode.BLOB
        index.add(pygit2.IndexEntry(name, repository.create_blob(content), mode))
    for name, target in links.items():
        index.add(pygit2.IndexEntry(name, repository.create_blob(os.fsencode(target)), FileMode.LINK))
    person = pygit2.Signature("Operations", "ops@example.com", 1_700_000_000, 0)
    tree = index.write_tree(repository)
    repository.create_commit("refs/heads/main", person, person, "first\n\nmore", tree, [])
    return Source(Remote(str(directory / "fleet.git")), str(directory / "state.git")).fetch(None)


Make = Callable[[Path, Links], Tree]


@pytest.fixture(params=[from_directory, from_commit], ids=["directory", "commit"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def test_files_folders_and_what_is_not_there(make: Make, tmp_path: Path) -> None:
    tree = make(tmp_path, {})
    assert tree.read("fleet.yaml") == b"format: 1\n"
    assert tree.read("roles/web/files/a") == b"\xff\0"
    assert tree.names("") == ["fleet.yaml", "roles", "run"]
    assert tree.names("roles/web") == ["files", "role.yaml"]
    assert (tree.names("none"), tree.names("fleet.yaml")) == ([], [])
    assert tree.entry("none") is None
    assert tree.entry("fleet.yaml/none") is None
    assert tree.entry("roles/web/none/a") is None


def test_an_entry_says_what_it_is_and_its_id_gives_the_bytes(make: Make, tmp_path: Path) -> None:
    tree = make(tmp_path, {})
    file, folder, program = tree.entry("fleet.yaml"), tree.entry("roles"), tree.entry("run")
    assert file is not None
    assert folder is not None
    assert program is not None
    assert (file.kind, folder.kind) == ("file", "directory")
    assert (file.executable, program.executable) == (False, True)
    assert tree.blob(file.id) == b"format: 1\n"


def test_links_inside_are_followed(make: Make, tmp_path: Path) -> None:
    links = {"roles/other": "web", "motd": "roles/other/files/a", "roles/web/up": "../../fleet.yaml", "here": "."}
    tree = make(tmp_path, links)
    assert tree.read("roles/other/files/a") == b"\xff\0"
    assert tree.read("motd") == b"\xff\0"
    assert tree.read("roles/other/up") == b"format: 1\n"
    assert tree.read("here/here/fleet.yaml") == b"format: 1\n"
    assert tree.names("roles/other") == ["files", "role.yaml", "up"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/passwd", "goes through the link bad to /etc/passwd, out of the repository; remove the link"),
        ("../../etc/passwd", "goes through a link that leads out of the repository; remove the link"),
        ("roles/../../fleet.yaml", "goes through a link that leads out of the repository; remove the link"),
        ("bad", "goes through more than 20 links; does a link lead back to itself?"),
        ("bad/bad", "goes through more than 20 links; does a link lead back to itself?"),
    ],
)
@pytest.mark.parametrize("path", ["bad", "bad/x"])
def test_a_link_that_leads_out_or_in_circles_is_refused(
    make: Make, tmp_path: Path, target: str, message: str, path: str
) -> None:
    tree = make(tmp_path, {"bad": target})
    for ask in (tree.entry, tree.read, tree.names):
        with pytest.raises(TreeError) as caught:
            ask(path)
        assert str(caught.value) == f"{path} {message}"


def test_a_link_to_nothing_is_as_good_as_none(make: Make, tmp_path: Path) -> None:
    assert make(tmp_path, {"gone": "none"}).entry("gone") is None


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "roles/../../x", ".."])
def test_a_path_that_leaves_is_refused(make: Make, tmp_path: Path, path: str) -> None:
    with pytest.raises(TreeError, match="must be a path inside the repository"):
        make(tmp_path, {}).entry(path)


def test_a_file_over_its_limit_is_not_read(make: Make, tmp_path: Path) -> None:
    tree = make(tmp_path, {})
    assert len(tree.read("fleet.yaml", 10)) == 10
    with pytest.raises(TreeError, match=r"fleet\.yaml has 10 bytes, more than the 9 allowed here"):
        tree.read("fleet.yaml", 9)


def test_what_is_no_file_is_not_read(make: Make, tmp_path: Path) -> None:
    tree = make(tmp_path, {})
    with pytest.raises(TreeError, match="roles is a directory, not a file"):
        tree.read("roles")
    with pytest.raises(TreeError, match=r"none is not in .*; check the name, and that it is committed"):
        tree.read("none")


# What only a directory can hold


def test_the_id_of_a_folder_changes_with_anything_in_it(tmp_path: Path) -> None:
    before = from_directory(tmp_path, {}).entry("roles")
    assert WorkingTree(str(tmp_path / "tree")).entry("roles") == before
    (tmp_path / "tree/roles/web/files/a").write_bytes(b"other")
    assert WorkingTree(str(tmp_path / "tree")).entry("roles") != before


def test_gits_own_folder_is_not_there(tmp_path: Path) -> None:
    from_directory(tmp_path, {})
    (tmp_path / "tree/.git").mkdir()
    (tmp_path / "tree/.git/config").write_text("secret")
    tree = WorkingTree(str(tmp_path / "tree"))
    assert tree.entry(".git/config") is None
    assert ".git" not in tree.names("")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    from_directory(tmp_path, {})
    os.mkfifo(tmp_path / "tree/pipe")
    with pytest.raises(TreeError, match="pipe is neither a file, a directory nor a link"):
        WorkingTree(str(tmp_path / "tree")).entry("pipe")


def test_a_file_of_any_size_is_not_read_whole_to_know_that_it_is_too_large(tmp_path: Path) -> None:
    from_directory(tmp_path, {})
    with open(tmp_path / "tree/huge", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TreeError, match=r"huge has 1,099,511,627,776 bytes, more than the 4,194,304 allowed here"):
        WorkingTree(str(tmp_path / "tree")).read("huge")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="none is not a directory; give the directory of a checkout"):
        WorkingTree(str(tmp_path / "none"))
