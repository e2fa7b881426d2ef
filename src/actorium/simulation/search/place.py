"""`ScenarioPlace`: the location of a scenario, from which another process can import it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from zlib import crc32

import msgspec

from actorium.simulation.search.decorator import Simulation
from actorium.store.errors import ConfigurationError
from actorium.user_code.imports import look_here


class ScenarioPlace(msgspec.Struct, frozen=True):
    """A simulation by its module, given by name or by file path, and its name in the module.

    steps_max: the number of steps a run may take, in place of the simulation's own.
    """

    module: str
    name: str
    steps_max: int | None = None

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    def load(self) -> Simulation:
        """Import the module, once per process, and return the simulation."""
        found = getattr(module_of(self.module), self.name, None)
        if not isinstance(found, Simulation):
            raise ConfigurationError(f"{self.name} in {self.module} is not a scenario marked with @simulation")
        return found if self.steps_max is None else msgspec.structs.replace(found, steps_max=self.steps_max)


def simulation_of(where: ScenarioPlace | Simulation, jobs: int = 1) -> Simulation:
    """Return the simulation that `jobs` processes are to run; with more than one, a ScenarioPlace is required."""
    if isinstance(where, ScenarioPlace):
        return where.load()
    if jobs > 1:
        raise ConfigurationError("several processes need to import the simulation: give its ScenarioPlace")
    return where


def module_of(name: str) -> ModuleType:
    """Import a module, once per process, by its dotted name or by the path of its file.

    A file in a package is imported as part of it, so that relative imports work.
    """
    look_here()
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).resolve()
    known = [one for one in sys.modules.values() if getattr(one, "__file__", None) == str(path)]
    if known:
        return known[0]
    if not path.is_file():
        raise ConfigurationError(f"there is no Python file {name}")
    root, dotted = path.parent, path.stem
    while (root / "__init__.py").is_file():
        root, dotted = root.parent, f"{root.name}.{dotted}"
    # Modules beside the file, or beside its package, can be imported from it, as when Python runs the file.
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(dotted) if "." in dotted else _standing_alone(path)


def _standing_alone(path: Path) -> ModuleType:
    """Import a file outside any package, under a name that no other file has."""
    name = f"simulated_{path.stem}_{crc32(str(path).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
    return loaded
