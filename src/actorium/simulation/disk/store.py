"""`SimulatedSqliteStore`: the SQLite store that ships, on a simulated disk."""

from __future__ import annotations

from actorium.simulation.disk.disk import SimulatedDisk
from actorium.store.errors import ConfigurationError
from actorium.store.sqlite.adapter import SQLiteLog
from actorium.store.sqlite.settings import SQLiteSettings

# Every commit of a small command writes three pages or four: a checkpoint every ten commits, so that a short run meets
# some, cut power included.
_WAL_AUTOCHECKPOINT_PAGES = 32


class SimulatedSqliteStore(SQLiteLog):
    """The log in the file `name` of a simulated disk; every call does its work at once, on the caller's thread.

    It is `SQLiteStore` with its SQL, its transactions and its checks, and SQLite itself, as `apsw` brings it. Only what
    lies below is simulated. `synchronous` is as there. PowerCut comes out of the call during which the power of the
    disk goes, and out of every later one; drop the store then and open a new one on the disk of the next life.

    Needs the extra `simulation`; ConfigurationError says so where it is missing.
    """

    def __init__(
        self,
        disk: SimulatedDisk,
        name: str = "log.db",
        synchronous: str = "FULL",
        *,
        cache_mb: int = 8,
        wal_autocheckpoint_pages: int = _WAL_AUTOCHECKPOINT_PAGES,
    ) -> None:
        try:
            from actorium.simulation.disk.place import DiskPlace
        except ModuleNotFoundError as missing:
            if missing.name != "apsw":
                raise
            raise ConfigurationError(
                'SQLite on a simulated disk needs apsw: pip install "actorium[simulation]"'
            ) from missing
        settings = SQLiteSettings(synchronous, cache_mb, wal_autocheckpoint_pages, busy_timeout_s=0, verify_mb=0)
        super().__init__(DiskPlace(disk, name), settings)
