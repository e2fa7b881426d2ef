"""`SimulatedSqliteStore`: the SQLite store that ships, on a simulated disk."""

from __future__ import annotations

from actorium.simulation.disk.disk import SimulatedDisk
from actorium.store.errors import from_extra
from actorium.store.personal.keys import KeyStore, MemoryKeys
from actorium.store.sqlite.adapter import SQLiteLog
from actorium.store.sqlite.settings import SQLiteSettings

# Every commit of a small command writes three or four pages. A checkpoint every ten commits lets a short run meet some
# checkpoints, also while the power is cut.
_WAL_AUTOCHECKPOINT_PAGES = 32
# A short run merges some of its events into the index of streams, in several slices, and leaves others in memory.
_RUN_EVENTS = 12


class SimulatedSqliteStore(SQLiteLog):
    """The log in the file `name` of a simulated disk; every call completes at once, on the caller's thread.

    It is `SQLiteStore` with its SQL, its transactions and its checks, and SQLite itself, as packaged in `apsw`; only
    the layers below are simulated. `synchronous` is the option of `SQLiteStore`.

    When the disk loses power, the current call and every later one raise PowerCut. Drop the store then, and open a new
    one on the disk of the next life.

    Requires the extra `simulation`; raises ConfigurationError if it is not installed.
    """

    def __init__(
        self,
        disk: SimulatedDisk,
        name: str = "log.db",
        synchronous: str = "FULL",
        *,
        cache_mb: int = 8,
        wal_autocheckpoint_pages: int = _WAL_AUTOCHECKPOINT_PAGES,
        keys: KeyStore | None = None,
    ) -> None:
        with from_extra("simulation", "SQLite on a simulated disk", "apsw"):
            from actorium.simulation.disk.place import DiskPlace
        settings = SQLiteSettings(synchronous, cache_mb, wal_autocheckpoint_pages, busy_timeout_s=0, verify_mb=0)
        super().__init__(DiskPlace(disk, name), settings, run_events=_RUN_EVENTS)
        self.personal_keys: KeyStore = keys or MemoryKeys(seed=0)
