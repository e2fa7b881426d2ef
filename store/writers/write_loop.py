"""`WriteLoop`: a task that passes waiting work to the store, one call at a time. Each door of the store has one.

Invariants, true between any two awaits:
- at most one call of the store is in flight. More work gathers meanwhile, so the size of a call follows load and there
  is no linger time to tune;
- only the loop's own task calls the store; no caller's cancellation reaches it;
- `_idle` is set only while the task waits for work.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

import anyio

from actorium.store.errors import CommitUnknown, Transient
from actorium.store.raised import repr_of


class WriteLoop(ABC):
    """Runs `_write_waiting` whenever work waits, until it is cancelled or given up."""

    def __init__(self) -> None:
        self._work: asyncio.Task[None] | None = None
        self._given_up = asyncio.Event()
        self._ending = False
        self._wake: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

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
        while self._has_mail() or not self._idle.is_set():
            await self._idle.wait()

    def _awaken(self) -> None:
        wake, self._wake = self._wake, None
        self._idle.clear()
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def _sleep(self) -> None:
        """Wait for work; whoever adds some calls `_awaken` if `_wake` is set."""
        self._idle.set()
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake

    def _abandon(self) -> None:
        """End `run` although the store has not finished the call in flight."""
        assert self._work is not None, "a call is in flight only while the loop runs"
        self._work.cancel()
        self._given_up.set()

    @abstractmethod
    def _has_mail(self) -> bool:
        """Return whether work waits."""

    @abstractmethod
    async def _write_until_cancelled(self) -> None:
        """Write what waits until `_ending` is set; what is in flight then is finished and reported."""


def commit_error(error: BaseException) -> Transient:
    """Return what the callers of a commit that raised are told; raise a cancellation of the current task."""
    if isinstance(error, Transient):
        return error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise error  # the loop itself is shutting down
        return CommitUnknown("the commit was cancelled by the store")
    unknown = CommitUnknown(f"the store raised an unexpected error: {repr_of(error)}")
    unknown.__cause__ = error
    return unknown
