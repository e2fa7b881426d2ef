"""`Scenario`: one question with its answer in figures; `Bench`: the context of one run.

Each run happens in a separate process (see `child.py`), so no run inherits memory, caches or garbage of another. A
scenario ends with figures or raises `Wrong`: afterwards the log is compared with what was acknowledged, and a fast
wrong answer is a failure.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec

from actorium.benchmarks.databases import Databases, ServerPlace, server_cpu_s
from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore
from actorium.store.urls import open_store

StoreName = Literal["memory", "full", "normal", "postgresql"]
STORES: tuple[StoreName, ...] = get_args(StoreName)
DURABLE: tuple[StoreName, ...] = ("full", "normal")
IN_PROCESS: tuple[StoreName, ...] = ("memory", *DURABLE)
"""The stores that need no server; a suite uses the others only if they are named."""
STORE_TITLES: Mapping[StoreName, str] = {
    "memory": "memory",
    "full": "SQLite FULL",
    "normal": "SQLite NORMAL",
    "postgresql": "PostgreSQL",
}
SURVIVES: Mapping[StoreName, str] = {
    "memory": "nothing survives the process",
    "full": "acknowledged commands survive a power cut",
    "normal": "acknowledged commands survive the process; a power cut may lose the latest ones",
    "postgresql": "acknowledged commands survive a power cut of the server",
}
_LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")  # in SQLite's numbering
_RUN = "run"
_SAFE_SERVER = ("fsync", "full_page_writes", "synchronous_commit")

OURS = "actorium"
YARDSTICK = "yardstick"

Figures = dict[str, float]
"""The figures of a run; a name ends in its unit: `_per_s`, `_us`, `_ms`, `_s`, `_bytes`, `_mb`, or is a count."""

Sizes = Mapping[str, float]


class Wrong(Exception):
    """The figures do not count: the log lacks acknowledged events, or a result is wrong."""


class Profile(Protocol):
    """A profiler of the measured part of a run."""

    def start(self) -> Any: ...
    def stop(self) -> Any: ...


class Stopwatch:
    """The duration of the measured part, as wall time and as CPU time of the process.

    The CPU time of a database server is included if the suite started the server.
    """

    wall_s = 0.0
    cpu_s = 0.0


class Bench:
    """The context of a run, and the place for its results.

    folder: an empty folder of the run.
    shared: a folder that persists between the runs of one suite, for logs that are filled once.
    server: the PostgreSQL server, if the store is on one.
    """

    def __init__(
        self,
        store: StoreName,
        sizes: Sizes,
        folder: Path,
        shared: Path,
        *,
        seed: int,
        profile: Profile | None = None,
        server: ServerPlace | None = None,
    ) -> None:
        self.store_name = store
        self.sizes = sizes
        self.folder = folder
        self.shared = shared
        self.seed = seed
        self.latencies_s: list[float] = []
        self.durability = "none: in memory"
        self.server_cpu_s = 0.0  # of the measured part; included in its CPU time
        self._profile = profile
        self._memory: MemoryStore | None = None
        self._server = server
        self.databases = None if server is None else Databases(server)

    @property
    def is_file(self) -> bool:
        """Whether the store is a file of SQLite."""
        return self.store_name in DURABLE

    @property
    def synchronous(self) -> str:
        """SQLite's name for the durability of a commit."""
        return self.store_name.upper()

    @property
    def path(self) -> Path:
        """The path of the run's log, if it is a file."""
        return self.folder / "log.db"

    @property
    def url(self) -> str:
        """The URL of the run's store, which is not in memory."""
        if self.databases is not None:
            return self.databases.url(_RUN)
        return f"sqlite:///{self.path}?synchronous={self.synchronous}"

    def count(self, name: str) -> int:
        """Return a size that is a count."""
        return int(self.sizes[name])

    def seconds(self, name: str = "seconds") -> float:
        """Return a size that is a time in seconds."""
        return float(self.sizes[name])

    def store(self) -> EventStore:
        """Return the run's store, closed: always the same one in memory, or a new opening of the same log."""
        if self.store_name != "memory":
            return open_store(self.url)
        if self._memory is None:
            self._memory = MemoryStore()
        return self._memory

    def require_durability(self, db: sqlite3.Connection) -> None:
        """Record a connection's settings; raise Wrong if its flushing does not match the name of the store.

        For code that configures SQLite itself: yardsticks and peers.
        """
        ((mode,),) = db.execute("PRAGMA journal_mode").fetchall()
        ((level,),) = db.execute("PRAGMA synchronous").fetchall()
        if _LEVELS[level] != self.synchronous:
            raise Wrong(f"SQLite has synchronous={_LEVELS[level]} in force, expected {self.synchronous}")
        self.durability = f"journal_mode={mode}, synchronous={_LEVELS[level]}"

    async def ask_durability(self, store: EventStore) -> None:
        """Record an open store's settings; raise Wrong if a server may lose acknowledged commands.

        A store on SQLite has read each setting back, and refuses to run with any other than requested.
        """
        if self.databases is not None:
            self.durability = await server_settings(store)
        elif self.is_file:
            ((mode,),) = await store.query("PRAGMA journal_mode", ())
            self.durability = f"journal_mode={mode}, {store.describe().partition('(WAL, ')[2].rstrip(')')}"

    @contextmanager
    def clock(self) -> Iterator[Stopwatch]:
        """Measure only what happens inside the block; a requested profile covers the same part."""
        clock = Stopwatch()
        gc.collect()
        if self._profile is not None:
            self._profile.start()
        server_cpu = self._server_cpu_s()
        cpu, began = time.process_time(), time.perf_counter()
        try:
            yield clock
        finally:
            clock.wall_s, clock.cpu_s = time.perf_counter() - began, time.process_time() - cpu
            self.server_cpu_s = self._server_cpu_s() - server_cpu
            clock.cpu_s += self.server_cpu_s
            if self._profile is not None:
                self._profile.stop()

    def _server_cpu_s(self) -> float:
        return server_cpu_s(self._server.pid) if self._server is not None and self._server.pid else 0.0

    async def prepare(self, template: str = "") -> None:
        """Create the run's database, if the store is on a server: empty, or a copy of another one."""
        if self.databases is not None:
            await self.databases.create(_RUN, template)


async def server_settings(store: EventStore) -> str:
    """Return the settings of a server that decide what survives a power cut; raise Wrong unless all are on."""
    names = ", ".join(f"'{name}'" for name in _SAFE_SERVER)
    rows = await store.query(f"SELECT name, setting FROM pg_settings WHERE name IN ({names}) ORDER BY name", ())
    off = [name for name, setting in rows if setting != "on"]
    if off:
        raise Wrong(f"the server has {off[0]}={dict(rows)[off[0]]}: acknowledged commands may be lost")
    return ", ".join(f"{name}={setting}" for name, setting in rows)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One question, and how it is answered.

    question: may contain the names of sizes in braces, so that a report shows the actual sizes.
    headline: the main figure, by which two reports are compared.
    also: the secondary figures to show, in words with their names in braces. By default all are shown; the JSON always
        contains all.
    sizes, quick: the amount of work, in full and with `--quick` (None: it takes too long for that).
    quick_stores: the stores used with `--quick` by default.
    subject: whose figures these are: ours, a peer's, or a yardstick's.
    beside: the scenarios that it is compared with.
    needs: a module that must be installed, and `needs_from`, the distributions that bring it.
    label: its name beside our own scenarios.
    limit: how many times the earlier headline figure, which is a cost, it may be in a comparison; 0 for no limit.
    """

    name: str
    question: str
    headline: str
    measure: Callable[[Bench], Awaitable[Figures]]
    sizes: Sizes
    quick: Sizes | None
    stores: Sequence[StoreName] = STORES
    quick_stores: Sequence[StoreName] = ("full",)
    subject: str = OURS
    beside: Sequence[str] = ()
    needs: str = ""
    needs_from: str = "'actorium[bench-peers]'"
    also: str = ""
    label: str = ""
    limit: float = 0.0

    def asked(self, sizes: Sizes) -> str:
        """Return the question with these sizes; a missing size is taken from a full run."""
        return self.question.format_map({name: f"{size:,.0f}" for name, size in {**self.sizes, **sizes}.items()})


def more_is_better(figure: str) -> bool:
    """Return whether a figure is a rate; every other one is a cost."""
    return figure.endswith("_per_s")
