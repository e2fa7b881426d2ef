"""`actorium new`: the project it creates passes its own tests, with all parts and without any of them."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from support.command_line import output

from actorium.commands.new_project.files import PARTS, project_files

LONGEST = "a_name_as_long_as_names_may_be"
CHOICES = [frozenset(kept) for count in range(len(PARTS) + 1) for kept in combinations(sorted(PARTS), count)]


def python(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def require_success(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(folder: Path, name: str, parts: frozenset[str]) -> Path:
    for path, text in project_files(name, parts, "0.1.0").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def types_of_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of mypy that the projects share."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.parametrize("left_out", ["", "saga", "projection", "web", ",".join(sorted(PARTS))])
def test_a_new_project_passes_its_own_tests_and_is_typed(
    left_out: str, here: Path, types_of_libraries: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = output(capsys, "new", "shop", *(["--without", left_out] if left_out else []))
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [
        "  cd shop",
        "  make test",
        "  make run",
    ]
    assert " passed" in require_success(python(here / "shop", "-m", "pytest", "-p", "no:cacheprovider"))
    require_success(python(here / "shop", "-m", "mypy", "--cache-dir", str(types_of_libraries)))


def test_the_makefile_runs_the_tests_and_a_first_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "new", "shop", "--without", "web,simulation,saga")[0] == 0
    make = ["make", "--no-print-directory", f"PYTHON={sys.executable}"]
    tests = subprocess.run([*make, "test"], cwd=here / "shop", capture_output=True, text=True, timeout=120)
    assert " passed" in require_success(tests)
    for _ in range(2):
        run = subprocess.run([*make, "run"], cwd=here / "shop", capture_output=True, text=True, timeout=120)
        assert require_success(run).splitlines()[-1] != ""
        assert "Ann has 100 cents." in run.stdout


@pytest.mark.parametrize("target", ["runtime:create_runtime", "web:create_app"])
def test_the_program_finds_the_application(target: str, here: Path) -> None:
    folder = write(here / "shop", "shop", PARTS)
    diagrams = require_success(python(folder, "-m", "actorium", "graph", f"shop.{target}"))
    assert "Transfer" in diagrams


def test_every_choice_of_parts_is_formatted_and_free_of_lint(here: Path) -> None:
    for number, parts in enumerate(CHOICES):
        for name in ("shop", LONGEST):
            write(here / f"{name}_{number}", name, parts)
    require_success(python(here, "-m", "ruff", "check", "--no-cache", "."))
    require_success(python(here, "-m", "ruff", "format", "--no-cache", "--check", "."))


@pytest.mark.parametrize("parts", CHOICES, ids=lambda parts: ",".join(sorted(parts)) or "none")
def test_a_part_that_is_left_out_leaves_nothing_behind(parts: frozenset[str]) -> None:
    files = project_files("shop", parts, "0.1.0")
    everything = "\n".join([*files, *files.values()])
    words = {
        "saga": "transfer",
        "projection": "balances",
        "web": "fastapi",
        "simulation": "simulation",
        "workflow": ".github",
    }
    assert {part for part, word in words.items() if word in everything.lower()} == parts


def test_what_is_left_out_may_have_spaces_between(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "new", "shop", "--without", "web, workflow")[0] == 0
    assert not (here / "shop/shop/web.py").exists()
    assert not (here / "shop/.github").exists()
    assert (here / "shop/shop/transfers.py").exists()


@pytest.mark.parametrize("present", ["folder", "file", "link to nothing"])
def test_what_exists_is_not_touched(present: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if present == "folder":
        (here / "shop").mkdir()
    elif present == "file":
        (here / "shop").write_text("mine")
    else:
        (here / "shop").symlink_to("nowhere")
    code, out, err = output(capsys, "new", "shop")
    assert (code, out) == (2, "")
    assert err == "shop exists already: choose another name, or another directory\n"
    assert [path.name for path in here.rglob("*")] == ["shop"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("my-shop", "use a Python identifier"),
        ("2shops", "use a Python identifier"),
        ("../shop", "use a Python identifier"),
        ("", "use a Python identifier"),
        ("class", "use a Python identifier"),
        ("käse", "use a Python identifier"),
        ("_shop", "must not begin or end with an underscore"),
        ("email", "choose another name"),
        ("fastapi", "choose another name"),
        ("tests", "choose another name"),
        (LONGEST + "s", "use at most 30"),
    ],
)
def test_a_name_that_no_package_can_have_is_refused(
    name: str, advice: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = output(capsys, "new", name)
    assert (code, out) == (2, "")
    assert advice in err
    assert list(here.iterdir()) == []


def test_the_longest_name_is_accepted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "new", LONGEST)[0] == 0


def test_an_unknown_part_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, "new", "shop", "--without", "saga,cluster")
    assert (code, out) == (2, "")
    assert err == "--without cluster: the parts of a project are projection, saga, simulation, web, workflow\n"
    assert list(here.iterdir()) == []
