"""Makes the key ring of an application that has personal data."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Iterator
from contextlib import contextmanager

from actorium.catalog import Catalog
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.settings import Settings
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore
from actorium.store.personal.beside import keys_beside
from actorium.store.personal.key_ring import KeyRing
from actorium.store.personal.keys import KeyStore


def key_ring_of(catalog: Catalog, store: EventStore, keys: KeyStore | None, settings: Settings) -> KeyRing | None:
    """Return the key ring of an application, not open; None if it has no personal data.

    keys: where the keys are; None: beside the log.

    Raises ConfigurationError if that is no KeyStore.
    """
    if not catalog.personal:
        return None
    place = keys_beside(store) if keys is None else keys
    if not isinstance(place, KeyStore):
        raise ConfigurationError(f"keys={keys!r} is no KeyStore; for a file, write keys=SQLiteKeys(…)")
    return KeyRing(place, cache_s=settings.key_cache_s, cache_keys=settings.key_cache_size)


def open_keys(environment: RuntimeEnvironment, *, is_alone: bool) -> None:
    """Open the keys of a runtime, if it has any, so that values in this process can be read.

    is_alone: no other process encrypts values for this log, or gets values before they are in it.
    """
    if environment.keys is not None:
        loop = get_running_loop()
        environment.keys.open(loop.time, loop.is_closed, read_only=environment.read_only, writes_through=not is_alone)


@contextmanager
def readable_keys(ring: KeyRing | None) -> Iterator[None]:
    """Have the values of a log that is only read decrypted with its keys, if it has any."""
    if ring is None:
        yield
        return
    loop = get_running_loop()
    ring.open(loop.time, loop.is_closed, read_only=True)
    try:
        yield
    finally:
        ring.close()
