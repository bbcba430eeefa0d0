"""The verbs on another root, as a person calls them: what they print, and with which exit status they end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tests.unit.site import NAME, RESOURCES, Site


def test_plan_apply_plan(site: Site) -> None:
    assert site.on("plan") == 2
    assert "3 to create" in site.out
    assert "(nothing was changed)" in site.out
    assert os.listdir(site.root) == []
    assert site.on("apply") == 0
    assert "3 converged" in site.out
    assert (site.root / "etc/a").read_text() == "one\ntwo\n"
    assert site.on("plan") == 0
    assert "3 in sync" in site.out
    assert site.on("apply") == 0
    assert "converged" not in site.out
    assert (site.state / "state.db").exists()


def test_a_changed_file_is_shown_as_a_unified_diff_with_its_place(site: Site) -> None:
    site.on("apply")
    (site.root / "etc/a").write_text("one\nzwei")
    assert site.on("plan") == 2
    lines = [line.strip() for line in site.out.splitlines()]
    assert lines[2:7] == ["@@ -1,2 +1,2 @@", "one", "-zwei", "\\ No newline at end of file", "+two"]
    assert "drift: " in lines[1]
    assert "content +1 -1" in lines[1]
    assert lines[1].endswith("hosts/web-01.yaml:3")


def test_json_of_a_plan_and_of_what_was_applied(site: Site) -> None:
    assert site.on("plan", "--json") == 2
    plan = json.loads(site.out)
    assert (plan["format"], plan["host"], plan["root"], plan["pending"]) == (1, NAME, str(site.root), True)
    assert {step["id"]: step["action"] for step in plan["steps"]} == {
        "directory:/etc": "create", "file:/etc/a": "create", "file:/etc/secret": "create",
    }  # fmt: skip
    assert site.on("apply", "--json") == 0
    report = json.loads(site.out)
    assert (report["verdict"], report["exit"], report["counts"]["converged"]) == ("OK", 0, 3)
    assert site.on("plan", "--json") == 0
    assert json.loads(site.out)["steps"] == []


def test_what_fails_ends_with_4_and_says_why(site: Site) -> None:
    site.hold(RESOURCES + "  - file: /etc/b\n    content: x\n    owner: nobody-here\n  - file: /etc/c\n"
              "    content: x\n    requires: ['file:/etc/b']\n")  # fmt: skip
    assert site.on("apply") == 4
    assert "failed" in site.out
    assert "nobody-here" in site.out
    assert "needs file:/etc/b" in site.out
    assert (site.root / "etc/a").exists(), "the rest goes on"
    assert site.status_file()["verdict"] == "CRITICAL"


def test_a_mistake_in_the_repository_ends_with_1_and_its_place(site: Site) -> None:
    site.hold(RESOURCES.replace("mode:", "mood:"))
    for verb in ("plan", "apply", "show"):
        assert site.on(verb) == 1
        assert 'hosts/web-01.yaml:7: unknown field "mood"' in site.err
        assert "1 problem in 1 file" in site.err
    assert not (site.root / "etc").exists()


def test_what_is_to_be_removed_in_plenty_waits_for_a_word(site: Site) -> None:
    site.hold(RESOURCES + "".join(f"  - file: /etc/f{number}\n    content: x\n" for number in range(7)))
    site.on("apply")
    site.hold(RESOURCES)
    assert site.on("apply") == 4
    assert "agentctl prune approve" in site.out
    assert (site.root / "etc/f0").exists()
    assert site.on("apply", "--confirm-removals") == 0
    assert not (site.root / "etc/f0").exists()


def test_another_state_directory(site: Site, tmp_path: Path) -> None:
    assert site.on("apply", "--state-dir", str(tmp_path / "state")) == 0
    assert (tmp_path / "state/state.db").exists()
    assert not site.state.exists()


def test_a_plan_leaves_the_state_alone(site: Site) -> None:
    site.on("apply")
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in site.state.iterdir()}
    site.hold(RESOURCES + "  - file: /etc/b\n    content: x\n")
    assert site.on("plan") == 2
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in site.state.iterdir()} == before


def test_no_secret_in_state_status_plan_or_report(site: Site) -> None:
    (site.root / "etc").mkdir()
    (site.root / "etc/secret").write_text("old")
    site.on("apply", "--json")
    kept = site.out.encode() + (site.state / "state.db").read_bytes()
    kept += (site.root / "run/gitops-agent/status.json").read_bytes()
    assert b"hunter2" not in kept
    assert site.on("show", "file:/etc/secret") == 0
    assert "hunter2" not in site.out


# Show, explain, facts


def test_show_lists_in_order_and_shows_one_in_full(site: Site) -> None:
    assert site.on("show") == 0
    assert [line.split() for line in site.out.splitlines()] == [
        ["directory:/etc", "hosts/web-01.yaml:2"],
        ["file:/etc/a", "hosts/web-01.yaml:3"],
        ["file:/etc/secret", "hosts/web-01.yaml:5"],
    ]
    assert site.on("show", "file:/etc/secret", "--json") == 0
    (shown,) = json.loads(site.out)
    assert (shown["fields"]["mode"], shown["requires"], shown["kind"]) == ("0600", ["directory:/etc"], "file")
    assert site.on("show", "file:/etc/secrt") == 1
    assert "did you mean file:/etc/secret?" in site.err


def test_explain_says_who_wins_and_what_it_beat(site: Site) -> None:
    site.write("fleet.yaml", "format: 1\nvars:\n  workers: 4\n")
    site.write(f"hosts/{NAME}.yaml", f"vars:\n  workers: 8\nresources:\n{RESOURCES}")
    assert site.on("explain", "vars.workers") == 0
    first, second = (line.split() for line in site.out.splitlines())
    assert first[:3] == ["wins", "8", "hosts/web-01.yaml:2"]
    assert second[:3] == ["beaten", "4", "fleet.yaml:3"]
    assert site.on("explain", "file:/etc/a") == 0
    assert "declared at  hosts/web-01.yaml:5" in site.out
    assert "needs directory:/etc" in site.out
    assert site.on("explain", "vars.nosuch") == 1
    assert "the variables are workers" in site.err


def test_facts_one_and_all(site: Site) -> None:
    assert site.call("facts", "--json") == 0
    facts = json.loads(site.out)
    assert site.call("facts", "os.id") == 0
    assert site.out.strip() == facts["os"]["id"]
    assert site.call("facts") == 0
    assert any(line.split()[0] == "os.id" for line in site.out.splitlines())
    assert site.call("facts", "os.nosuch") == 1
    assert "there is no fact os.nosuch" in site.err


def test_version(site: Site) -> None:
    assert site.call("version") == site.call("--version") == 0
    assert site.out.startswith("gitops-agent ")


# What comes from Git and from tools


def test_no_control_character_of_others_reaches_the_terminal(site: Site) -> None:
    evil = "\\e]0;owned\\a\\r\\u202e"
    site.hold(
        f'  - directory: /etc\n  - file: "/etc/{evil}"\n    content: "{evil}"\n'
        f'  - file: "/etc/b\\nfile:/etc/spoofed"\n    content: x\n    owner: "no{evil}"\n'
    )
    shown = ""
    for verb in ("plan", "apply", "show"):
        site.on(verb)
        shown += site.out + site.err
    site.call("status", "--root", str(site.root))
    shown += site.out
    site.hold(f'  - "{evil}": x\n')
    site.on("plan")
    shown += site.err
    site.call("validate", str(site.repo))
    shown += site.out + site.err
    assert shown.count("\\x1b]0;owned\\x07\\r\\u202e") >= 6
    assert not [char for char in shown if not char.isprintable() and char != "\n"]
    assert not [line for line in shown.splitlines() if line.strip().startswith("file:/etc/spoofed")]


def test_binary_and_large_contents_are_said_in_bytes(site: Site) -> None:
    site.on("apply")
    (site.root / "etc/a").write_bytes(b"\0\1\2")
    site.on("plan")
    assert "content binary, 3 -> 8 bytes" in site.out
    (site.root / "etc/a").write_text("x\n" * 100_000)
    started = time.monotonic()
    site.on("plan")
    assert "content 200000 -> 8 bytes" in site.out
    assert time.monotonic() - started < 5
