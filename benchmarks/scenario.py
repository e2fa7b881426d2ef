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

from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore
from actorium.store.sqlite import SQLiteStore

StoreName = Literal["memory", "full", "normal"]
STORES: tuple[StoreName, ...] = get_args(StoreName)
DURABLE: tuple[StoreName, ...] = ("full", "normal")
STORE_TITLES: Mapping[StoreName, str] = {"memory": "memory", "full": "SQLite FULL", "normal": "SQLite NORMAL"}
SURVIVES: Mapping[StoreName, str] = {
    "memory": "nothing survives the process",
    "full": "acknowledged commands survive a power cut",
    "normal": "acknowledged commands survive the process; a power cut may lose the latest ones",
}
_LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")  # in SQLite's numbering

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
    """The duration of the measured part, as wall time and as CPU time of the process."""

    wall_s = 0.0
    cpu_s = 0.0


class Bench:
    """The context of a run, and the place for its results.

    folder: an empty folder of the run.
    shared: a folder that persists between the runs of one suite, for logs that are filled once.
    """

    def __init__(
        self, store: StoreName, sizes: Sizes, folder: Path, shared: Path, *, seed: int, profile: Profile | None = None
    ) -> None:
        self.store_name = store
        self.sizes = sizes
        self.folder = folder
        self.shared = shared
        self.seed = seed
        self.latencies_s: list[float] = []
        self.durability = "none: in memory"
        self._profile = profile
        self._memory: MemoryStore | None = None

    @property
    def is_durable(self) -> bool:
        """Whether the store is a file."""
        return self.store_name != "memory"

    @property
    def synchronous(self) -> str:
        """SQLite's name for the durability of a commit."""
        return self.store_name.upper()

    @property
    def path(self) -> Path:
        """The path of the run's log, if it is a file."""
        return self.folder / "log.db"

    def count(self, name: str) -> int:
        """Return a size that is a count."""
        return int(self.sizes[name])

    def seconds(self, name: str = "seconds") -> float:
        """Return a size that is a time in seconds."""
        return float(self.sizes[name])

    def store(self) -> EventStore:
        """Return the run's store, closed: always the same one in memory, or a new opening of the same file."""
        if self.is_durable:
            return SQLiteStore(self.path, synchronous=self.synchronous)
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
        """Record an open store's settings.

        The store has read each setting back from SQLite, and refuses to run with any other than requested.
        """
        if self.is_durable:
            ((mode,),) = await store.query("PRAGMA journal_mode", ())
            self.durability = f"journal_mode={mode}, {store.describe().partition('(WAL, ')[2].rstrip(')')}"

    @contextmanager
    def clock(self) -> Iterator[Stopwatch]:
        """Measure only what happens inside the block; a requested profile covers the same part."""
        clock = Stopwatch()
        gc.collect()
        if self._profile is not None:
            self._profile.start()
        cpu, began = time.process_time(), time.perf_counter()
        try:
            yield clock
        finally:
            clock.wall_s, clock.cpu_s = time.perf_counter() - began, time.process_time() - cpu
            if self._profile is not None:
                self._profile.stop()


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
    needs: a module that must be installed.
    label: its name beside our own scenarios.
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
    also: str = ""
    label: str = ""

    def asked(self, sizes: Sizes) -> str:
        """Return the question with these sizes; a missing size is taken from a full run."""
        return self.question.format_map({name: f"{size:,.0f}" for name, size in {**self.sizes, **sizes}.items()})


def more_is_better(figure: str) -> bool:
    """Return whether a figure is a rate; every other one is a cost."""
    return figure.endswith("_per_s")
