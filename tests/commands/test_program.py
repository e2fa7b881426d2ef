"""The program `actorium`: its help, its version, its completion, and its message without its extra."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from inspect import getdoc
from pathlib import Path

import pytest
from support.command_line import output

from actorium_cli_commands import COMMANDS

HELP = """
import sys
import actorium_cli
code = actorium_cli.run(sys.argv[1:])
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"actorium", "asyncio", "msgspec", "structlog"}))
sys.exit(code)
"""


def commands() -> list[tuple[str, str, str]]:
    """The words of each command, the place of its function, and its line in the help."""
    found = []
    for name, (first, second) in COMMANDS.items():
        if isinstance(second, str):
            found.append((name, first, second))
        else:
            found += [(f"{name} {inner}", *command) for inner, command in second.items()]
    return found


def python(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **variables}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.parametrize(("words", "place", "line"), commands(), ids=[words for words, _, _ in commands()])
def test_a_command_is_listed_with_the_first_line_of_its_docstring(
    words: str, place: str, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = place.partition(":")
    explanation = getdoc(getattr(import_module(module), name)) or ""
    assert explanation.splitlines()[0] == line
    monkeypatch.setenv("COLUMNS", "200")
    group = words.split()[:-1]
    assert line in output(capsys, *group, "--help")[1]
    code, out, err = output(capsys, *words.split(), "--help")
    assert (code, err) == (0, "")
    assert f"Usage: actorium {words}" in out
    said = " ".join(out.split())
    for paragraph in explanation.partition("Parameters\n")[0].replace("`", "").split("\n\n"):
        assert " ".join(paragraph.split()) in said


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], [], ["prove", "--help"], ["--version"], ["version"]])
def test_help_and_version_import_no_command(arguments: list[str]) -> None:
    done = python("-c", HELP, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == ""


def test_the_program_is_a_module_too() -> None:
    said = [python("-m", name, "version").stdout for name in ("actorium", "actorium_cli")]
    assert said[0] == said[1]
    assert re.fullmatch(r"actorium \d+\.\d+\.\d+\S*\n", said[0])


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_extra_the_program_says_what_to_install(missing: str) -> None:
    done = python("-c", f"import sys; sys.modules['{missing}'] = None; from actorium_cli import main; main()")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"The command line needs {missing}, which comes with the extra `cli`: pip install 'actorium[cli]'\n"
    )


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, "improt")
    assert (code, out) == (2, "")
    assert 'Unknown command "improt"' in err


# --- completion -----------------------------------------------------------------------------------------------------

COMPLETED = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
entry=$(complete -p actorium)
function=${entry#*-F }
${function%% *}
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(script: Path, *words: str) -> list[str]:
    done = subprocess.run(["bash", "-c", COMPLETED, "-", str(script), *words], capture_output=True, text=True)
    assert done.stderr == ""
    return [word.strip() for word in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_installed_completion_completes_commands_and_options(tmp_path: Path) -> None:
    done = python("-m", "actorium", "--install-completion", "--shell", "bash", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    (script,) = (path for path in tmp_path.rglob("*") if path.name == "actorium" and path.is_file())
    assert str(script) in (tmp_path / ".bashrc").read_text(encoding="utf-8")
    assert completed(script, "actorium", "ch") == ["check"]
    assert set(completed(script, "actorium", "prove", "")) >= {"crash", "power-loss", "bit-rot"}
    assert "--deep" in completed(script, "actorium", "check", "--d")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_is_written_for_other_shells(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    options = ("--shell", shell, "--output", str(script))
    assert python("-m", "actorium", "--install-completion", *options, HOME=str(tmp_path)).returncode == 0
    assert "power-loss" in script.read_text(encoding="utf-8")


def test_an_undetected_shell_must_be_named(tmp_path: Path) -> None:
    """The shell is detected from the parent process, which is Python here, and from SHELL."""
    done = python("-m", "actorium", "--install-completion", HOME=str(tmp_path), SHELL="")
    assert (done.returncode, done.stdout) == (1, "")
    assert "specify --shell" in done.stderr
