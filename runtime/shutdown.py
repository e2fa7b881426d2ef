"""`Shutdown`: ends a runtime whose store does not respond: waits for a limited time and reports unknown outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actorium.actors.actor import Actor
from actorium.actors.pending import PendingAppend
from actorium.store.errors import StoreHangs
from actorium.store.event_store import EventStore
from actorium.store.writers.checkpoint_writer import CheckpointWriter
from actorium.store.writers.group_commit_writer import GroupCommitWriter

_NAMED_MAX = 5


class Shutdown:
    """The time limit for the store to finish the commit in flight, and then to close; `error` once it is exceeded."""

    def __init__(self, limit_s: float) -> None:
        self.error: StoreHangs | None = None
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, writer: GroupCommitWriter[PendingAppend[Actor]], checkpoints: CheckpointWriter) -> None:
        """Wait for what is in flight up to the limit; then tell the writers to end without it."""
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._give_up, writer, checkpoints)

    def _give_up(self, writer: GroupCommitWriter[PendingAppend[Actor]], checkpoints: CheckpointWriter) -> None:
        requests, names = writer.give_up(), checkpoints.give_up()
        if requests is not None:
            self.error = StoreHangs(_hanging_commit(requests, self._limit_s), _command_ids(requests))
        elif names:
            self.error = StoreHangs(_hanging_save(names, self._limit_s))

    async def close(self, store: EventStore) -> None:
        """Close the store; after the time limit, stop waiting for it."""
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
        """Wait until the root task has ended, cancelled or not; raise StoreHangs if a store keeps it from ending.

        A task that still runs after `longest_s` is opening the store, or reading before the runtime serves.
        """
        cancelled: asyncio.CancelledError | None = None
        while not root.done():
            try:
                ended, _ = await asyncio.wait((root,), timeout=longest_s)
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
                continue
            if not ended and self.error is not None:
                break  # it was cancelled, and still has not ended
            if not ended:
                self.error = StoreHangs(f"the store has not responded within {longest_s:g} s; nothing was sent to it")
                root.cancel()
        if cancelled is not None:
            raise cancelled
        if self.error is not None:
            raise self.error


def _hanging_commit(requests: Sequence[PendingAppend[Actor]], limit_s: float) -> str:
    streams = [f"{append.stream} from version {append.expected_version + 1}" for append in requests]
    return (
        f"the store has not finished the commit in flight within close_s={limit_s:g} s: "
        f"{_listed(streams) or 'no events'}. Whether it is in the log is unknown: check once the store responds, "
        f"and send its commands again with the same command_id"
    )


def _hanging_save(names: Sequence[str], limit_s: float) -> str:
    return (
        f"the store has not finished saving within close_s={limit_s:g} s: {_listed(names)}. Whether it was written is "
        f"unknown; every commit that was acknowledged is in the log, and the next start continues from what was saved"
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_MAX
    return ", ".join([*names[:_NAMED_MAX], f"{more} more"] if more > 0 else names)


def _command_ids(requests: Sequence[PendingAppend[Actor]]) -> tuple[str, ...]:
    return tuple(request.command.command_id for request in requests if request.command is not None)
