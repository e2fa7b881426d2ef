"""`actorium new`: create a project that runs and tests at once."""

from __future__ import annotations

import importlib.util
import keyword
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from actorium.commands.new_project.files import PARTS, project_files
from actorium.commands.problem import WrongUse
from actorium.commands.screen import Screen

_NAME_MAX = 30


def new(name: str, /, *, without: Annotated[str, Parameter(show_default=False)] = "") -> None:
    """Create a project that runs and tests at once, in a new folder of the current directory.

    It contains accounts and the transfers between them: an aggregate, a saga, a projection, a web application, tests
    of each, a simulation test and a GitHub workflow. It needs no network.

    Parameters
    ----------
    name
        The name of the folder and of the package in it: a Python identifier.
    without
        The parts to leave out, separated by commas: saga, projection, web, simulation, workflow.
    """
    _require_name(name)
    folder = Path(name)
    files = project_files(name, PARTS - _parts(without), version("actorium"))
    try:
        folder.mkdir()
    except FileExistsError:
        raise WrongUse(f"{name} exists already: choose another name, or another directory") from None
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    screen = Screen()
    screen.say(f"Created {name}/ with {len(files)} files. Next:")
    for line in (f"cd {name}", "make test", "make run"):
        screen.say(f"  {line}")


def _require_name(name: str) -> None:
    """Raise WrongUse unless a package and a distribution can have this name, and no installed module has it."""
    if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
        raise WrongUse(f"{name!r} cannot be the name of a package: use a Python identifier in ASCII, such as my_shop")
    if name.strip("_") != name:
        raise WrongUse(f"{name!r} cannot be the name of a distribution: it must not begin or end with an underscore")
    if len(name) > _NAME_MAX:
        raise WrongUse(f"a name of {len(name)} characters is too long: use at most {_NAME_MAX}")
    if name == "tests" or (importlib.util.find_spec(name) is not None and not Path(name).exists()):
        raise WrongUse(f"{name!r} is the name of an installed module or of the project's tests: choose another name")


def _parts(without: str) -> frozenset[str]:
    """Return the parts to leave out; raise WrongUse if one is unknown."""
    left_out = frozenset(part.strip() for part in without.split(",")) if without else frozenset()
    if unknown := left_out - PARTS:
        known = ", ".join(sorted(PARTS))
        raise WrongUse(f"--without {','.join(sorted(unknown))}: the parts of a project are {known}")
    return left_out
