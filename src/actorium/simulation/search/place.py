"""`ScenarioPlace`: where a scenario is, so that another process finds it."""

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
from actorium.user_code import look_here


class ScenarioPlace(msgspec.Struct, frozen=True):
    """A simulation by the module it is in, by name or by the path of a file, and its name there.

    steps_max: how many steps a run of it may take, instead of as many as it says itself.
    """

    module: str
    name: str
    steps_max: int | None = None

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    def load(self) -> Simulation:
        """Import the module, once in a process, and return the simulation."""
        found = getattr(module_of(self.module), self.name, None)
        if not isinstance(found, Simulation):
            raise ConfigurationError(f"{self.name} in {self.module} is no scenario marked with @simulation")
        return found if self.steps_max is None else msgspec.structs.replace(found, steps_max=self.steps_max)


def simulation_of(where: ScenarioPlace | Simulation, jobs: int = 1) -> Simulation:
    """Return a simulation that so many processes are to run; more than this one have to be told its Place."""
    if isinstance(where, ScenarioPlace):
        return where.load()
    if jobs > 1:
        raise ConfigurationError("other processes have to find the simulation: give its ScenarioPlace")
    return where


def module_of(name: str) -> ModuleType:
    """Import a module, once in a process, by its dotted name or by the path of its file.

    A file of a package is imported as a part of it, so that it may import what lies beside it relatively too.
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
    # What lies beside the file, or beside its package, can be imported from it, as when Python runs it.
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(dotted) if "." in dotted else _standing_alone(path)


def _standing_alone(path: Path) -> ModuleType:
    """Import a file of no package, under a name that no other file has."""
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
