"""Where the keys of a log are if the application does not say: beside the log."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore
from actorium.store.personal.keys import KeyStore
from actorium.store.personal.sqlite_keys import SQLiteKeys
from actorium.store.sqlite import SQLiteStore


@runtime_checkable
class WithKeys(Protocol):
    """A store that says where the keys of its log are."""

    @property
    def personal_keys(self) -> KeyStore:
        """The keys of the log."""
        ...


def keys_beside(store: EventStore) -> KeyStore:
    """Return the place of the keys of a log: a file beside an SQLite file, memory for a log in memory.

    Raises ConfigurationError for a store that does not say where its keys are.
    """
    if isinstance(store, WithKeys):
        return store.personal_keys
    if isinstance(store, SQLiteStore):
        return SQLiteKeys(f"{store.path}.keys")
    raise ConfigurationError(
        f"the application has personal data, but {type(store).__name__} does not say where its keys are: pass them as "
        "Runtime(…, keys=…)"
    )
