"""`Scenario`: one question with its answer in figures; `Bench`: what a run of it is given.

Each run happens in a process of its own (see `child.py`), so that no run inherits another's memory, caches or garbage.
A scenario ends with figures, or raises `Wrong`: what was acknowledged is counted in the log afterwards, and a fast
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
    "full": "what is acknowledged survives a power cut",
    "normal": "what is acknowledged survives the process; a power cut may take the last of it",
}
_LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")  # as SQLite numbers them

OURS = "actorium"
YARDSTICK = "yardstick"

Figures = dict[str, float]
"""What a run measured; the end of a name is its unit: `_per_s`, `_us`, `_ms`, `_s`, `_bytes`, `_mb`, or a count."""

Sizes = Mapping[str, float]


class Wrong(Exception):
    """The figures do not count: the log does not hold what was acknowledged, or a result is not what it has to be."""


class Profile(Protocol):
    """What can watch the measured part of a run."""

    def start(self) -> Any: ...
    def stop(self) -> Any: ...


class Stopwatch:
    """How long the measured part took, on the wall and on all of the process's processors."""

    wall_s = 0.0
    cpu_s = 0.0


class Bench:
    """What a run is given, and where it leaves what it found.

    folder: empty, its own. shared: stays from run to run of one suite, for logs that are filled once.
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
        """SQLite's name for how durable a commit is."""
        return self.store_name.upper()

    @property
    def path(self) -> Path:
        """Where the run's own log lies, if it is a file."""
        return self.folder / "log.db"

    def count(self, name: str) -> int:
        """Return a size that is a number of things."""
        return int(self.sizes[name])

    def seconds(self, name: str = "seconds") -> float:
        """Return a size that is a time."""
        return float(self.sizes[name])

    def store(self) -> EventStore:
        """Return the run's store, closed: the same one in memory each time, or another opening of the same file."""
        if self.is_durable:
            return SQLiteStore(self.path, synchronous=self.synchronous)
        if self._memory is None:
            self._memory = MemoryStore()
        return self._memory

    def require_durability(self, db: sqlite3.Connection) -> None:
        """Keep what a connection says about itself; raise Wrong where it flushes otherwise than the store's name says.

        For whoever sets SQLite up by itself: yardsticks and peers.
        """
        ((mode,),) = db.execute("PRAGMA journal_mode").fetchall()
        ((level,),) = db.execute("PRAGMA synchronous").fetchall()
        if _LEVELS[level] != self.synchronous:
            raise Wrong(f"SQLite has synchronous={_LEVELS[level]} in force where it has to be {self.synchronous}")
        self.durability = f"journal_mode={mode}, synchronous={_LEVELS[level]}"

    async def ask_durability(self, store: EventStore) -> None:
        """Keep what an open store says about itself.

        Each setting was read back from SQLite when the store opened: it refuses to run with another than was asked.
        """
        if self.is_durable:
            ((mode,),) = await store.query("PRAGMA journal_mode", ())
            self.durability = f"journal_mode={mode}, {store.describe().partition('(WAL, ')[2].rstrip(')')}"

    @contextmanager
    def clock(self) -> Iterator[Stopwatch]:
        """Measure what happens inside, and nothing else; where a profile was asked for, it watches just this."""
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

    question: with the names of sizes in braces, so that a report asks what it answers. headline: the figure that two
    reports are compared by. also: what is worth showing of the other figures, in words with their names in braces; the
    JSON holds all, and all are shown where nothing is said. sizes, quick: how much is done, in full and with `--quick`
    (None: it takes too long for that). quick_stores: what it runs on then, where nobody says. subject: whose figures
    these are: ours, a peer's, a yardstick's. beside: the scenarios that it is measured by. needs: a module that
    has to be installed. label: its name where it stands beside ours.
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
        """Return the question with these sizes; one that is not among them is that of a full run."""
        return self.question.format_map({name: f"{size:,.0f}" for name, size in {**self.sizes, **sizes}.items()})


def more_is_better(figure: str) -> bool:
    """Say whether a figure is a rate; every other one is a cost."""
    return figure.endswith("_per_s")
