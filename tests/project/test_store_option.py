"""The option that runs the suite on another store."""

import subprocess
import sys
from pathlib import Path

MODULE = """
import pytest
from actorium.store.urls import open_store

@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["memory", "log", pytest.param("file", marks=pytest.mark.about("sqlite", "it is"))])
async def test_it(kind, log_url, tmp_path):
    url = {"memory": "memory://", "log": log_url, "file": f"sqlite:///{tmp_path}/log.db"}[kind]
    store = open_store(url)
    await store.open()
    print("STORE", store.describe())
    await store.close()
"""


def ran(tmp_path: Path, root: Path, *options: str) -> str:
    """The output of a run of the three tests, with the fixtures and options of all tests."""
    folder = tmp_path / "tests"
    folder.mkdir(exist_ok=True)
    (folder / "test_it.py").write_text(MODULE, encoding="utf-8")
    (folder / "conftest.py").write_bytes((root / "tests/conftest.py").read_bytes())
    setting = f"pythonpath={root / 'tests'}"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "-o",
        setting,
        *options,
        "test_it.py",
    ]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_a_test_about_no_store_runs_on_the_one_that_is_asked_for(tmp_path: Path, root: Path) -> None:
    out = ran(tmp_path, root, "--store", "postgresql")
    assert "STORE memory" not in out
    assert "opened: PostgreSQL 2\n" in out
    assert "Tests left out: 1\n    1 about sqlite: it is\n" in out
    assert "2 passed, 1 deselected" in out


def test_without_the_option_each_test_keeps_its_store(tmp_path: Path, root: Path) -> None:
    out = ran(tmp_path, root)
    assert "3 passed" in out
    assert "PostgreSQL" not in out
