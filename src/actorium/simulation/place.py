"""`Place`: where a scenario is, so that another process finds it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from zlib import crc32

import msgspec

from actorium.simulation.decorator import Simulation
from actorium.store.errors import ConfigurationError


class Place(msgspec.Struct, frozen=True):
    """A simulation by the module it is in, by name or by the path of a file, and its name there."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    def load(self) -> Simulation:
        """Import the module, once in a process, and return the simulation."""
        found = getattr(_imported(self.module), self.name, None)
        if not isinstance(found, Simulation):
            raise ConfigurationError(f"{self.name} in {self.module} is no scenario marked with @simulation")
        return found


def _imported(module: str) -> object:
    if not module.endswith(".py"):
        return importlib.import_module(module)
    path = Path(module).resolve()
    name = f"simulated_{path.stem}_{crc32(str(path).encode()):08x}"
    known = [one for one in sys.modules.values() if getattr(one, "__file__", None) == str(path)]
    if known:
        return known[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigurationError(f"there is no Python file {module}")
    # What lies beside the file can be imported from it, as when Python runs it.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
    return loaded
