"""The index of streams on the disk: at which position the event of a stream and version is.

An index that every commit writes costs more than the events themselves. The streams of one batch lie anywhere in it, so
a batch of 100 events changes 100 of its pages. So new events go to memory first (`recent.py`). When enough of them are
there they become a *run*, which is written in the order of the index, a slice with every few commits: neighbouring
entries share a page. docs/decisions/0045 has the figures.

The index has a mark: the position up to which it is complete. After a kill the events behind the mark are read again;
some of them may be in the index already.

A second event with the same stream and version is refused twice: an append must continue what memory, or for the first
recent event of a stream the index, holds as its newest version; and the primary key refuses it when its run is merged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from actorium.store.errors import CorruptStore
from actorium.store.names import StreamName
from actorium.store.sqlite.rows import RowStatement
from actorium.store.sqlite.streams.recent import RecentEvents, Tail

# A longer run writes fewer pages: over 100,000 streams 1,560 bytes per event with half as many, 1,070 with four times
# as many. Two runs are in memory at most, about 350 bytes for an event if each is of another stream.
RUN_EVENTS = 32_768
# The rows of the largest statement: the fewer slices, the fewer pages are written twice.
SLICE_EVENTS = 512
_SLICES_MIN = 4  # of a run, however short
# A run is in the index before the next one is full.
_MERGED_PER_EVENT = 2

_Place = tuple[int, int]
"""In a run: the number of a tail, and how many of its entries are merged."""
_FIRST: _Place = (0, 0)

_INSERT = (
    "INSERT INTO stream_versions (stream, version, position) SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
)
_MOVE_MARK = "UPDATE stream_versions_mark SET position = ?, complement = ~?"
_READ_MARK = "SELECT position, complement, (SELECT coalesce(max(position), 0) FROM events) FROM stream_versions_mark"
_REBUILD = (
    "DELETE FROM stream_versions",
    "INSERT INTO stream_versions (stream, version, position) "
    "SELECT stream, version, position FROM events ORDER BY stream, version",
    "DELETE FROM stream_versions_mark",
    "INSERT INTO stream_versions_mark (position, complement) SELECT last, ~last "
    "FROM (SELECT coalesce(max(position), 0) AS last FROM events)",
)
_FIND_TAKEN = "SELECT position FROM stream_versions WHERE stream = ? AND version = ?"
_FIND_STALE = (
    "SELECT 1 FROM (VALUES {rows}) WHERE column1 IS NOT NULL AND column2 <> "
    "(SELECT coalesce(max(version), 0) FROM stream_versions WHERE stream = column1)"
)


def read_mark(db: sqlite3.Connection, *, is_lenient: bool = False) -> int:
    """Return the position up to which the index is complete.

    Raises CorruptStore if that is not known; if `is_lenient`, returns the end of the log instead.
    """
    marks = db.execute(_READ_MARK).fetchall()
    if len(marks) == 1:
        position, complement, last = marks[0]
        is_sound = isinstance(position, int) and complement == ~position
        if is_sound and position <= last:
            return int(position)
        if is_lenient:
            return int(last)
        if is_sound:
            raise CorruptStore(
                f"the log is damaged: it ends at position {last}, but its index of streams lists events up to "
                f"{position}; restore a backup"
            )
    raise CorruptStore(
        "the log is damaged: the position up to which its index of streams is complete cannot be read; copy the file, "
        "then run `actorium repair` on it, or restore a backup"
    )


def rebuild_index(db: sqlite3.Connection) -> None:
    """Write the index anew from the events; raise CorruptStore if two have the same stream and version."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _REBUILD:
            db.execute(statement)
        db.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        raise CorruptStore("two events have the same stream and version: restore a backup") from error
    finally:
        db.rollback()


class StreamIndex:
    """The index on the writer's connection; merges the older of the recent events, a slice at a time.

    damage: why nothing more may be written, once a second event with the same stream and version has been found.

    `write_slice` is part of a transaction; `committed` is called after its commit, and after every other one.
    """

    __slots__ = (
        "_find_stale",
        "_insert",
        "_next",
        "_owed",
        "_place",
        "_recent",
        "_run",
        "_run_end",
        "_run_events",
        "_slice_events",
        "damage",
    )

    def __init__(self, db: sqlite3.Connection, recent: RecentEvents, run_events: int) -> None:
        self._insert = RowStatement(_INSERT, 3, db=db)
        self._find_stale = RowStatement(_FIND_STALE, 2, db=db)
        self._recent = recent
        self._run_events = run_events
        self._slice_events = min(SLICE_EVENTS, max(1, run_events // _SLICES_MIN))
        self._run: Sequence[Tail] = ()
        self._run_end = 0
        self._place = self._next = _FIRST
        self._owed = 0
        self.damage: str | None = None

    def is_stale(self, db: sqlite3.Connection, newest: Sequence[int]) -> bool:
        """Return whether the index holds another newest version than said for one of the streams.

        newest: ids and versions in turn.
        """
        return any(self._find_stale.fetch(db, newest))

    def open(self, db: sqlite3.Connection) -> None:
        """Read the events after the mark; raise CorruptStore if they do not continue what the index holds."""
        self._recent.begin_after(db, read_mark(db))
        self._run, self._place, self._next, self._owed = (), _FIRST, _FIRST, 0
        tails = self._recent.younger()
        if self.is_stale(db, [value for tail in tails for value in (tail.id, tail.after_version)]):
            raise _fork(db, _slice(tails, _FIRST, self._recent.end)[0])

    @property
    def is_due(self) -> bool:
        """Whether the next commit should write a slice."""
        return self._owed >= self._slice_events

    def write_slice(self, db: sqlite3.Connection) -> None:
        """Write the next entries of the run; raise CorruptStore if the index already holds one of them."""
        values, self._next = _slice(self._run, self._place, self._owed)
        self._write(db, values)
        if self._next[0] == len(self._run):
            db.execute(_MOVE_MARK, (self._run_end, self._run_end))

    def committed(self, events: int) -> None:
        """A transaction with so many events is committed, and with a slice if one was written."""
        recent = self._recent
        recent.commit()
        if self._next != self._place:
            self._place, self._owed = self._next, 0
            if self._place[0] == len(self._run):
                recent.drop_older(self._run_end)
                self._run, self._place, self._next = (), _FIRST, _FIRST
        if self._run:
            self._owed += _MERGED_PER_EVENT * events
        elif recent.younger_events >= self._run_events:
            self._run, self._run_end = recent.turn(), recent.end

    def refresh(self, db: sqlite3.Connection) -> None:
        """Read again what the last transaction may have written; it failed, or its end is unknown."""
        if self.damage is not None:
            raise CorruptStore(self.damage)
        if self._next == self._place:
            self._recent.follow(db)
        else:
            self.open(db)

    def complete(self, db: sqlite3.Connection) -> None:
        """Write all recent events in one transaction, so that the next opening reads none of them again.

        Nothing else may be written afterwards.
        """
        recent = self._recent
        if recent.end == recent.begin:
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            for run, place in ((self._run, self._place), (recent.younger(), _FIRST)):
                self._write(db, _slice(run, place, recent.end)[0])
            db.execute(_MOVE_MARK, (recent.end, recent.end))
            db.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise

    def _write(self, db: sqlite3.Connection, values: Sequence[int]) -> None:
        try:
            self._insert.execute(db, values)
        except sqlite3.IntegrityError as error:
            fork = _fork(db, values)
            self.damage = str(fork)
            raise fork from error


def _slice(run: Sequence[Tail], place: _Place, events: int) -> tuple[list[int], _Place]:
    """Return at most so many entries of a run as rows of the index, and the place of the next entry."""
    values: list[int] = []
    index, merged = place
    while events > 0 and index < len(run):
        tail = run[index]
        positions = tail.positions[merged : merged + events]
        for version, position in enumerate(positions, tail.after_version + merged + 1):
            values += (tail.id, version, position)
        events -= len(positions)
        merged += len(positions)
        if merged == len(tail.positions):
            index, merged = index + 1, 0
    return values, (index, merged)


def _fork(db: sqlite3.Connection, values: Sequence[int]) -> CorruptStore:
    """Return the error that names the first entry that is in the index already."""
    for id, version, position in zip(values[0::3], values[1::3], values[2::3], strict=True):
        taken = db.execute(_FIND_TAKEN, (id, version)).fetchone()
        if taken is not None and taken[0] != position:
            name = db.execute("SELECT type, name FROM streams WHERE id = ?", (id,)).fetchone()
            stream = StreamName(*name) if name is not None else f"stream {id}"
            return CorruptStore(
                f"the log is damaged: {stream} has version {version} twice, at positions {taken[0]} and {position}; "
                f"nothing more is written to it; stop the process and restore a backup"
            )
    return CorruptStore(
        "the log is damaged: its newest events do not follow those in its index of streams; copy the file, then run "
        "`actorium repair` on it, or restore a backup"
    )
