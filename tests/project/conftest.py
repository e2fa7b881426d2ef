"""Fixtures of the project tests: the files that belong to the project."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def project_files(root: Path) -> list[str]:
    """Every file that a commit of the current state would contain, as a path from the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = {path for path in listing.stdout.split("\0") if path}
    return sorted(path for path in paths if (root / path).exists() and not (root / path).is_dir())


@pytest.fixture(scope="session")
def python_files(project_files: list[str]) -> list[str]:
    """The Python files among them."""
    return [path for path in project_files if path.endswith(".py")]
