"""What a user writes is clean in the strict modes of mypy and pyright: the first pages, and a new project."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from actorium.commands.new_project.files import PARTS, project_files

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/tutorial.md", "docs/tutorials/two-services.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
AWAITS = re.compile(r"^(async with|await) ", re.MULTILINE)


def module_of(page: str) -> str:
    """Return the blocks of a page as one module, up to the first one that awaits outside a function."""
    written: list[str] = []
    for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        if AWAITS.search(block):
            break
        written.append(block)
    return "\n\n".join(written)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module for each page, a new project, and a file with an error."""
    folder = tmp_path_factory.mktemp("user_code")
    for page in PAGES:
        module = module_of(page)
        assert module.count("class ") > 5
        (folder / f"page_{Path(page).stem.replace('-', '_').lower()}.py").write_text(module, encoding="utf-8")
    for path, text in project_files("shop", PARTS, "0.1").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    wrong = "from actorium import Runtime\n\n\ndef wrong(runtime: Runtime) -> int:\n    return runtime.settings\n"
    (folder / "wrong.py").write_text(wrong, encoding="utf-8")
    return folder


def test_pyright_finds_only_the_planted_error(folder: Path) -> None:
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    python = ["--pythonpath", sys.executable]
    run = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", *python, "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    report = json.loads(run.stdout)
    assert report["summary"]["filesAnalyzed"] > len(PAGES) + 10
    found = [(Path(one["file"]).name, one["rule"]) for one in report["generalDiagnostics"]]
    assert found == [("wrong.py", "reportReturnType")], run.stdout


def test_mypy_finds_only_the_planted_error(folder: Path) -> None:
    files = sorted(str(path.relative_to(folder)) for path in folder.glob("*.py"))
    cache = ROOT / ".mypy_cache" / "user_code"  # with other options, so with a cache of its own
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(cache), *files],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = run.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines if ": error:" in line] == ["wrong.py"], run.stdout
