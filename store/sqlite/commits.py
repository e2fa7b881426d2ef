"""`Commits`: the transactions on the writing connection.

A commit that is flushed runs on the connection's thread. Without flushes a small one takes 50 microseconds, less than
the event loop alone spends on the way to the thread and back. So it runs on the loop's thread, if the loop cannot be
held up by it (docs/decisions/0107):

- nothing else is under way on the connection, and the commit reads nothing from the disk;
- it does not wait for the lock of another program: it is handed over instead;
- it runs no checkpoint: every `_SMALL_COMMITS_MAX` commits, two run on the thread. The first may run a checkpoint, and
  the second then begins the write-ahead log anew, with a flush;
- after one that was slow, the next ones run on the thread: the longer it took, the more of them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

from actorium.store.errors import CommitUnknown, StoreUnavailable
from actorium.store.event_store import AppendBatch, SaveCheckpoint
from actorium.store.sqlite.connection import Ended, WritingConnection
from actorium.store.sqlite.file import Medium
from actorium.store.sqlite.journal import Journal, failed_commit, is_busy
from actorium.store.sqlite.settings import SQLiteSettings
from actorium.store.writers.joint_writes import Written

# Of one commit on the loop's thread. More appends take longer there than the hand-over of their commit.
SMALL_COMMIT_APPENDS = 2
SMALL_COMMIT_EVENTS = 8
SMALL_COMMIT_BYTES = 16_384
# A commit of one event writes four pages or so: the write-ahead log grows by a quarter of its usual length at most.
_SMALL_COMMITS_MAX = 128
_FOR_A_CHECKPOINT = 2
# As long as the interpreter lets a thread wait for its lock.
_SLOW_S = 0.005
_HANDED_OVER_PER_SLOW_S = 20_000
_AFTER_A_LOCK = 100


class Commits:
    """Runs one transaction at a time.

    require_open: raises StoreUnavailable if the store is closed.
    """

    __slots__ = (
        "_connection",
        "_file",
        "_flushes",
        "_is_quick",
        "_journal",
        "_loop",
        "_next_here_in",
        "_require_open",
        "_settings",
        "_small_left",
    )

    def __init__(
        self,
        file: Medium,
        settings: SQLiteSettings,
        connection: WritingConnection,
        journal: Journal,
        require_open: Callable[[], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = file
        self._settings = settings
        self._flushes = settings.flushes
        self._connection = connection
        self._journal = journal
        self._require_open = require_open
        self._is_quick = False  # the connection neither waits for a lock nor runs checkpoints
        self._small_left = _SMALL_COMMITS_MAX  # until two run on the connection's thread
        self._next_here_in = 0  # commits on the connection's thread until one may run on the loop's

    def write(self, batch: AppendBatch, checkpoints: Sequence[SaveCheckpoint], ended: Ended) -> None:
        """Write a batch and checkpoints in one transaction, and call `ended` with the outcome, perhaps at once."""
        self._require_open()
        if not self._flushes:
            if self._next_here_in:
                self._next_here_in -= 1
            elif not checkpoints and self._write_here(batch, ended):
                return
        # With one append usually no other caller waits, and the loop yields anyway.
        work = partial(self._commit, batch, checkpoints)
        self._connection.run_then(work, ended, promptly=len(batch.appends) > 1)

    def close(self, db: sqlite3.Connection) -> None:
        """Complete the index of streams; without that the next opening reads its newest events again."""
        self._set(db, is_quick=False)
        self._file.check()
        self._journal.close(db)

    def _write_here(self, batch: AppendBatch, ended: Ended) -> bool:
        """Commit a small batch at once, on the loop's thread; return False if it is to be handed over."""
        db = self._connection.idle
        if db is None or not self._is_small(batch):
            return False
        self._small_left -= 1
        if not self._small_left:
            self._small_left = _SMALL_COMMITS_MAX
            self._next_here_in = _FOR_A_CHECKPOINT
        began = perf_counter()
        written: Written | None = None
        failure: BaseException | None = None
        try:
            self._set(db, is_quick=True)
            written = self._written(db, batch, ())
        except sqlite3.Error as error:
            if is_busy(error):  # nothing is written; the connection's thread can wait
                self._next_here_in = _AFTER_A_LOCK
                return False
            failure = self._failure(error)
        except Exception as error:
            failure = error
        except BaseException as interrupt:  # by a signal: its commit is reported like any other
            failure = CommitUnknown("the commit was interrupted: it may have been written")
            self._loop.call_soon(_throw, interrupt)
        took_s = perf_counter() - began
        if took_s > _SLOW_S:
            self._next_here_in = int(took_s * _HANDED_OVER_PER_SLOW_S)
        ended(written, failure)
        return True

    def _is_small(self, batch: AppendBatch) -> bool:
        appends = batch.appends
        if len(appends) > SMALL_COMMIT_APPENDS or not self._journal.knows(batch):
            return False
        events = size_bytes = 0
        for append in appends:
            events += len(append.events)
            for event in append.events:
                size_bytes += len(event.payload) + len(event.metadata)
        return events <= SMALL_COMMIT_EVENTS and size_bytes <= SMALL_COMMIT_BYTES

    def _commit(self, batch: AppendBatch, checkpoints: Sequence[SaveCheckpoint], db: sqlite3.Connection) -> Written:
        """Commit on the connection's thread."""
        try:
            self._set(db, is_quick=False)
            return self._written(db, batch, checkpoints)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _written(self, db: sqlite3.Connection, batch: AppendBatch, checkpoints: Sequence[SaveCheckpoint]) -> Written:
        file = self._file
        try:
            written = self._journal.commit(db, batch, checkpoints)
            file.check()
            if self._flushes:
                file.acknowledge(self._journal.position)
                file.make_room(db)
        except StoreUnavailable as lost:  # found after the write: the file is no longer the one at the path
            raise CommitUnknown(str(lost)) from lost
        return written

    def _failure(self, error: sqlite3.Error) -> Exception:
        failure = failed_commit(error)(
            f"{self._file.path} did not accept a commit: {error}; send its commands again with the same command_id"
        )
        failure.__cause__ = error
        return failure

    def _set(self, db: sqlite3.Connection, *, is_quick: bool) -> None:
        if is_quick is not self._is_quick:
            self._settings.hurry(db) if is_quick else self._settings.take_time(db)
            self._is_quick = is_quick


def _throw(interrupt: BaseException) -> None:
    raise interrupt
