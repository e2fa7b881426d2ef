"""How a runtime ends beside a store that does not answer: it waits for so long, and says what it does not know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actorium.actors.actor import Actor
from actorium.actors.pending import PendingAppend
from actorium.store.errors import StoreHangs
from actorium.store.event_store import EventStore
from actorium.store.writer import GroupCommitWriter

_NAMED_MAX = 5


class Shutdown:
    """The time that the store has for the commit in flight, and then to close; `error` once it took longer."""

    def __init__(self, limit_s: float) -> None:
        self.error: StoreHangs | None = None
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, writer: GroupCommitWriter[PendingAppend[Actor]] | None) -> None:
        """Give the commit in flight its time; then the writer is told to end without it."""
        if writer is not None:
            self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._give_up, writer)

    def _give_up(self, writer: GroupCommitWriter[PendingAppend[Actor]]) -> None:
        requests = writer.give_up()
        if requests is not None:
            self.error = StoreHangs(_hanging_commit(requests, self._limit_s), _command_ids(requests))

    async def close(self, store: EventStore) -> None:
        """Close the store; what is left of it after its time is not waited for."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(self._limit_s):
                await store.close()
        except TimeoutError:
            self.error = self.error or StoreHangs(
                f"{store.describe()} has not closed within close_s={self._limit_s:g} s; every commit that was "
                f"acknowledged is in the log"
            )

    async def of(self, root: asyncio.Task[None], longest_s: float) -> None:
        """Wait until the root task has ended, cancelled or not; raise StoreHangs if a store did not let it end.

        What has not ended after `longest_s` is an opening, or a read before the runtime serves.
        """
        cancelled: asyncio.CancelledError | None = None
        while not root.done():
            try:
                ended, _ = await asyncio.wait((root,), timeout=longest_s)
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
                continue
            if not ended and self.error is not None:
                break  # it was told to end, and even that it does not do
            if not ended:
                self.error = StoreHangs(f"the store has not answered within {longest_s:g} s; nothing was sent to it")
                root.cancel()
        if cancelled is not None:
            raise cancelled
        if self.error is not None:
            raise self.error


def _hanging_commit(requests: Sequence[PendingAppend[Actor]], limit_s: float) -> str:
    appends = [request.append for request in requests]
    streams = [f"{append.stream} from version {append.expected_version + 1}" for append in appends[:_NAMED_MAX]]
    if len(appends) > _NAMED_MAX:
        streams.append(f"{len(appends) - _NAMED_MAX} more")
    return (
        f"the store has not ended the commit in flight within close_s={limit_s:g} s: "
        f"{', '.join(streams) or 'no events'}. Whether it is in the log is unknown: look again once the store answers, "
        f"and send its commands again with the same command_id"
    )


def _command_ids(requests: Sequence[PendingAppend[Actor]]) -> tuple[str, ...]:
    return tuple(request.append.command.command_id for request in requests if request.append.command is not None)
