"""The target application of a command: how it is named, and the errors if it cannot be found."""

import re
from pathlib import Path

import pytest
from support.command_line import output

from actorium import ConfigurationError, Runtime
from actorium.user_code.targets import load_app


@pytest.mark.parametrize("name", ["one", "three", "Held.runtime"])
def test_an_application_is_a_runtime_or_a_function_that_returns_one(shop: Path, name: str) -> None:
    assert isinstance(load_app(f"shop_app:{name}"), Runtime)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("shop_app", "write module:name"),
        (":one", "write module:name"),
        ("nowhere:app", "there is no module 'nowhere'"),
        ("shop_app.deeper:app", "there is no module 'shop_app.deeper'"),
        ("shop_app:two", "shop_app has no 'two'"),
        ("shop_app:number", "is int: name a Runtime"),
        ("shop_app:needs", "cannot be called without arguments"),
        ("shop_app:Held", "is Held: name a Runtime"),
        ("shop_app:later", "is async: name a function that returns its Runtime without waiting"),
        ("shop_app:broken", "failed: KeyError: 'no such setting' (shop_app.py, line 14, in broken)"),
    ],
)
def test_something_else_is_rejected_as_an_application(shop: Path, reference: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        load_app(reference)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import nowhere_found",
            "ModuleNotFoundError: No module named 'nowhere_found' (failing_app.py, line 1, in <module>)",
        ),
        ("\n1 / 0", "ZeroDivisionError: division by zero (failing_app.py, line 2, in <module>)"),
        ("x = (1", "SyntaxError: '(' was never closed (failing_app.py, line 1)"),
    ],
)
@pytest.mark.parametrize(
    "command", [["check", "failing_app:runtime"], ["graph", "failing_app:runtime"], ["simulate", "failing_app.py"]]
)
def test_a_failed_import_is_reported_with_the_failing_line(
    shop: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: str, message: str
) -> None:
    (shop / "failing_app.py").write_text(code, encoding="utf-8")
    name = command[1].partition(":")[0]
    assert output(capsys, *command) == (2, "", f"{name} cannot be imported: {message}\n")


def test_modules_in_the_current_directory_are_found_from_a_file_elsewhere(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "deeper").mkdir()
    (shop / "deeper" / "no_simulation.py").write_text("import shop_app\n", encoding="utf-8")
    code, out, err = output(capsys, "simulate", "deeper/no_simulation.py")
    assert (code, out) == (2, "")
    assert "there is no simulation in deeper/no_simulation.py" in err


def test_a_module_that_ends_the_process_is_blamed_with_its_line(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "leaving.py").write_text("import sys\n\nsys.exit(3)\n", encoding="utf-8")
    code, _, err = output(capsys, "check", "leaving:runtime")
    assert code == 2
    assert "leaving cannot be imported: SystemExit: 3 (leaving.py, line 3" in " ".join(err.split())
