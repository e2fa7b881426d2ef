"""`log_to_read`: how commands open a log that another process may be writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actorium.inspection import require_log
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore, Examinable


@asynccontextmanager
async def log_to_read(store: EventStore, *, verified: bool = True) -> AsyncIterator[Examinable]:
    """Open a log read-only while the block runs; raise ConfigurationError if there is none.

    verified: refuse a log with damaged tables.
    """
    if not isinstance(store, Examinable):
        raise ConfigurationError(f"no other process can read the log: {store.describe()}")
    await require_log(store)
    await store.open(verified=verified, read_only=True)
    try:
        yield store
    finally:
        await store.close()
