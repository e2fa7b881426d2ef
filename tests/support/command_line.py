"""Carrying out a command line of `actorium` in this process."""

import pytest

from actorium_cli import run


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Carry out a command line; return its exit code, standard output and standard error."""
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
