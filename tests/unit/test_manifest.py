"""What a repository says about one host: groups, roles, the order of resources, and where files are looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.errors import ManifestInvalid
from agent.facts import Facts
from agent.manifest import Manifest, read_manifest
from agent.source import WorkingTree
from modules.api import Content
from tests.unit.fleets import Files, write

FLEET = """format: 1
groups:
  all: {hosts: ["*"]}
  web: {hosts: ["web-*"]}
  big: {hosts: ["*-01"], when: facts.cores > 4}
  arm: {when: facts.arch == 'aarch64'}
vars: {a: fleet, b: fleet, c: fleet, d: fleet, e: "{{ vars.a }}!"}
"""


def read(directory: Path, files: Files, host: str = "web-01", **facts: Any) -> Manifest:
    known = {"cores": 8, "arch": "x86_64", **facts}
    gatherers = {name: (lambda value=value: value) for name, value in known.items()}
    return read_manifest(WorkingTree(str(write(directory, files))), host, Facts(gatherers))


def wrong(directory: Path, files: Files, host: str = "web-01") -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        read(directory, files, host)
    return [str(problem) for problem in caught.value.problems]


def resources(manifest: Manifest) -> list[str]:
    return [declaration.block["file"] for declaration in manifest.declarations]


def declared(*names: str, **more: str) -> str:
    listed = "".join(f"  - file: /{name}\n" for name in names)
    return "".join(f"{key}: {value}\n" for key, value in more.items()) + f"resources:\n{listed}"


# Groups


@pytest.mark.parametrize(
    ("host", "facts", "groups"),
    [
        ("web-01", {}, ("all", "web", "big")),
        ("web-02", {}, ("all", "web")),
        ("web-01", {"cores": 2}, ("all", "web")),
        ("db-01", {"arch": "aarch64"}, ("all", "big", "arm")),
        ("WEB-02", {}, ("all",)),
    ],
)
def test_a_group_takes_hosts_by_name_by_an_expression_or_by_both(
    tmp_path: Path, host: str, facts: dict[str, Any], groups: tuple[str, ...]
) -> None:
    assert read(tmp_path, {"fleet.yaml": FLEET}, host, **facts).groups == groups


def test_a_host_file_alone_is_enough(tmp_path: Path) -> None:
    manifest = read(tmp_path, {"fleet.yaml": "format: 1\n", "hosts/web-01.yml": declared("a")})
    assert (manifest.groups, resources(manifest)) == ((), ["/a"])


def test_a_fact_that_nothing_asks_for_is_not_gathered(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError("gathered")

    write(tmp_path, {"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": declared("a")})
    read_manifest(WorkingTree(str(tmp_path)), "web-01", Facts({"slow": never}))


# Order


def test_groups_come_before_the_host_and_each_after_its_roles(tmp_path: Path) -> None:
    files = {
        "fleet.yaml": FLEET,
        "groups/all.yaml": declared("all", roles="[base]"),
        "groups/web.yaml": declared("web", roles="[nginx, base]"),
        "hosts/web-01.yaml": declared("host", roles="[nginx, app]"),
        "roles/base/role.yaml": declared("base"),
        "roles/nginx/role.yaml": declared("nginx"),
        "roles/app/role.yaml": declared("app"),
        "roles/unused/role.yaml": declared("unused"),
    }
    manifest = read(tmp_path, files)
    assert manifest.roles == ("base", "nginx", "app")
    assert resources(manifest) == ["/base", "/all", "/nginx", "/web", "/app", "/host"]


def test_a_role_is_taken_only_while_its_condition_holds(tmp_path: Path) -> None:
    use = "[{role: nginx, when: facts.cores > 4}]"
    files = {"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": declared("host", roles=use)}
    files["roles/nginx/role.yaml"] = declared("nginx")
    assert read(tmp_path, files, cores=8).roles == ("nginx",)
    assert read(tmp_path, files, cores=2).roles == ()


# Variables


def test_the_order_of_layers(tmp_path: Path) -> None:
    files = {
        "fleet.yaml": FLEET,
        "groups/all.yaml": "vars: {b: all, c: all, d: all}\nroles: [{role: r, vars: {d: given, h: given}}]\n",
        "groups/web.yaml": "vars: {c: web, d: web}\n",
        "hosts/web-01.yaml": declared("x", vars="{h: host}"),
        "roles/r/role.yaml": "defaults: {a: role, z: role}\n",
    }
    found = read(tmp_path, files)
    assert {name: found.names["vars"][name] for name in "abcdehz"} == {
        "a": "fleet", "b": "all", "c": "web", "d": "given", "e": "fleet!", "h": "host", "z": "role",
    }  # fmt: skip
    assert [layer.label for layer in found.layers] == [
        "defaults of role r", "fleet.yaml", "group all", "group web", "given to role r", "host web-01",
    ]  # fmt: skip


# Files and templates


def looked_up(manifest: Manifest, index: int, name: str) -> Content:
    return manifest.declarations[index].scope.lookup(manifest.names).source(name)


def test_a_role_finds_its_own_files_first_and_then_those_at_the_root(tmp_path: Path) -> None:
    files = {
        "fleet.yaml": "format: 1\n",
        "hosts/web-01.yaml": declared("host", roles="[r]"),
        "roles/r/role.yaml": declared("role"),
        "roles/r/files/both": "of the role",
        "roles/r/files/own": "only of the role",
        "files/both": "at the root",
        "files/root": "only root",
    }
    manifest = read(tmp_path, files)
    assert looked_up(manifest, 0, "both").size == len("of the role")
    assert looked_up(manifest, 0, "root").size == len("only root")
    assert looked_up(manifest, 1, "own").size == len("only of the role")
    with pytest.raises(ValueError, match="in several places: files/both, roles/r/files/both"):
        looked_up(manifest, 1, "both")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/etc/passwd", "must be a path inside a files/ folder"),
        ("../fleet.yaml", "must be a path inside a files/ folder"),
        ("a/../../fleet.yaml", "must be a path inside a files/ folder"),
        ("folder", "which is not a file"),
        ("folder/fiel", r"which is none of files/folder/fiel"),
        ("own", r"did you mean owm\?"),
    ],
)
def test_a_file_that_cannot_be_taken(tmp_path: Path, name: str, message: str) -> None:
    files = {
        "fleet.yaml": "format: 1\n",
        "hosts/web-01.yaml": declared("host"),
        "files/folder/file": "x",
        "files/owm": "",
    }
    with pytest.raises(ValueError, match=message):
        looked_up(read(tmp_path, files), 0, name)


# What is remembered of the repository


def test_the_inputs_are_the_documents_and_folders_that_were_asked_for(tmp_path: Path) -> None:
    files = {
        "fleet.yaml": FLEET,
        "hosts/web-01.yaml": declared("x", roles="[r]"),
        "hosts/web-02.yaml": declared("y"),
        "roles/r/role.yaml": "{}",
        "roles/other/role.yaml": "{}",
    }
    inputs = read(tmp_path, files).inputs
    assert {"fleet.yaml", "hosts/web-01.yaml", "roles/r", "groups/web.yaml"} <= set(inputs)
    assert not {"hosts/web-02.yaml", "roles/other"} & set(inputs)
    assert inputs["hosts/web-01.yaml"]
    assert inputs["groups/web.yaml"] == ""


# What is wrong


@pytest.mark.parametrize(
    ("files", "problems"),
    [
        ({}, ["fleet.yaml: there is none at the root of the repository; the directory is empty; start it with `format: 1`"]),
        ({"README": ""}, ["fleet.yaml: there is none at the root of the repository; start it with `format: 1`"]),
        ({"fleet.yaml": "vars: {}"}, ["fleet.yaml:1: `format` must be 1; it is missing"]),
        ({"fleet.yaml": "format: '1'"}, ['fleet.yaml:1: "format" must be a whole number, not text']),
        ({"fleet.yaml": "format: true"}, ['fleet.yaml:1: "format" must be a whole number, not true']),
        (
            {"fleet.yaml": "format: 1\ngroups:\n  a: [x]\n  b: {}\n  c: {hosts: [1]}\n  d: {host: [x]}\n"},
            [
                'fleet.yaml:3: group "a" must be a mapping with `hosts` or `when`, not a list',
                'fleet.yaml:4: group "b" takes no host; give it `hosts` or `when`',
                "fleet.yaml:5: `hosts` must be a list of host names or patterns such as web-*",
                'fleet.yaml:6: unknown key "host" in group "d"; did you mean hosts?; it takes hosts, when',
            ],
        ),
        (
            {"fleet.yaml": "format: 1\ngroups: {a: {when: facts.nothing}}\n"},
            ["fleet.yaml:2: facts.nothing is not defined"],
        ),
        (
            {"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": "roles:\n  - {vars: {}}\n  - 1\n  - {role: a, var: {}}\n"},
            [
                "hosts/web-01.yaml:2: the mapping of a role needs its name: `role: NAME`",
                "hosts/web-01.yaml:3: a role is its name, or a mapping with `role`, `vars` and `when`, not the number 1",
                'hosts/web-01.yaml:4: unknown key "var" in a role; did you mean vars?; it takes role, vars, when',
            ],
        ),
        (
            {"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": "roles: nginx\nvars: []\nresources: {}\n"},
            [
                'hosts/web-01.yaml:1: "roles" must be a list, not text',
                'hosts/web-01.yaml:2: "vars" must be a mapping, not a list',
                'hosts/web-01.yaml:3: "resources" must be a list, not a mapping',
            ],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_all_at_once(tmp_path: Path, files: Files, problems: list[str]) -> None:
    assert wrong(tmp_path, files) == problems


def test_a_key_without_a_value_is_as_good_as_none(tmp_path: Path) -> None:
    manifest = read(
        tmp_path, {"fleet.yaml": "format: 1\nvars:\ngroups:\n", "hosts/web-01.yaml": "roles:\nvars:\nresources:\n"}
    )
    assert manifest.declarations == ()
