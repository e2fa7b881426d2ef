"""`CheckpointWriter`: one task that groups waiting checkpoints and saves one group at a time, beside the appends.

Invariants, true between any two awaits:
- checkpoints are saved in the order in which they were passed to `save`;
- the future of each ends exactly once, when the checkpoint is durable or with the error;
- `_flying` is the group in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from actorium.store.errors import CommitUnknown, StatementFailed, Transient
from actorium.store.event_store import SaveCheckpoint
from actorium.store.log import logger
from actorium.store.raised import repr_of, text_of
from actorium.store.writers.write_loop import WriteLoop, commit_error

log = logger("actorium.store")


class SavesCheckpoints(Protocol):
    """The part of a store that this writer uses."""

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, StatementFailed]:
        """Write checkpoints, as `EventStore.save` does."""


_Waiting = tuple[SaveCheckpoint, asyncio.Future[None]]


class CheckpointWriter(WriteLoop):
    """Saves checkpoints with everything that belongs to them."""

    def __init__(self, store: SavesCheckpoints) -> None:
        super().__init__()
        self._store = store
        self._waiting: list[_Waiting] = []
        self._flying: list[_Waiting] = []

    def save(self, checkpoint: SaveCheckpoint) -> asyncio.Future[None]:
        """Enqueue a checkpoint; the future ends when it is durable, or with the error."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((checkpoint, done))
        if self._wake is not None:
            self._awaken()
        return done

    def give_up(self) -> list[str]:
        """End `run` although the store has not finished the save in flight; return the names of its checkpoints.

        Their futures end with CommitUnknown.
        """
        flying = self._flying
        if flying:
            self._report(flying, CommitUnknown("the store has not finished saving: it may have been written"))
            self._flying = []
            self._abandon()
        return [checkpoint.name for checkpoint, _ in flying]

    def _has_mail(self) -> bool:
        return bool(self._waiting)

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

    async def _save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, StatementFailed] | Transient:
        try:
            return await self._store.save(checkpoints)
        except asyncio.CancelledError as cancellation:
            return commit_error(cancellation)
        except Exception as error:
            return commit_error(error)

    def _report(self, flying: Sequence[_Waiting], outcome: Mapping[int, StatementFailed] | Transient) -> None:
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
