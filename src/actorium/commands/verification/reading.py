"""What the commands that verify a log share: opening it read-only, and the files of heads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from actorium.commands.problem import require_file
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import Examinable
from actorium.store.urls import open_store
from actorium.verification import LogHead, decode_head


@asynccontextmanager
async def log_to_verify(url: str) -> AsyncIterator[Examinable]:
    """Open the log that a URL names, read-only, even if it is damaged; raise ConfigurationError if there is none."""
    store = open_store(url)
    if not isinstance(store, Examinable):
        raise ConfigurationError(f"no other process can read the log: {store.describe()}")
    if not await store.exists():
        raise ConfigurationError(f"there is no log: {store.describe()}")
    await store.open(verified=False, read_only=True)
    try:
        yield store
    finally:
        await store.close()


def read_heads(files: Sequence[Path]) -> list[LogHead]:
    """Return the heads in files; raise a Problem or ConfigurationError for a file that holds none."""
    for file in files:
        require_file(file, "the head of a log")
    return [decode_head(file.read_bytes(), str(file)) for file in files]


def read_key(file: Path) -> bytes:
    """Return the content of a file with a key; raise a Problem if it cannot be read."""
    require_file(file, "a key")
    return file.read_bytes()
