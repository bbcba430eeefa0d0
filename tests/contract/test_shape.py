"""The shape of the code: functions of one screen, files of a few, or a reason; and the words that are the project's."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
FOLDERS = ("agent", "modules", "tests", "bench", "packaging", "examples", "docs", "demo")
TEXTS = {"", ".py", ".md", ".sh", ".yaml", ".service", ".deb", ".rpm"}
MAX_LINES = 300
MAX_FUNCTION_LINES = 40
REASON = re.compile(r"^(?:# |<!-- )Over (\d+) lines because \S.*", re.MULTILINE)
NEVER = re.compile(r"(?:^|_)(?:utils?|helpers?|common|misc|dirty)(?:_|$)|(?:Util|Helper|Manager)s?$|^managers?$")


def written(*suffixes: str) -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((HERE / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts:
                yield path


def lines_of(path: Path) -> int:
    return path.read_text().count("\n")


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
    yield path.stem


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(HERE))) for path in written(*TEXTS)])
def test_a_file_is_short_or_says_why_it_is_not(path: Path) -> None:
    """A comment in its first lines, `# Over N lines because ...`, gives the reason and how far it reaches."""
    lines = lines_of(path)
    reason = REASON.search("\n".join(path.read_text().splitlines()[:10]))
    if reason is None:
        assert lines <= MAX_LINES, f"{lines} lines; split it"
    else:
        assert lines > MAX_LINES, "it is short by now; drop the comment"
        assert lines <= int(reason[1]) + 100, f"{lines} lines; the reason was given for {reason[1]}"


def test_no_function_is_longer_than_a_screen() -> None:
    found = [f"{path.relative_to(HERE)}:{name} has {lines}" for path in written(".py") for name, lines in functions(path)
             if lines > MAX_FUNCTION_LINES]  # fmt: skip
    assert found == []


def test_most_functions_are_a_few_lines() -> None:
    product = [
        lines
        for path in written(".py")
        if path.parts[len(HERE.parts)] in ("agent", "modules")
        for _, lines in functions(path)
    ]
    assert statistics.median(product) < 10


def test_nothing_is_named_after_nothing() -> None:
    found = [
        f"{path.relative_to(HERE)}: {name}" for path in written(".py") for name in names(path) if NEVER.search(name)
    ]
    assert found == []
