"""The page of questions names existing functions, in at most two files for each question."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "where-is-what.md"
ROWS = re.findall(r"^\| ([^|]+\?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
PLACE = re.compile(r"`([\w/]+\.py):([\w.]+)`")


def defined(path: Path) -> set[str]:
    """Return the functions, classes and methods of a file: `run`, `Hydrator`, `Hydrator.run`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}.{method.name}" for method in methods}
    return found


def test_there_are_at_least_twelve_questions() -> None:
    assert len(ROWS) >= 12


@pytest.mark.parametrize(("question", "answer"), ROWS, ids=[question for question, _ in ROWS])
def test_each_answer_names_at_most_two_files_and_functions_that_exist(question: str, answer: str) -> None:
    places = PLACE.findall(answer)
    assert 1 <= len({path for path, _ in places}) <= 2, question
    assert [f"{path}:{name}" for path, name in places if name not in defined(ROOT / path)] == []
