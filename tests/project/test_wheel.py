"""The tracked files are built, and the built wheel works without the checkout."""

import email
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

CORE_DEPENDENCIES = {"anyio", "msgspec", "aiosqlite", "structlog"}

# Imports every module of the wheel but those that need a peer library or start a program.
IMPORT_ALL = """
import importlib, pathlib, sys
wheel = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(wheel))
for file in sorted(wheel.glob("actorium/**/*.py")):
    parts = file.relative_to(wheel).with_suffix("").parts
    if parts[-1] == "__main__" or parts[1:2] == ("benchmarks",):
        continue
    module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    print(module.__file__)
"""


@pytest.fixture(scope="module")
def config(root: Path) -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folders(config: dict[str, Any]) -> dict[str, str]:
    """Folder in the checkout -> folder in the wheel."""
    sources: dict[str, str] = config["tool"]["hatch"]["build"]["targets"]["wheel"]["sources"]
    return sources


def build(root: Path, out: Path, *options: str) -> Path:
    """Build into a folder with the installed tools, without the network."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *options, str(root)]
    built = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert built.returncode == 0, built.stdout + built.stderr
    return out


@pytest.fixture(scope="module")
def release(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution and the wheel that is built from it."""
    return build(root, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module", params=["from the sdist", "from the checkout"])
def wheel(request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a release and by `pip install .`."""
    if request.param == "from the sdist":
        out: Path = request.getfixturevalue("release")
    else:
        out = build(root, tmp_path_factory.mktemp("direct"), "--wheel")
    (path,) = out.glob("*.whl")
    return path


def test_the_sdist_holds_the_tracked_files_once(release: Path, root: Path, project_files: list[str]) -> None:
    (archive,) = release.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = [name.partition("/")[2] for name in tar.getnames()]
    expected = [path for path in project_files if not (root / path).is_symlink()]
    assert sorted(names) == sorted([*expected, "PKG-INFO"])


def test_the_wheel_holds_the_tracked_files_and_nothing_else(
    wheel: Path, project_files: list[str], folders: dict[str, str]
) -> None:
    expected = {
        (installed + path.removeprefix(folder)).removeprefix("/")
        for path in project_files
        for folder, installed in folders.items()
        if path.startswith(f"{folder}/")
    }
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    packaged = [name for name in names if ".dist-info/" not in name]
    assert sorted(packaged) == sorted(expected)
    assert "actorium/py.typed" in packaged
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    command = [sys.executable, "-I", "-c", IMPORT_ALL, str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    files = run.stdout.splitlines()
    assert files
    assert [file for file in files if not file.startswith(str(tmp_path))] == []


def test_the_core_needs_four_libraries_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    core = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {re.split(r"[^\w-]", line)[0] for line in core} == CORE_DEPENDENCIES


def test_the_extra_all_installs_everything_optional(config: dict[str, Any]) -> None:
    extras = config["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    named = set(everything.removeprefix("actorium[").removesuffix("]").split(","))
    assert named == set(extras) - {"all", "docs", "test", "dev"}


def test_every_folder_is_linked_for_editable_installs(
    root: Path, folders: dict[str, str], config: dict[str, Any]
) -> None:
    build = config["tool"]["hatch"]["build"]
    taken = {path.partition("/")[0] for path in build["targets"]["wheel"]["only-include"]}
    assert taken == set(folders)
    assert set(build["exclude"]) == {f"/src/{installed}" for folder, installed in folders.items() if folder != "src"}
    present = {folder for folder in folders if folder != "src" and (root / folder).is_dir()}
    links = {link.name: os.readlink(link) for link in (root / "src/actorium").iterdir() if link.is_symlink()}
    assert links == {folder: f"../../{folder}" for folder in present}
    assert {folder for folder in present if not (root / folder / "__init__.py").exists()} == set()


def test_every_package_at_the_root_is_in_the_wheel(project_files: list[str], folders: dict[str, str]) -> None:
    packages = {path.split("/")[0] for path in project_files if path.endswith(".py") and "/" in path}
    assert packages - {"src", "tests", "docs"} <= set(folders)
