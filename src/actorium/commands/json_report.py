"""`--json FILE`, the same in every command that reports: the report as JSON in that file; `-` is standard output.

With `-`, text for people goes to standard error, so that a program can read standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from actorium.commands.problem import Problem, require_place_for_report
from actorium.commands.screen import Screen
from actorium.commands.streams import standard_output

STANDARD_STREAM = Path("-")


def _require_place(_: object, file: Path | None) -> None:
    if file is not None and str(file).startswith("-") and file != STANDARD_STREAM:
        raise ValueError("It is an option, not the name of a file.")
    require_place_for_report(file)


JsonFile = Annotated[
    Path | None,
    Parameter(
        help="Write the report to this file as JSON. With -, the report goes to standard output, and everything else "
        "to standard error.",
        allow_leading_hyphen=True,
        validator=_require_place,
    ),
]
"""The option `--json` of a command."""


def screen_beside(json: Path | None) -> Screen:
    """Return the screen for what people read beside a report, if one is asked for."""
    return Screen(aside=json == STANDARD_STREAM)


def write_json(report: Any, json: Path) -> None:
    """Write a report where `--json` says."""
    write_text(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n", json)


def write_text(text: str, file: Path) -> None:
    """Write a text to a file, or to standard output where that is `-`."""
    if file == STANDARD_STREAM:
        sys.stdout.flush()
        with standard_output("the report") as out:
            out.write(text.encode())
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(f"cannot write {file}: {error.strerror or error}; the report in it is incomplete") from None
