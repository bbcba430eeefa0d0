"""Labels of SELinux, on a root that has a policy: what the policy says is asked of libselinux's own tools."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.system.disks import ext4
from tests.unit.holding import Holding

CONTEXTS = """
/.*\tsystem_u:object_r:default_t:s0
/etc(/.*)?\tsystem_u:object_r:etc_t:s0
/etc/shadow\t--\tsystem_u:object_r:shadow_t:s0
/srv/web(/.*)?\t-d\tsystem_u:object_r:web_dir_t:s0
/srv/web(/.*)?\t-l\tsystem_u:object_r:web_link_t:s0
/srv/web(/.*)?\t--\tsystem_u:object_r:web_file_t:s0:c1,c2
/srv/none(/.*)?\t<<none>>
"""
ATTRIBUTE = "security.selinux"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with ext4(tmp_path_factory.mktemp("disk")) as at:
        yield at


@pytest.fixture
def held(disk: Path, tmp_path: Path) -> Holding:
    root = disk / tmp_path.name
    policy = root / "etc/selinux/demo/contexts/files"
    policy.mkdir(parents=True)
    (policy / "file_contexts").write_text(CONTEXTS)
    (policy / "file_contexts.local").write_text("/srv/ours(/.*)?\tsystem_u:object_r:ours_t:s0\n")
    (root / "etc/selinux/config").write_text("# which\nSELINUX=permissive\nSELINUXTYPE=demo\n")
    (root / "srv").mkdir()
    return Holding(root, tmp_path / "state", {"files/tree/a/file": "text", "files/tree/b": "text"})


def label(path: Path) -> str:
    return os.getxattr(path, ATTRIBUTE, follow_symlinks=False).decode().rstrip("\0")


def policy_says(held: Holding, path: str) -> str:
    """What matchpathcon(8) answers of a thing of this type at this path."""
    found = held.root / path.lstrip("/")
    form = "lnk_file" if found.is_symlink() else "dir" if found.is_dir() else "file"
    contexts = held.root / "etc/selinux/demo/contexts/files/file_contexts"
    argv = ["matchpathcon", "-n", "-f", str(contexts), "-m", form, path]
    return subprocess.run(argv, check=True, capture_output=True, encoding="utf-8").stdout.strip()


def test_everything_new_is_labelled_as_the_policy_says(held: Holding) -> None:
    held.converged([
        {"directory": "/srv/web", "source": "tree"},
        {"symlink": "/srv/web/link", "target": "b"},
        {"file": "/etc/shadow", "content": "x", "mode": "0600"},
        {"file": "/srv/ours", "content": "x"},
        {"line": "/etc/new", "text": "x", "create": True},
    ])  # fmt: skip
    paths = [
        "/srv/web", "/srv/web/a", "/srv/web/a/file", "/srv/web/b", "/srv/web/link", "/etc/shadow", "/srv/ours", "/etc/new"
    ]  # fmt: skip
    found = {path: label(held.root / path[1:]) for path in paths}
    assert found == {path: policy_says(held, path) for path in paths}
    assert found["/srv/web/link"] == "system_u:object_r:web_link_t:s0"
    assert found["/srv/ours"] == "system_u:object_r:ours_t:s0"


def test_another_content_is_labelled_anew_and_an_edit_keeps_the_label(held: Holding) -> None:
    for name in ("whole", "edited"):
        (held.root / "etc" / name).write_text("old\n")
        os.setxattr(held.root / "etc" / name, ATTRIBUTE, b"u:r:theirs_t:s0\0")
    held.converged([{"file": "/etc/whole", "content": "new"}, {"line": "/etc/edited", "text": "new"}])
    assert label(held.root / "etc/whole") == policy_says(held, "/etc/whole")
    assert label(held.root / "etc/edited") == "u:r:theirs_t:s0"


def test_a_label_that_git_does_not_mention_is_no_drift(held: Holding) -> None:
    wish = [{"file": "/etc/file", "content": "x"}]
    held.converged(wish)
    os.setxattr(held.root / "etc/file", ATTRIBUTE, b"u:r:theirs_t:s0\0")
    assert not held.plan(wish).pending
    assert held.converged([{"file": "/etc/file", "content": "x", "mode": "0600"}]) == ["file:/etc/file"]
    assert label(held.root / "etc/file") == "u:r:theirs_t:s0", "a change of mode is in place"


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        ("own_t", "system_u:object_r:own_t:s0:c1,c2"),
        ("staff_u:staff_r:own_t:s3", "staff_u:staff_r:own_t:s3"),
        ({"type": "own_t", "range": "s0-s0:c0.c1023"}, "system_u:object_r:own_t:s0-s0:c0.c1023"),
        ({"user": "staff_u", "role": "staff_r"}, "staff_u:staff_r:web_file_t:s0:c1,c2"),
        ({}, "system_u:object_r:web_file_t:s0:c1,c2"),
    ],
    ids=str,
)
@pytest.mark.parametrize("new", [True, False])
def test_the_given_parts_are_held_over_those_of_the_policy(
    held: Holding, wish: str | Mapping[str, str], wanted: str, new: bool
) -> None:
    path = held.root / "srv/web"
    if not new:
        path.write_text("text")
    step = held.fourfold(
        [{"file": "/srv/web", "content": "text", "selinux": wish}],
        lambda: _expect(path, wanted),
        lambda: os.setxattr(path, ATTRIBUTE, b"u:r:theirs_t:s0\0"),
    )
    assert (step.drift["selinux"].before, step.drift["selinux"].after) == ("u:r:theirs_t:s0", wanted)


def test_a_directory_and_the_top_have_labels_too(held: Holding) -> None:
    wishes: list[dict[str, Any]] = [{"directory": "/srv/web", "selinux": {}}, {"directory": "/", "selinux": "root_t"}]
    held.fourfold(
        wishes,
        lambda: _expect(held.root / "srv/web", "system_u:object_r:web_dir_t:s0"),
        lambda: os.removexattr(held.root / "srv/web", ATTRIBUTE),
    )
    assert label(held.root) == "system_u:object_r:root_t:s0"


def test_where_the_policy_names_none_only_what_git_says_is_held(held: Holding) -> None:
    held.converged([
        {"directory": "/srv/none"},
        {"file": "/srv/none/a", "content": "", "selinux": {}},
        {"file": "/srv/none/b", "content": "", "selinux": "own_t"},
    ])  # fmt: skip
    assert ATTRIBUTE not in os.listxattr(held.root / "srv/none/a")
    assert label(held.root / "srv/none/b") == "system_u:object_r:own_t:s0"


def test_a_file_system_that_keeps_no_labels_is_left_without_a_word(held: Holding) -> None:
    (held.root / "srv/web").mkdir()
    subprocess.run(["mount", "-t", "ramfs", "none", held.root / "srv/web"], check=True)
    try:
        wish = [{"file": "/srv/web/a", "content": "", "selinux": "own_t"}, {"symlink": "/srv/web/b", "target": "a"}]
        held.converged(wish)
        assert not held.plan(wish).pending
        assert held.notices == []
    finally:
        subprocess.run(["umount", "--lazy", held.root / "srv/web"], check=True)


@pytest.mark.parametrize("config", ["SELINUX=disabled\nSELINUXTYPE=demo\n", None])
def test_a_host_without_selinux_holds_no_labels(held: Holding, config: str | None) -> None:
    path = held.root / "etc/selinux/config"
    path.unlink() if config is None else path.write_text(config)
    wish: list[dict[str, Any]] = [{"file": "/etc/file", "content": "x", "selinux": "own_t"}]
    held.converged(wish)
    assert ATTRIBUTE not in os.listxattr(held.root / "etc/file")
    assert not held.plan(wish).pending


def test_a_policy_that_is_not_there_is_said(held: Holding) -> None:
    (held.root / "etc/selinux/config").write_text("SELINUX=enforcing\nSELINUXTYPE=gone\n")
    (outcome,) = held.apply([{"file": "/etc/file", "content": "x"}])
    assert outcome.result == "failed"
    assert "cannot read the SELinux policy" in outcome.message
    assert "no such file or directory; install it" in outcome.message
    assert not (held.root / "etc/file").exists()


def _expect(path: Path, wanted: str) -> None:
    assert label(path) == wanted
