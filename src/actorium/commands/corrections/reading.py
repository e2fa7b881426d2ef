"""Opens the log of an application that the command does not run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actorium.application import Runtime
from actorium.inspection import require_log
from actorium.personal.opening import readable_keys
from actorium.store.event_store import EventStore, Examinable


@asynccontextmanager
async def opened(runtime: Runtime) -> AsyncIterator[EventStore]:
    """Open the log and the keys of a runtime that is not started, read-only; the application may be running."""
    await require_log(runtime.store)
    store = runtime.store
    await (store.open(read_only=True) if isinstance(store, Examinable) else store.open())
    try:
        with readable_keys(runtime.key_ring):
            yield store
    finally:
        await store.close()
