"""Whatever is wrong in a repository is told with its place and a next step, and the host is left as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.fleets import Files, Host, commit, host, write

MOTD = "file: /etc/motd\n    content: changed\n"
GOOD = host(MOTD)
NEVER_ENDING = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)


@pytest.fixture
def web(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path / "root", capsys)


def of_host(text: str) -> Files:
    return {"fleet.yaml": "format: 1\n", "hosts/web-01.yaml": text}


CASES: dict[str, tuple[Files, str]] = {
    "YAML syntax": (
        of_host("resources:\n  - file: [\n"),
        "hosts/web-01.yaml:3: not valid YAML: while parsing a flow node did not find expected node content",
    ),
    "duplicate key": (
        host("file: /etc/motd\n    content: a\n    content: b"),
        "hosts/web-01.yaml:4: the key 'content' stands twice; the first is on line 3",
    ),
    "duplicate resource": (
        host(MOTD, MOTD),
        "hosts/web-01.yaml:4: file:/etc/motd is declared twice; the first is at hosts/web-01.yaml:2",
    ),
    "two resources for one thing": (
        host(MOTD, "directory: /etc/motd"),
        "hosts/web-01.yaml:4: directory:/etc/motd and file:/etc/motd (at hosts/web-01.yaml:2) are the same thing; keep one",
    ),
    "a container and a network that would be one unit": (
        host("container_network: app", "container: app-network\n    image: app"),
        "hosts/web-01.yaml:3: container:app-network and container_network:app (at hosts/web-01.yaml:2) would both be",
    ),
    "a container and a volume that would be one unit": (
        host("container: app-volume\n    image: app", "container_volume: app"),
        "would both be app-volume.service under Quadlet; rename one",
    ),
    "unknown kind": (
        host(MOTD, "fiel: /etc/issue"),
        'hosts/web-01.yaml:4: unknown kind "fiel"; did you mean file?',
    ),
    "unknown field": (
        host("file: /etc/motd\n    contents: a"),
        'hosts/web-01.yaml:3: unknown field "contents" in file:/etc/motd; did you mean content?',
    ),
    "unknown key of a document": (
        of_host("resource: []\n"),
        'hosts/web-01.yaml:1: unknown key "resource" in this document; did you mean resources?',
    ),
    "wrong type": (
        host("file: /etc/motd\n    content: [a]"),
        'hosts/web-01.yaml:3: "content" of file:/etc/motd must be text, not a list',
    ),
    "a word of YAML 1.1": (
        host("unit: cron.service\n    enabled: yes"),
        "hosts/web-01.yaml:3: \"enabled\" of unit:cron.service must be true or false, not 'yes'",
    ),
    "bare mode": (
        host(MOTD + "    mode: 0644"),
        'hosts/web-01.yaml:4: "mode" of file:/etc/motd must be quoted text such as "0644"',
    ),
    "dependency cycle": (
        host(
            "file: /etc/a\n    content: a\n    requires: [file:/etc/b]",
            "file: /etc/b\n    content: b\n    after: [file:/etc/a]",
        ),
        "hosts/web-01.yaml:2: dependency cycle: file:/etc/a -> file:/etc/b -> file:/etc/a; each needs the next",
    ),
    "unknown reference": (
        host(MOTD, "unit: web.service\n    reload_on: [file:/etc/mtd]"),
        (
            "hosts/web-01.yaml:5: `reload_on` of unit:web.service names file:/etc/mtd, which this host does not have; "
            "did you mean file:/etc/motd?"
        ),
    ),
    "undefined variable": (
        {**host('file: /etc/motd\n    content: "{{ vars.prot }}"'), "fleet.yaml": "format: 1\nvars: {port: 1}\n"},
        "hosts/web-01.yaml:3: vars.prot is not defined; did you mean vars.port?",
    ),
    "a variable without vars": (
        {**host('file: /etc/motd\n    content: "{{ prot }}"'), "fleet.yaml": "format: 1\nvars: {port: 1}\n"},
        "hosts/web-01.yaml:3: prot is not defined; did you mean vars.port?",
    ),
    "undefined variable in a template": (
        {**host("file: /etc/motd\n    template: motd.j2"), "templates/motd.j2": "hello\n{{ facts.hostnam }}\n"},
        "templates/motd.j2:2: facts.hostnam is not defined; did you mean facts.hostname?",
    ),
    "undefined variable in an included template": (
        {
            **host("file: /etc/motd\n    template: motd.j2"),
            "templates/motd.j2": "\n\n{% include 'part.j2' %}\n",
            "templates/part.j2": "\n{{ nothing }}\n",
        },
        "templates/part.j2:2: nothing is not defined; the names are",
    ),
    "variables that need each other": (
        {
            **host('file: /etc/motd\n    content: "{{ vars.a }}"'),
            "fleet.yaml": "format: 1\nvars: {a: '{{ vars.a }}'}\n",
        },
        "fleet.yaml:2: vars.a is defined by itself",
    ),
    "template that never ends": (
        {**host("file: /etc/motd\n    template: motd.j2"), "templates/motd.j2": f"\n{NEVER_ENDING}\n"},
        "templates/motd.j2:2: it ran longer than 2 s; is there a loop that never ends?",
    ),
    "template that includes itself": (
        {**host("file: /etc/motd\n    template: motd.j2"), "templates/motd.j2": "{% include 'motd.j2' %}"},
        "templates/motd.j2:1: it includes or calls itself without end",
    ),
    "template syntax": (
        {**host("file: /etc/motd\n    template: motd.j2"), "templates/motd.j2": "a\n{% if %}\n"},
        "templates/motd.j2:2: Jinja syntax: Expected an expression, got 'end of statement block'",
    ),
    "template that is no text": (
        {**host("file: /etc/motd\n    template: motd.j2"), "templates/motd.j2": b"\xff\xfe\0"},
        'hosts/web-01.yaml:3: "template" of file:/etc/motd names templates/motd.j2, which is not UTF-8 text',
    ),
    "alias bomb": (
        of_host(f"vars:\n  {BOMB.replace(chr(10), chr(10) + '  ')}\n"),
        "hosts/web-01.yaml:7: more than 1,000,000 values once aliases are expanded",
    ),
    "path with ..": (
        host("file: /etc/../motd\n    content: a"),
        "hosts/web-01.yaml:2: file: must not contain '..': '/etc/../motd'",
    ),
    "source with ..": (
        host("file: /etc/motd\n    source: ../../etc/passwd"),
        "hosts/web-01.yaml:3: \"source\" of file:/etc/motd must be a path inside a files/ folder, without '..'",
    ),
    "source that is not there": (
        {**host("file: /etc/motd\n    source: modt"), "files/motd": "a"},
        "hosts/web-01.yaml:3: \"source\" of file:/etc/motd names 'modt', which is none of files/modt; did you mean motd?",
    ),
    "role that is not there": (
        {**of_host("roles: [ngix]\n"), "roles/nginx/role.yaml": "resources: []\n"},
        'hosts/web-01.yaml:1: role "ngix" has no roles/ngix/role.yaml; did you mean nginx?',
    ),
    "host that nothing matches": (
        {"fleet.yaml": "format: 1\n", "hosts/web-02.yaml": "resources: []\n"},
        (
            'hosts/web-01.yaml: nothing in the repository matches host "web-01": no such file, and no group of fleet.yaml '
            "takes it; did you mean web-02?"
        ),
    ),
    "host without a resource": (
        of_host("resources: []\n"),
        'hosts/web-01.yaml: host "web-01" has no resources at all; an empty desired state is refused',
    ),
    "empty repository": (
        {},
        "fleet.yaml: there is none at the root of the repository; the directory is empty; start it with `format: 1`",
    ),
    "another format": (
        {**GOOD, "fleet.yaml": "format: 2\n"},
        "fleet.yaml:1: `format` must be 1; it says 2",
    ),
    "binary": (
        of_host("").copy() | {"hosts/web-01.yaml": b"\x7fELF\x02\x01\x01\0\0\0"},  # type: ignore[attr-defined]
        "hosts/web-01.yaml: not a text document: ",
    ),
    "5 MB document": (
        of_host(f"vars: {{a: {'x' * 5_000_000}}}\n"),
        "hosts/web-01.yaml: hosts/web-01.yaml has 5,000,012 bytes, more than the 4,194,304 allowed here",
    ),
    "deep nesting": (
        of_host(f"vars: {{a: {'[' * 100}{']' * 100}}}\n"),
        "hosts/web-01.yaml:1: nested more than 64 deep",
    ),
    "two documents of one name": (
        {**GOOD, "hosts/web-01.json": "{}"},
        "hosts/web-01.json: hosts/web-01.yaml is there too; keep one of them",
    ),
    "mapping over text": (
        {**host(MOTD), "fleet.yaml": "format: 1\nvars: {db: x}\n"}
        | {"hosts/web-01.yaml": f"vars: {{db: {{host: y}}}}\nresources:\n  - {MOTD}"},
        "hosts/web-01.yaml:1: vars.db is a mapping here and no mapping in fleet.yaml:2; give one of them another name",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_told_and_the_host_is_left(case: str, web: Host, tmp_path: Path) -> None:
    files, said = CASES[case]
    repository = write(tmp_path / "repository", files)
    repository.mkdir(exist_ok=True)
    before = web.state()
    status, error = web.apply(repository)
    assert status == 1
    assert said in error
    assert len(error) < 2000
    assert "Traceback" not in error
    assert "internal error" not in error
    assert web.state() == before


@pytest.mark.parametrize("case", [case for case, (files, _) in CASES.items() if files])
def test_a_commit_with_it_is_refused_and_the_one_before_is_held(case: str, web: Host, tmp_path: Path) -> None:
    files, said = CASES[case]
    repository = tmp_path / "fleet.git"
    good = commit(repository, GOOD)
    assert web.follow(repository) == (0, "")
    (web.root / "etc/motd").write_text("drift")
    commit(repository, files)
    status, error = web.follow(repository)
    assert status == 1
    assert f"the newest revision is refused, {good[:7]} stays in force:" in error
    assert said in error
    assert (web.root / "etc/motd").read_text() == "changed", "a bad commit does not stop the repair of drift"


@pytest.mark.parametrize("link", ["hosts/web-01.yaml", "files/motd", "files", "roles/web"])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../../../../etc/passwd", "."])
def test_a_link_out_of_the_repository_is_refused(link: str, target: str, web: Host, tmp_path: Path) -> None:
    files = {**host("file: /etc/motd\n    source: motd"), "roles/base/role.yaml": "{}"}
    files["hosts/web-01.yaml"] = (
        f"roles: [web]\n{files['hosts/web-01.yaml']!s}" if link == "roles/web" else files["hosts/web-01.yaml"]
    )
    repository = write(tmp_path / "repository", files)
    path = repository / link
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.symlink(target, path)
    before = web.state()
    status, error = web.apply(repository)
    assert status == 1
    assert "out of the repository" in error or target == "."
    assert "internal error" not in error
    assert web.state() == before


def test_a_repository_without_a_commit(web: Host, tmp_path: Path) -> None:
    import pygit2

    pygit2.init_repository(str(tmp_path / "fleet.git"), bare=True)
    before = web.state()
    status, error = web.follow(tmp_path / "fleet.git")
    assert status == 1
    assert error == f"agentctl: {tmp_path}/fleet.git is empty: it has no branch; push a first commit\n"
    assert web.state() == before


def test_a_repository_that_is_not_there(web: Host, tmp_path: Path) -> None:
    assert web.follow(tmp_path / "none") == (1, f"agentctl: {tmp_path}/none is not there; check the path\n")
    status, error = web.apply(tmp_path / "none")
    assert (status, error) == (1, f"agentctl: {tmp_path}/none is not a directory; give the directory of a checkout\n")
