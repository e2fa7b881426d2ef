"""`JointWrites`: an append and a save that wait at the same time share one transaction, and so one flush.

Both write methods of the store use one writing connection. While a transaction is in flight, at most one request of
each kind waits. When a transaction ends, its callers usually return at once with more work: in the next iteration of
the event loop. So the next transaction begins at the end of that iteration, if the last one served both methods or a
request is waiting. A lone caller does not wait.

Invariants, true between any two callbacks:
- at most one transaction is in flight, or `_begin` is scheduled: then `_is_busy` is set;
- while `_is_busy` is not set, nothing waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from actorium.store.errors import StatementFailed
from actorium.store.event_store import AppendBatch, Appended, SaveCheckpoint
from actorium.store.writers.prompt_future import PromptFuture


class Written(NamedTuple):
    """The result of one transaction: that of its appends, and the checkpoints that were not written, by index."""

    appended: Appended
    failed_checkpoints: Mapping[int, StatementFailed]


_NO_APPENDS = AppendBatch(0)

Report = Callable[[Written | None, BaseException | None], None]
"""Called on the event loop with what a transaction wrote, or with its error."""
Write = Callable[[AppendBatch, Sequence[SaveCheckpoint], Report], None]
"""Begins a transaction, and reports its end: in a later callback, or within this call."""
_Append = tuple[AppendBatch, asyncio.Future[Appended]]
_Save = tuple[Sequence[SaveCheckpoint], asyncio.Future[Mapping[int, StatementFailed]]]


class JointWrites:
    """Appends and saves on one writing connection; `write` runs a transaction for what waits."""

    __slots__ = ("_append", "_flying", "_is_busy", "_loop", "_save", "_write")

    def __init__(self, write: Write) -> None:
        self._loop = asyncio.get_running_loop()
        self._write = write
        self._append: _Append | None = None  # the waiting request of each kind
        self._save: _Save | None = None
        self._flying: tuple[_Append | None, _Save | None] = (None, None)
        self._is_busy = False

    def append(self, batch: AppendBatch) -> asyncio.Future[Appended]:
        """Write a batch, as `EventStore.append` does."""
        appended: asyncio.Future[Appended] = PromptFuture(self._loop)
        if self._is_busy:
            assert self._append is None or self._append[1].done(), "append has one caller at a time"
            self._append = batch, appended
        else:
            self._run((batch, appended), None)
        return appended

    def save(self, checkpoints: Sequence[SaveCheckpoint]) -> asyncio.Future[Mapping[int, StatementFailed]]:
        """Write checkpoints, as `EventStore.save` does."""
        saved: asyncio.Future[Mapping[int, StatementFailed]] = PromptFuture(self._loop)
        if self._is_busy:
            assert self._save is None or self._save[1].done(), "save has one caller at a time"
            self._save = checkpoints, saved
        else:
            self._run(None, (checkpoints, saved))
        return saved

    def _begin(self) -> None:
        """Write everything that waits, except for callers that were cancelled."""
        append, save = self._append, self._save
        self._append = self._save = None
        if append is not None and append[1].done():
            append = None
        if save is not None and save[1].done():
            save = None
        if append is None and save is None:
            self._is_busy = False
        else:
            self._run(append, save)

    def _run(self, append: _Append | None, save: _Save | None) -> None:
        self._is_busy = True
        self._flying = append, save
        try:
            self._write(_NO_APPENDS if append is None else append[0], () if save is None else save[0], self._ended)
        except Exception as error:
            self._ended(None, error)

    def _ended(self, written: Written | None, error: BaseException | None) -> None:
        append, save = self._flying
        self._flying = (None, None)
        if (append is not None and save is not None) or self._append is not None or self._save is not None:
            self._loop.call_soon(self._begin)  # after those who wait for this one
        else:
            self._is_busy = False
        # Those who wait may append and save again within these calls.
        if append is not None and not append[1].done():
            if written is None:
                append[1].set_exception(_failure(error))
            else:
                append[1].set_result(written.appended)
        if save is not None and not save[1].done():
            if written is None:
                save[1].set_exception(_failure(error))
            else:
                save[1].set_result(written.failed_checkpoints)


def _failure(error: BaseException | None) -> BaseException:
    assert error is not None, "a transaction that wrote nothing has failed"
    return error
