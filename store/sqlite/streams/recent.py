"""The newest events of the log by stream, in memory, until the index on the disk holds them (`index.py`).

An entry is a hint: it says at which position the event of a stream and version is, or will be once the commit that
writes it has succeeded. A reader looks there and finds the event, or finds that it is not committed. Events up to
`certain` are committed.

A reader takes its entries from here first and reads the index on the disk afterwards. So each event is in one of them:
entries leave this memory only after the transaction that wrote them into the index.

Invariants, between two commits:
- every committed event that the index does not hold has an entry here;
- an event of a stream that has entries here follows them: there is no gap between the versions of two entries, nor
  between the index and the first entry;
- the older generation does not change. It is on its way into the index, and is dropped when it has arrived;
- only the writer's thread, or the only reader of a file that is open for reading, changes anything here. Other readers
  run on their own threads, and take both generations with one access.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from actorium.store.errors import CorruptStore
from actorium.store.names import StreamName

# Rows and their streams by position. The names as blobs: damaged text must not fail here.
_READ = (
    "SELECT stream, version, position, CAST(streams.type AS BLOB), CAST(streams.name AS BLOB) "
    "FROM events LEFT JOIN streams ON streams.id = events.stream "
    "WHERE position > ? AND position <= ? {only} ORDER BY position"
)
_EVERY_POSITION = 2**63 - 1
_READ_ALL = _READ.format(only="")
# The last run may have been merged in part.
_READ_MISSING = _READ.format(
    only="AND NOT EXISTS (SELECT 1 FROM stream_versions AS known WHERE known.stream = events.stream "
    "AND known.version = events.version AND known.position = events.position)"
)


PlannedAppend = tuple[StreamName, int, int, int, int]
"""An append: its stream, the stream's id and version before it, its first position, and the number of its events."""


class Tail:
    """The newest events of one stream: that of version `after_version + n` is at `positions[n - 1]`.

    id: the id of the stream in the database.
    """

    __slots__ = ("after_version", "id", "positions")

    def __init__(self, id: int, after_version: int, positions: list[int]) -> None:
        self.id = id
        self.after_version = after_version
        self.positions = positions

    @property
    def version(self) -> int:
        """The newest version."""
        return self.after_version + len(self.positions)


class _Generations(NamedTuple):
    older: dict[StreamName, Tail]
    younger: dict[StreamName, Tail]


class RecentEvents:
    """The events after position `begin`, by stream.

    end: the position of the last entry.
    certain: the position up to which they are committed.
    is_lenient: leave out an event that does not follow those of its stream, instead of raising CorruptStore.
    """

    __slots__ = ("_generations", "_is_lenient", "_uncertain", "begin", "certain", "end", "younger_events")

    def __init__(self, *, is_lenient: bool = False) -> None:
        self._is_lenient = is_lenient
        self._generations = _Generations({}, {})
        self._uncertain: list[StreamName] = []  # of the events after `certain`
        self.begin = self.certain = self.end = 0
        self.younger_events = 0

    def newest(self, stream: StreamName) -> Tail | None:
        """Return the tail with the newest event of a stream, for the writer; it may begin later than the stream's."""
        older, younger = self._generations
        return younger.get(stream) or older.get(stream)

    def tail(self, stream: StreamName) -> Tail | None:
        """Return a copy of a stream's tail."""
        older, younger = self._generations
        newer, tail = younger.get(stream), older.get(stream)
        if newer is None:
            return tail
        if tail is None:
            return Tail(newer.id, newer.after_version, newer.positions[:])
        return Tail(tail.id, tail.after_version, tail.positions + newer.positions)

    def announce(self, appends: Sequence[PlannedAppend]) -> list[PlannedAppend]:
        """Add events that are about to be written; return the appends whose streams have no earlier entry here.

        Raises IntegrityError, with some of them added, if one does not continue its stream.
        """
        older, younger = self._generations
        uncertain = self._uncertain
        first_ones: list[PlannedAppend] = []
        end = self.end
        for append in appends:
            stream, id, version, position, count = append
            assert position == end + 1, "the log has no gap"
            end += count
            tail = younger.get(stream)
            if tail is None:
                known = older.get(stream)
                if known is None:
                    first_ones.append(append)
                elif known.id != id or known.version != version:
                    raise sqlite3.IntegrityError(f"{stream} is at version {known.version}, not {version}")
                tail = younger[stream] = Tail(id, version, [])
            elif tail.id != id or tail.after_version + len(tail.positions) != version:
                raise sqlite3.IntegrityError(f"{stream} is at version {tail.version}, not {version}")
            tail.positions += range(position, end + 1)
            uncertain.append(stream)
            self.end = end
        return first_ones

    def commit(self) -> None:
        """The announced events are committed."""
        self.younger_events += self.end - self.certain
        self.certain = self.end
        self._uncertain.clear()

    def withdraw(self) -> None:
        """Remove the events that were announced since the last commit."""
        younger = self._generations.younger
        for stream in self._uncertain:
            tail = younger.get(stream)
            if tail is None:
                continue
            while tail.positions and tail.positions[-1] > self.certain:
                tail.positions.pop()
            if not tail.positions:
                del younger[stream]
        self._uncertain.clear()
        self.end = self.certain

    def turn(self) -> list[Tail]:
        """Make the younger generation the older one, and return its tails in the order of the index."""
        older, younger = self._generations
        assert not older, "one generation at a time is merged"
        assert self.end == self.certain, "only committed events are merged"
        run = self.younger()
        self._generations = _Generations(younger, {})
        self.younger_events = 0
        return run

    def younger(self) -> list[Tail]:
        """Return the tails of the younger generation in the order of the index."""
        return sorted(self._generations.younger.values(), key=_id_of)

    def drop_older(self, begin: int) -> None:
        """Drop the older generation: the index holds it. `begin` is its last position."""
        self._generations = _Generations({}, self._generations.younger)
        self.begin = begin

    def begin_after(self, db: sqlite3.Connection, position: int) -> None:
        """Start again with the events after this position that the index does not hold."""
        last = max(position, db.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])
        rows = db.execute(_READ_MISSING, (position, last)).fetchall()
        generations = _Generations({}, {})
        self._learn(generations, rows)
        self._generations = generations  # complete: readers may come at any moment
        self._uncertain.clear()
        self.younger_events = len(rows)
        self.begin = position
        self.certain = self.end = last

    def follow(self, db: sqlite3.Connection) -> None:
        """Add the committed events that are not here: another program wrote them, or a commit's end was unknown."""
        rows = db.execute(_READ_ALL, (self.certain, _EVERY_POSITION)).fetchall()
        self.withdraw()
        self._learn(self._generations, rows)
        if rows:
            self.younger_events += len(rows)
            self.certain = self.end = rows[-1][2]

    def _learn(self, generations: _Generations, rows: list[tuple[Any, ...]]) -> None:
        older, younger = generations
        for id, version, position, type_, name in rows:
            if type_ is not None and name is not None and isinstance(version, int):
                stream = StreamName(type_.decode(errors="replace"), name.decode(errors="replace"))
                newest = younger.get(stream) or older.get(stream)
                if newest is None or version == newest.version + 1:
                    tail = younger.get(stream)
                    if tail is None:
                        tail = younger[stream] = Tail(id, version - 1, [])
                    tail.positions.append(position)
                    continue
            if not self._is_lenient:
                raise CorruptStore(
                    f"the log is damaged: the event at position {position} does not follow those of its stream; "
                    f"restore a backup"
                )


def _id_of(tail: Tail) -> int:
    return tail.id
