"""The documentation runs: every ```python block of every page, in order, one namespace per page.

Blocks run as if inside one asynchronous function of a module, so that `await` and `async with` may stand at the top;
the working directory is empty and temporary. A block that cannot run is opened with ```python no-run.
"""

import ast
import asyncio
import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest
from support.postgres import new_log

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")) if path.exists())
FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,})(?P<info>.*)$")


class Block(NamedTuple):
    """A fenced block: the words after its marks, its text, the number of its first line."""

    info: list[str]
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found: list[Block] = []
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if opening is None:
            opening, lines = fence, []
        elif fence and not fence["info"].strip() and len(fence["marks"]) >= len(opening["marks"]):
            code = dedent("\n".join(lines))
            found.append(Block(opening["info"].split(), code, number - len(lines)))
            opening = None
        else:
            lines.append(line)
    assert opening is None, f"the block {opening[0]!r} is not closed"
    return found


def runnable(text: str) -> list[Block]:
    """Return the blocks of a page that are to be run."""
    python = [block for block in blocks(text) if block.info[:1] == ["python"]]
    unknown = [block for block in python if block.info[1:] not in ([], ["no-run"])]
    assert unknown == [], "after ```python only no-run is known"
    return [block for block in python if block.info == ["python"]]


async def run(text: str, page: Path, module: types.ModuleType) -> None:
    """Run the blocks of a page in a module; a traceback shows the lines of the page."""
    for block in runnable(text):
        if "asyncio.run(" in block.code:  # a whole program: it brings its own loop, so it needs a thread of its own
            await asyncio.to_thread(exec, compile(block.code, str(page), "exec", dont_inherit=True), vars(module))
            continue
        source = "\n" * (block.line - 1) + block.code
        code = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result = eval(code, vars(module))
        if inspect.iscoroutine(result):
            await result


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.ModuleType:
    """An empty module that can be imported, so that annotations are found in it, and an empty working directory."""
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def database(page: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Name a new log in PostgreSQL to a page that asks for one."""
    if "DATABASE_URL" not in page.read_text(encoding="utf-8"):
        yield
        return
    with new_log() as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield


@pytest.mark.asyncio
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
async def test_the_code_of_a_page_runs(page: Path, module: types.ModuleType, database: None) -> None:
    await run(page.read_text(encoding="utf-8"), page, module)


@pytest.mark.asyncio
async def test_blocks_run_in_order_in_one_namespace_and_may_await(module: types.ModuleType, tmp_path: Path) -> None:
    text = """
```python
import asyncio
seen = [1]
```
1. in a list:
   ```python
   async def later() -> int:
       return 2
   await asyncio.sleep(0)
   seen.append(await later())
   ```
```python no-run
seen.append("never")
```
```text
seen.append("never")
```
````
```python
seen.append("never")
```
````
"""
    await run(text, tmp_path / "page.md", module)
    assert vars(module)["seen"] == [1, 2]


@pytest.mark.asyncio
async def test_a_failure_names_the_line_of_the_page(module: types.ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    with pytest.raises(ZeroDivisionError) as failure:
        await run("# Title\n\n```python\nx = 1\nx / 0\n```\n", page, module)
    assert (Path(failure.traceback[-1].path), failure.traceback[-1].lineno + 1) == (page, 5)


@pytest.mark.parametrize("text", ["```python\nx = 1\n", "```python norun\nx = 1\n```\n"])
def test_a_block_that_would_be_skipped_silently_is_an_error(text: str) -> None:
    with pytest.raises(AssertionError):
        runnable(text)
