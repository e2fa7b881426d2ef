"""The lock file: everything pinned and hashed, whichever index the reader's pip uses."""

import re
import tomllib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def lock(root: Path) -> str:
    """requirements.lock."""
    return (root / "requirements.lock").read_text(encoding="utf-8")


def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    requirements = [line for line in lock.replace("\\\n", "").splitlines() if line and line.lstrip()[0] != "#"]
    assert requirements
    loose = [line for line in requirements if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:", line)]
    assert loose == []


def test_the_lock_names_no_index(lock: str) -> None:
    assert re.findall(r"\w+://|--index-url|--extra-index-url|--find-links|--trusted-host", lock) == []


def test_the_lock_knows_every_direct_dependency(root: Path, lock: str) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    direct = [*project["dependencies"], *extras["sql"], *extras["cli"], *extras["test"], *extras["dev"]]
    names = {re.split(r"[^\w-]", line)[0].lower() for line in direct} - {"actorium"}
    pinned = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    assert names - pinned == set(), "run `make lock`"
