"""Finds the simulations in a file, a folder or a module."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from actorium.simulation.search.decorator import Simulation
from actorium.simulation.search.place import ScenarioPlace, module_of
from actorium.store.errors import ConfigurationError
from actorium.user_code.imports import blamed, look_here

_IN_A_FOLDER = ("simulated.py", "simulation*.py", "test_*.py")


def find_simulations(target: str, only: str | None = None) -> list[ScenarioPlace]:
    """Return the places of the simulations in a file, a folder or a module, given by its path or its dotted name.

    In a folder, the files `simulated.py`, `simulation*.py` and `test_*.py` are searched. `only` selects a simulation by
    name.

    Raises ConfigurationError, with advice, if there is no simulation or a file cannot be imported.
    """
    files = _files(target)
    places = [place for file in files for place in _in_file(file)]
    if not places:
        raise ConfigurationError(
            f"there is no simulation in {' or '.join(map(str, files)) if files else target}: "
            "mark an `async def scenario(world)` with @simulation() from actorium.simulation"
        )
    if only is None:
        return places
    chosen = [place for place in places if place.name == only]
    if not chosen:
        there = ", ".join(place.name for place in places)
        raise ConfigurationError(f"there is no simulation {only!r} in {target}; it has {there}")
    return chosen


def meant_for(places: Sequence[ScenarioPlace], *, exhaustive: bool) -> Sequence[ScenarioPlace]:
    """Return the simulations that are exhaustive, or those that are not; all of them if there are none of the kind."""
    return [place for place in places if place.load().is_exhaustive is exhaustive] or places


def _files(target: str) -> Sequence[Path]:
    path = Path(target)
    if path.is_file():
        if path.suffix != ".py":
            raise ConfigurationError(f"{path} is not a Python file")
        return [path]
    if path.is_dir():
        return _of_folder(path)
    if target.endswith(".py") or "/" in target or not all(part.isidentifier() for part in target.split(".")):
        raise ConfigurationError(f"there is no file or folder {target}")
    return _of_module(target)


def _of_folder(folder: Path) -> Sequence[Path]:
    files = sorted({file for pattern in _IN_A_FOLDER for file in folder.glob(pattern)})
    # A test file is imported only if it may contain a simulation: importing takes time and may have side effects.
    found = [file for file in files if "simulation" in file.read_text(encoding="utf-8", errors="replace")]
    if not found:
        raise ConfigurationError(
            f"there is no simulation in the folder {folder}; searched for @simulation in "
            f"{', '.join(file.name for file in files) or ', '.join(_IN_A_FOLDER)}"
        )
    return found


def _of_module(name: str) -> Sequence[Path]:
    look_here()
    with blamed(f"{name} cannot be imported"):
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            spec = None
    if spec is None or spec.origin is None:
        raise ConfigurationError(f"there is no file, folder or module {name}")
    file = Path(spec.origin)
    return _of_folder(file.parent) if file.name == "__init__.py" else [file]


def _in_file(file: Path) -> Iterator[ScenarioPlace]:
    """Yield the simulations that a file itself defines, in order."""
    with blamed(f"{file} cannot be imported"):
        module = module_of(str(file))
    for name, found in vars(module).items():
        if isinstance(found, Simulation) and found.scenario.__module__ == module.__name__:
            yield ScenarioPlace(str(file), name)
