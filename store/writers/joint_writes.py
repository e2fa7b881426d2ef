"""`JointWrites`: an append and a save that wait at the same time share one transaction, and so one flush.

The store's two doors lead to one writing connection. While a transaction is in flight, at most one request waits at
each door. The caller of one of them, the leader, writes both. When a transaction ends, the callers that took part
usually come back at once with more work. So the next transaction waits for the one that is about to return: within the
same iteration of the event loop, so that the disk does not idle.

Invariants, true between any two awaits:
- at most one transaction is in flight, or about to start because a leader was woken: then `_is_taken` is set;
- while `_is_taken` is not set and no caller is awaited, nothing waits;
- `_awaited` is the door of the caller that is about to return; `_stop_waiting` is then scheduled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from actorium.store.errors import CommitUnknown, StatementFailed
from actorium.store.event_store import AppendBatch, Appended, SaveCheckpoint


class Written(NamedTuple):
    """The result of one transaction: that of its appends, and the checkpoints that were not written, by index."""

    appended: Appended
    failed_checkpoints: Mapping[int, StatementFailed]


_NO_APPENDS = AppendBatch(0)

Write = Callable[[AppendBatch, Sequence[SaveCheckpoint]], Awaitable[Written]]


class _Request:
    """What one caller wants to be written. `turn` gives what was written, or None if the caller is to lead."""

    __slots__ = ("batch", "checkpoints", "door", "turn")

    def __init__(
        self, door: Literal["append", "save"], batch: AppendBatch, checkpoints: Sequence[SaveCheckpoint]
    ) -> None:
        self.door = door
        self.batch = batch
        self.checkpoints = checkpoints
        self.turn: asyncio.Future[Written | None] | None = None


class JointWrites:
    """The two doors to one writing connection; `write` makes a transaction of what came through both."""

    __slots__ = ("_awaited", "_is_taken", "_stopping", "_waiting", "_write")

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: list[_Request] = []
        self._is_taken = False
        self._awaited: Literal["append", "save"] | None = None
        self._stopping: asyncio.Handle | None = None

    async def append(self, batch: AppendBatch) -> Appended:
        """Write a batch, as `EventStore.append` does."""
        return (await self._take_part(_Request("append", batch, ()))).appended

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, StatementFailed]:
        """Write checkpoints, as `EventStore.save` does."""
        return (await self._take_part(_Request("save", _NO_APPENDS, checkpoints))).failed_checkpoints

    async def _take_part(self, request: _Request) -> Written:
        assert all(other.door != request.door for other in self._waiting), "each door has one caller"
        self._waiting.append(request)
        if self._is_taken or self._awaited not in (None, request.door):
            request.turn = asyncio.get_running_loop().create_future()
            try:
                written = await request.turn
            except asyncio.CancelledError:
                self._withdraw(request)
                raise
            if written is not None:
                return written
        return await self._lead(request)

    async def _lead(self, leader: _Request) -> Written:
        """Write everything that waits."""
        if self._stopping is not None:
            self._stopping.cancel()
        self._awaited = self._stopping = None
        self._is_taken = True
        together, self._waiting = self._waiting, []
        batch = next((request.batch for request in together if request.door == "append"), _NO_APPENDS)
        checkpoints = next((request.checkpoints for request in together if request.door == "save"), ())
        followers = [request for request in together if request is not leader]
        try:
            written = await self._write(batch, checkpoints)
        except BaseException as error:
            self._ended(leader, followers, None, error)
            raise
        self._ended(leader, followers, written, None)
        return written

    def _ended(
        self, leader: _Request, followers: list[_Request], written: Written | None, error: BaseException | None
    ) -> None:
        self._is_taken = False
        if isinstance(error, asyncio.CancelledError):
            error = CommitUnknown("the caller that wrote this too was cancelled: it may have been written")
        for follower in followers:
            assert follower.turn is not None, "a request that waits has a turn"
            if follower.turn.done():
                continue
            if error is not None:
                follower.turn.set_exception(error)
            else:
                follower.turn.set_result(written)
        if followers or self._waiting:
            # The leader returns to its caller now, and a follower wakes before `_stop_waiting` runs.
            self._awaited = followers[0].door if followers else leader.door
            self._stopping = asyncio.get_running_loop().call_soon(self._stop_waiting)

    def _stop_waiting(self) -> None:
        """Let the request that waits lead: no other came."""
        self._awaited = self._stopping = None
        for request in self._waiting:
            assert request.turn is not None, "a request that waits has a turn"
            if not request.turn.done():  # otherwise its caller was cancelled
                self._is_taken = True
                request.turn.set_result(None)
                return

    def _withdraw(self, request: _Request) -> None:
        """Forget a request whose caller was cancelled before it was written."""
        if request in self._waiting:
            self._waiting.remove(request)
            assert request.turn is not None, "a request that waits has a turn"
            if not request.turn.cancelled():  # it was about to lead
                self._is_taken = False
                self._stop_waiting()
