"""`RuntimeEnvironment`: the objects that all components of one runtime share."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from actorium.runtime.instrument import Instruments
from actorium.runtime.settings import Settings
from actorium.store.codec import EventCodec
from actorium.store.event_store import EventStore
from actorium.store.personal.key_ring import KeyRing
from actorium.store.source import Source


class RuntimeEnvironment(msgspec.Struct, frozen=True):
    """The store, the codec, the limits, the source of time and ids, and the instruments of one runtime.

    is_stopping: whether the runtime no longer accepts commands. Only then does a RuntimeClosed raised by user code
        come from this runtime.
    read_only: the runtime only reads; other processes write the log.
    keys: the keys of personal data; None if the application has none.
    """

    store: EventStore
    codec: EventCodec
    settings: Settings
    source: Source
    instruments: Instruments
    is_stopping: Callable[[], bool]
    read_only: bool = False
    keys: KeyRing | None = None
