"""`CheckpointWriter`: one task that groups waiting checkpoints and saves one group at a time, beside the appends.

Invariants, true between any two awaits:
- at most one save is in flight. More checkpoints gather meanwhile, so the size of a save follows load;
- only the writer's own task calls the store; no caller's cancellation reaches it;
- `_idle` is set only while the task waits for checkpoints;
- checkpoints are saved in the order in which they were passed to `save`;
- the future of each ends exactly once, when the checkpoint is durable or with the error;
- `_flying` is the group in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import anyio

from actorium.store.errors import CommitUnknown, Transient
from actorium.store.event_store import SaveCheckpoint, SaveFailure
from actorium.store.log import logger
from actorium.store.raised import repr_of, text_of
from actorium.store.writers.commit_error import commit_error

log = logger("actorium.store")


class SavesCheckpoints(Protocol):
    """The part of a store that this writer uses."""

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        """Write checkpoints, as `EventStore.save` does."""


_Waiting = tuple[SaveCheckpoint, asyncio.Future[None]]


class CheckpointWriter:
    """Saves checkpoints with everything that belongs to them."""

    def __init__(self, store: SavesCheckpoints) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._flying: list[_Waiting] = []
        self._work: asyncio.Task[None] | None = None
        self._given_up = asyncio.Event()
        self._ending = False
        self._wake: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def save(self, checkpoint: SaveCheckpoint) -> asyncio.Future[None]:
        """Enqueue a checkpoint; the future ends when it is durable, or with the error."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((checkpoint, done))
        if self._wake is not None:
            self._awaken()
        return done

    async def run(self) -> None:
        """Write until cancelled; a call in flight is first finished and reported."""
        # The work runs in its own task, out of reach of cancel scopes, so it awaits the store directly. A guarded task
        # per call would cost a lone caller three more iterations of the loop.
        work = self._work = asyncio.get_running_loop().create_task(self._write_until_cancelled())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self._ending = True
            self._awaken()
            with anyio.CancelScope(shield=True):
                given_up = asyncio.ensure_future(self._given_up.wait())
                await asyncio.wait((work, given_up), return_when=asyncio.FIRST_COMPLETED)
                given_up.cancel()
            raise

    async def drained(self) -> None:
        """Return when nothing waits and nothing is in flight."""
        while self._waiting or not self._idle.is_set():
            await self._idle.wait()

    def _awaken(self) -> None:
        wake, self._wake = self._wake, None
        self._idle.clear()
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def _sleep(self) -> None:
        """Wait for checkpoints; `save` calls `_awaken`."""
        self._idle.set()
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake

    def give_up(self) -> list[str]:
        """End `run` although the store has not finished the save in flight; return the names of its checkpoints.

        Their futures end with CommitUnknown.
        """
        flying = self._flying
        if flying:
            self._report(
                flying, CommitUnknown("the store has not finished saving: the checkpoint may have been written")
            )
            self._flying = []
            assert self._work is not None, "a save is in flight only while the task runs"
            self._work.cancel()
            self._given_up.set()
        return [checkpoint.name for checkpoint, _ in flying]

    async def _write_until_cancelled(self) -> None:
        while not self._ending:
            if not self._waiting:
                await self._sleep()
                continue
            assert not self._flying, "at most one save is in flight"
            flying, self._waiting = self._waiting, []
            self._flying = flying
            outcome = await self._save([checkpoint for checkpoint, _ in flying])
            self._flying = []
            self._report(flying, outcome)

    async def _save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure] | Transient:
        try:
            return await self._store.save(checkpoints)
        except asyncio.CancelledError as cancellation:
            return commit_error(cancellation)
        except Exception as error:
            return commit_error(error)

    def _report(self, flying: Sequence[_Waiting], outcome: Mapping[int, SaveFailure] | Transient) -> None:
        failure = outcome if isinstance(outcome, Transient) else None
        if failure is not None:
            log.error("save_failed", checkpoints=len(flying), error=text_of(failure), cause=repr_of(failure.__cause__))
        for index, (_, done) in enumerate(flying):
            error = outcome if isinstance(outcome, Transient) else outcome.get(index)
            if done.done():
                continue
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(None)
