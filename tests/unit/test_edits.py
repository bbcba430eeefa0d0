"""Edits of a line, a block and a setting: a table of texts before and after, each final after one time."""

from __future__ import annotations

from configparser import RawConfigParser
from typing import Any

import pytest

from modules.api import ResourceError
from modules.block import Block
from modules.edits import Edit
from modules.ini import Ini
from modules.line import Line

CONF = "# comment\nPort 22\nPort 2222\nListen a\n"
MARKED = "a\n# BEGIN gitops-agent\nold\n# END gitops-agent\nz\n"
SPACED = MARKED.replace("a\n#", "a\n\n#").replace("z", "\nz")
AROUND = {"blank_before": True, "blank_after": True}
INI = "top = 0\n\n[one]\n  b: 2\na = 1\n#c = 3\n\n[two]\na=1\n"

LINES: list[tuple[str, dict[str, Any], str, str]] = [
    ("added at the end", {"text": "x"}, "a\n", "a\nx\n"),
    ("there already", {"text": "a"}, "a\nb\n", "a\nb\n"),
    ("an empty file", {"text": "x"}, "", "x\n"),
    ("no final newline", {"text": "x"}, "a", "a\nx\n"),
    ("the last one without a newline stays so", {"text": "x", "match": "^b"}, "a\nb", "a\nx"),
    ("the last match is replaced", {"text": "Port 1", "match": "^Port"}, CONF, CONF.replace("2222", "1")),
    ("the first match", {"text": "Port 1", "match": "^Port", "first": True}, CONF, CONF.replace("22\n", "1\n", 1)),
    ("no match, but there", {"text": "Listen a", "match": "^Nothing"}, CONF, CONF),
    ("no match, so added", {"text": "x", "match": "^Nothing"}, CONF, CONF + "x\n"),
    ("a plain text", {"text": "x", "contains": "a.b"}, "aXb\na.b\n", "aXb\nx\n"),
    ("filled in", {"text": r"\1 = 2", "match": r"^(\w+) = 1$", "backrefs": True}, "a\nkey = 1\n", "a\nkey = 2\n"),
    ("by name", {"text": r"\g<k>=2", "match": r"^(?P<k>\w+)=1$", "backrefs": True}, "key=1\n", "key=2\n"),
    ("nothing to fill in", {"text": r"\1 = 2", "match": r"^(\w+) = 1$", "backrefs": True}, "a\n", "a\n"),
    ("without backrefs it is plain", {"text": r"\1", "match": "(b)"}, "a\nb\n", "a\n\\1\n"),
    ("after the last match", {"text": "x", "insert_after": "^Port"}, CONF, CONF.replace("2222\n", "2222\nx\n")),
    (
        "after the first", {"text": "x", "insert_after": "^Port", "first": True}, CONF,
        CONF.replace("22\n", "22\nx\n", 1),
    ),
    ("after the end", {"text": "x", "insert_after": "END"}, "a\n", "a\nx\n"),
    ("after nothing", {"text": "x", "insert_after": "^none"}, "a\n", "a\nx\n"),
    ("before the last match", {"text": "x", "insert_before": "^Port"}, CONF, CONF.replace("Port 2222", "x\nPort 2222")),
    ("before all", {"text": "x", "insert_before": "START"}, "a\n", "x\na\n"),
    ("before all of one line", {"text": "x", "insert_before": "START"}, "a", "x\na"),
    ("before all of nothing", {"text": "x", "insert_before": "START"}, "", "x\n"),
    ("absent", {"text": "b", "ensure": "absent"}, "a\nb\nc\nb\n", "a\nc\n"),
    ("absent by match", {"match": "^[bc]", "ensure": "absent"}, "a\nb\nc\n", "a\n"),
    ("absent already", {"text": "b", "ensure": "absent"}, "a\nbb\n", "a\nbb\n"),
    ("CRLF", {"text": "x"}, "a\r\nb\r\n", "a\r\nb\r\nx\r\n"),
    ("CRLF is no part of a line", {"text": "b", "match": "^b$"}, "a\r\nb\r\n", "a\r\nb\r\n"),
    ("CRLF, replaced", {"text": "x", "match": "^a$"}, "a\r\nb\r\n", "x\r\nb\r\n"),
    ("mixed ends stay", {"text": "x", "match": "^c"}, "a\nb\r\nc\r\n", "a\nb\r\nx\r\n"),
    ("quotes stay", {"text": "a=\"b 'c'\""}, "", "a=\"b 'c'\"\n"),
    ("other white space is no end of a line", {"text": "x"}, "a\x0bb\x0cc\u2028d\n", "a\x0bb\x0cc\u2028d\nx\n"),
    ("before the only line", {"text": "x", "insert_before": "^a"}, "a\n", "x\na\n"),
    ("before the only line, which has no end", {"text": "x", "insert_before": "^a"}, "a", "x\na"),
    ("after the only line, which has no end", {"text": "x", "insert_after": "^a"}, "a", "a\nx\n"),
    (
        "after one of several anchors already", {"text": "x", "insert_after": "^Port"}, "Port 1\nx\nPort 2\n",
        "Port 1\nx\nPort 2\n",
    ),
    (
        "several times already", {"text": "x", "insert_after": "^Port"}, "Port 1\nx\nPort 2\nx\n",
        "Port 1\nx\nPort 2\nx\n",
    ),
    ("white space around it", {"text": "  x\t"}, "x\n", "x\n  x\t\n"),
    ("an empty line", {"text": ""}, "a\n", "a\n\n"),
    ("filled in, and an anchor does not count", {
        "text": r"\1", "match": "(q)", "backrefs": True, "insert_after": "a",
    }, "a\n", "a\n"),
    ("a mark of the order of bytes stays first", {"text": "x", "insert_before": "START"}, "\ufeffa\n", "\ufeffx\na\n"),
    ("and is no part of a line", {"text": "x", "match": "^a"}, "\ufeffa\r\n", "\ufeffx\r\n"),
    ("absent without an end", {"text": "b", "ensure": "absent"}, "a\nb", "a\n"),
    ("bytes that are no text", {"text": "x"}, "\udcff\n", "\udcff\nx\n"),
]  # fmt: skip

BLOCKS: list[tuple[str, dict[str, Any], str, str]] = [
    ("added", {"text": "x\ny"}, "a\n", "a\n# BEGIN gitops-agent\nx\ny\n# END gitops-agent\n"),
    ("replaced", {"text": "x"}, MARKED, MARKED.replace("old", "x")),
    ("there already", {"text": "old\n"}, MARKED, MARKED),
    ("no final newline", {"text": "x"}, "a", "a\n# BEGIN gitops-agent\nx\n# END gitops-agent\n"),
    ("and still none", {"text": "x"}, MARKED[:-3].rstrip(), MARKED[:-3].rstrip().replace("old", "x")),
    ("an empty file", {"text": "x"}, "", "# BEGIN gitops-agent\nx\n# END gitops-agent\n"),
    ("absent", {"ensure": "absent"}, MARKED, "a\nz\n"),
    ("an empty text", {"text": ""}, MARKED, "a\nz\n"),
    ("absent already", {"ensure": "absent"}, "a\n", "a\n"),
    (
        "a name and a marker", {"text": "x", "name": "n", "marker": "// {mark} mine"}, MARKED,
        MARKED + "// BEGIN mine n\nx\n// END mine n\n",
    ),
    ("before", {"text": "x", "insert_before": "^b"}, "a\nb\n", "a\n# BEGIN gitops-agent\nx\n# END gitops-agent\nb\n"),
    ("after", {"text": "x", "insert_after": "^a"}, "a\nb\n", "a\n# BEGIN gitops-agent\nx\n# END gitops-agent\nb\n"),
    (
        "CRLF", {"text": "x\ny"}, MARKED.replace("\n", "\r\n"),
        MARKED.replace("old", "x\ny").replace("\n", "\r\n"),
    ),
    ("CRLF, new", {"text": "x"}, "a\r\n", "a\r\n# BEGIN gitops-agent\r\nx\r\n# END gitops-agent\r\n"),
    ("CRLF, absent", {"ensure": "absent"}, MARKED.replace("\n", "\r\n"), "a\r\nz\r\n"),
    ("CRLF in Git is none", {"text": "x\r\ny\r\n"}, MARKED, MARKED.replace("old", "x\ny")),
    ("blank lines in it", {"text": "\nx\n\n\ny\n\n"}, MARKED, MARKED.replace("old", "\nx\n\n\ny\n")),
    ("blank lines around it", {"text": "old", **AROUND}, MARKED, SPACED),
    ("blank lines are there", {"text": "old", **AROUND}, SPACED, SPACED),
    ("blank lines, and another text", {"text": "new", **AROUND}, SPACED, SPACED.replace("old", "new")),
    ("no blank lines at the beginning and the end", {"text": "old", **AROUND}, MARKED[2:-2], MARKED[2:-2]),
    ("a blank line before what is new", {"text": "old", "blank_before": True}, "a\n", "a\n\n" + MARKED[2:-2]),
    (
        "a blank line after what is new, first", {"text": "old", "blank_after": True, "insert_before": "START"}, "a",
        MARKED[2:-2] + "\na",
    ),
    (
        "blank lines with CRLF", {"text": "old", **AROUND}, MARKED.replace("\n", "\r\n"), SPACED.replace("\n", "\r\n"),
    ),
    ("absent, and the blank lines stay", {"ensure": "absent", **AROUND}, SPACED, "a\n\n\nz\n"),
    ("CRLF, as it is", {"text": "old"}, MARKED.replace("\n", "\r\n"), MARKED.replace("\n", "\r\n")),
]  # fmt: skip

INIS: list[tuple[str, dict[str, Any], str, str]] = [
    ("changed", {"section": "one", "key": "a", "value": "9"}, INI, INI.replace("a = 1", "a = 9")),
    ("of the right section", {"section": "two", "key": "a", "value": "9"}, INI, INI.replace("a=1", "a=9")),
    ("indentation and colon stay", {"section": "one", "key": "b", "value": "9"}, INI, INI.replace("b: 2", "b: 9")),
    ("there already", {"section": "one", "key": "a", "value": "1"}, INI, INI),
    ("without a section", {"key": "top", "value": "1"}, INI, INI.replace("top = 0", "top = 1")),
    ("new, without a section", {"key": "n", "value": "1"}, INI, INI.replace("top = 0\n", "top = 0\nn = 1\n")),
    ("new", {"section": "one", "key": "n", "value": "1"}, INI, INI.replace("#c = 3\n", "#c = 3\nn = 1\n")),
    ("a comment is no setting", {"section": "one", "key": "c", "value": "4"}, INI, INI.replace("3\n", "3\nc = 4\n")),
    ("a new section", {"section": "s", "key": "n", "value": "1"}, INI, INI + "\n[s]\nn = 1\n"),
    ("a section of its own", {"section": "s", "key": "n", "value": "1"}, "", "[s]\nn = 1\n"),
    ("no final newline", {"section": "two", "key": "n", "value": "1"}, INI[:-1], INI + "n = 1\n"),
    ("an empty value", {"section": "one", "key": "a", "value": ""}, INI, INI.replace("a = 1", "a =")),
    ("a separator", {"key": "N", "value": "1", "separator": "="}, "A=1\n", "A=1\nN=1\n"),
    ("a space between", {"key": "Port", "value": "1", "separator": " "}, "Port  22\nPorts 3\n", "Port  1\nPorts 3\n"),
    ("the last one counts", {"key": "a", "value": "1"}, "a = 1\na = 2\n", "a = 1\na = 1\n"),
    ("absent", {"section": "one", "key": "a", "ensure": "absent"}, INI, INI.replace("a = 1\n", "")),
    ("commented out", {"section": "one", "key": "a", "ensure": "absent", "comment": True}, INI, INI.replace("a =", "#a =")),
    ("absent already", {"section": "none", "key": "a", "ensure": "absent"}, INI, INI),
    ("a key with points", {"key": "net.a.b", "value": "1"}, "netXaXb = 0\n", "netXaXb = 0\nnet.a.b = 1\n"),
    ("CRLF", {"section": "one", "key": "n", "value": "1"}, "[one]\r\na = 1\r\n", "[one]\r\na = 1\r\nn = 1\r\n"),
    ("CRLF, changed", {"key": "a", "value": "2"}, "a = 1\r\n", "a = 2\r\n"),
    ("CRLF, commented out", {"key": "a", "ensure": "absent", "comment": True}, "a = 1\r\n", "#a = 1\r\n"),
    ("quotes stay", {"key": "a", "value": "\"b 'c'\""}, "a = 'b'\n", "a = \"b 'c'\"\n"),
    ("commented out, each of several", {"key": "a", "ensure": "absent", "comment": True}, "a=1\na=2", "#a=1\n#a=2"),
    ("commented out already", {"key": "a", "ensure": "absent", "comment": True}, "#a = 1\n", "#a = 1\n"),
    ("removed, each of several", {"key": "a", "ensure": "absent"}, "a=1\nb=1\na=2\n", "b=1\n"),
    ("the last key of a section", {"section": "s", "key": "a", "ensure": "absent"}, "[s]\na=1\n", "[s]\n"),
    ("behind a mark of the order of bytes", {"section": "s", "key": "a", "value": "2"}, "\ufeff[s]\na=1\n", "\ufeff[s]\na=2\n"),
    ("a section that comes twice", {"section": "s", "key": "n", "value": "1"}, "[s]\na=1\n[t]\n[s]\nb=1\n", "[s]\na=1\n[t]\n[s]\nb=1\nn = 1\n"),
    ("a section with a comment", {"section": "s", "key": "a", "value": "2"}, "[s] ; why\na=1\n", "[s] ; why\na=2\n"),
    ("a value with the separator in it", {"key": "a", "value": "b=c"}, "a=b\n", "a=b=c\n"),
    ("a value that goes on, indented", {"key": "a", "value": "9"}, "a = 1\n  2\n\n# c\n\t3\nb = 4\n", "a = 9\nb = 4\n"),
    ("a value that begins in the next line", {"key": "a", "value": "9"}, "a =\n    1\n    2\n", "a =9\n"),
    ("a value that goes on after a backslash", {"key": "a", "value": "9"}, "a=1 \\\n2 \\\n 3\nb=4\n", "a=9\nb=4\n"),
    ("a backslash that is one", {"key": "a", "value": "9"}, "a=1\\\\\nb=4\n", "a=9\nb=4\n"),
    ("its first line is as wished", {"key": "a", "value": "1"}, "a = 1\n  2\n", "a = 1\n"),
    ("a value that goes on, absent", {"key": "a", "ensure": "absent"}, "a = 1\n  2\n\nb = 3\n", "\nb = 3\n"),
    ("commented out with all of it", {"key": "a", "ensure": "absent", "comment": True}, "a = 1\n  2\nb=3\n", "#a = 1\n#  2\nb=3\n"),
    ("the rest of a value is no setting", {"key": "2", "value": "9"}, "a =\n  2 = 1\n", "a =\n  2 = 1\n2 = 9\n"),
    ("the rest of a value is no section", {"section": "s", "key": "n", "value": "1"}, "a = 1 \\\n2\n[s]\n", "a = 1 \\\n2\n[s]\nn = 1\n"),
    ("new, after a value that goes on", {"section": "s", "key": "n", "value": "1"}, "[s]\na = 1\n  2\n\n[t]\n", "[s]\na = 1\n  2\nn = 1\n\n[t]\n"),
    ("all of a section is indented", {"section": "s", "key": "b", "value": "9"}, "[s]\n\ta = 1\n\tb = 2\n\tc = 3\n", "[s]\n\ta = 1\n\tb = 9\n\tc = 3\n"),
    ("nothing goes on where there is no mark", {"key": "Port", "value": "1", "separator": " "}, "Match x\n  Port 2\n", "Match x\n  Port 1\n"),
    ("in sync, whatever the next line is", {"key": "a", "value": "1"}, "a = 1\n  b = 2\n", "a = 1\n  b = 2\n"),
    ("an empty section", {"section": "one", "key": "a", "value": "1"}, "[one]\n[two]\n", "[one]\na = 1\n[two]\n"),
]  # fmt: skip

CASES = [
    pytest.param(kind(path="/x", **fields), before, after, id=f"{kind.kind}: {name}")
    for kind, table in ((Line, LINES), (Block, BLOCKS), (Ini, INIS))
    for name, fields, before, after in table
]


@pytest.mark.parametrize(("edit", "before", "after"), CASES)
def test_a_text_before_and_after(edit: Edit, before: str, after: str) -> None:
    assert edit.problems() == []
    assert edit.edited(before) == after
    assert edit.edited(after) == after, "once is enough"
    if not isinstance(edit, Line):
        assert edit.found(after) == edit.goal, "and it is found"


def test_a_reader_of_continued_values_finds_only_that_one_changed() -> None:
    text = "[s]\na = 1\n  2\n\n  3\nb =\n  x\n  y: z\nc = 4\n"
    for edit in (Ini(path="/x", section="s", key="a", value="9"), Ini(path="/x", section="s", key="n", value="9")):
        before, after = RawConfigParser(), RawConfigParser()
        before.read_string(text)
        after.read_string(edit.edited(text))
        assert dict(after["s"]) == {**before["s"], str(edit.key): "9"}


@pytest.mark.parametrize(
    ("edit", "text", "said"),
    [
        (Line(path="/x", text=r"x\1", match="(.+)", backrefs=True), "a\n", "again and again"),
        (Line(path="/x", text=r"\2", match="(a)", backrefs=True), "a\n", "refers to what match does not have"),
        (Block(path="/x", text="x"), "# BEGIN gitops-agent\n", "repair or remove them by hand"),
        (Block(path="/x", text="x"), "# END gitops-agent\n# BEGIN gitops-agent\n", "repair or remove them by hand"),
        (Block(path="/x", text="x"), MARKED + MARKED, "repair or remove them by hand"),
        (Ini(path="/x", key="a", value="9"), "a =\n  b = 1\n", "line 2 of /x may be a setting, or the rest of"),
        (Ini(path="/x", key="a", ensure="absent"), "a =\n  b = 1\n", "line 2 of /x may be a setting, or the rest of"),
        (Ini(path="/x", key="b", value="9"), "a =\n  b = 1\n", "line 2 of /x may be a setting, or the rest of"),
        (Ini(path="/x", key="a", value="9"), "a=1 \\\nb=2\n", "line 2 of /x may be a setting, or the rest of"),
        (Ini(path="/x", key="n", value="9"), "a=1 \\\n", "line 1 of /x ends in a backslash"),
        (Ini(path="/x", section="s", key="n", value="9"), "a=1 \\\n", "line 1 of /x ends in a backslash"),
    ],
)
def test_what_cannot_be_edited_is_left_and_said(edit: Edit, text: str, said: str) -> None:
    with pytest.raises(ResourceError, match=said):
        edit.edited(text)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Line(path="/x"), "text is missing"),
        (Line(path="/x", ensure="absent"), "text is missing"),
        (Line(path="/x", text="a\nb"), "text must be one line"),
        (Line(path="/x", text="a", match=""), "match is empty, and so matches every line"),
        (Line(path="/x", text="a", match="("), "match is no regular expression"),
        (Line(path="/x", text="a", match="a", contains="b"), "only one of match and contains"),
        (Line(path="/x", text="a", backrefs=True), "so it needs match"),
        (Line(path="/x", text="a", insert_after="a", insert_before="b"), "only one of insert_after and insert_before"),
        (Line(path="/x", text="a", insert_after="["), "insert_after is no regular expression"),
        (Line(path="/x", text="a", validate=("true",)), 'validate must contain "%s"'),
        (Block(path="/x"), "text is missing"),
        (Block(path="/x", text="a", marker="# mark"), "with {mark} in it"),
        (Block(path="/x", text="a\n# END gitops-agent\nb"), "text contains the marker of its own block"),
        (Ini(path="/x", value="1"), "key is missing"),
        (Ini(path="/x", key="a"), "value is missing"),
        (Ini(path="/x", key="a", value="1", ensure="absent"), "value has no meaning"),
        (Ini(path="/x", key="a", value="1", comment=True), "needs ensure: absent"),
        (Ini(path="/x", key="a", value="1\n2"), "must be one line"),
        (Ini(path="/x", key="a", value="1", separator=""), "separator is empty"),
    ],
)
def test_contradictions_are_found_before_anything_is_touched(edit: Edit, said: str) -> None:
    assert any(said in problem for problem in edit.problems()), edit.problems()
