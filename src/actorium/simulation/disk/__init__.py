"""A simulated disk that can lose power, and the SQLite store on it."""

from actorium.simulation.disk.disk import DiskError, PowerCut, SimulatedDisk
from actorium.simulation.disk.file import SECTOR_BYTES, Choose, SimulatedFile
from actorium.simulation.disk.store import SimulatedSqliteStore

__all__ = [
    "Choose",
    "DiskError",
    "PowerCut",
    "SECTOR_BYTES",
    "SimulatedDisk",
    "SimulatedFile",
    "SimulatedSqliteStore",
]
