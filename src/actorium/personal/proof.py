"""Proves that forgotten subjects are forgotten: none of their keys is left, so nothing they encrypted can be read."""

from __future__ import annotations

from collections.abc import AsyncIterator

from actorium.personal.forgetting import FORGOTTEN_STREAM, SubjectForgotten
from actorium.store.codec import EventCodec
from actorium.store.event_store import EventStore, StreamRead
from actorium.store.personal.keys import KeyStore
from actorium.store.tables.log_search import FindStreams

_PAGE = 1_000


async def keys_left(store: EventStore, codec: EventCodec, keys: KeyStore) -> AsyncIterator[str]:
    """Yield a line for each forgotten subject whose destroyed key is back, for example from a backup of the keys.

    The store and the keys are open.
    """
    after = ""
    while streams := await store.read_rows(FindStreams(FORGOTTEN_STREAM, _PAGE, after=after)):
        after = streams[-1].id
        for stream in streams:
            key = keys.read(stream.id)
            if key is None:
                continue
            version = 0
            while records := (await store.read_streams([StreamRead(stream, version, _PAGE)]))[0].events:
                version += len(records)
                events = [event for one in records for event in codec.decode(one)]
                if any(isinstance(event, SubjectForgotten) and event.key == key.id for event in events):
                    yield f"{stream.id!r} was forgotten, but its key is back in {keys.describe()}: forget it again"
