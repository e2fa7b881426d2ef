"""`commit_error`: what the callers of a call of the store are told if it raised."""

from __future__ import annotations

import asyncio

from actorium.store.errors import CommitUnknown, Transient
from actorium.store.raised import repr_of


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
