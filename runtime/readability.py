"""Whether everything in a log can be read by the code that opens it: asked before the first command is taken."""

from __future__ import annotations

from typing import Literal

from actorium.store.codec import EventCodec
from actorium.store.errors import UnreadableTypes
from actorium.store.event_store import EventStore, StoredEventType
from actorium.store.log import logger

log = logger("actorium.runtime")


async def unreadable_types(store: EventStore, codec: EventCodec) -> list[StoredEventType]:
    """Return the shapes of event in an open store that a codec cannot read, counted.

    The log is read through only if a shape is unknown by its name.
    """
    if all(codec.why_unreadable(one.type, one.schema_version) is None for one in await store.event_types()):
        return []
    counted = await store.event_types(counted=True)
    return [one for one in counted if one.events and codec.why_unreadable(one.type, one.schema_version) is not None]


def described(one: StoredEventType, codec: EventCodec) -> str:
    """Return one line about a shape that cannot be read: its name, version and count, and the mend."""
    why = codec.why_unreadable(one.type, one.schema_version)
    return f"{one.type} (schema version {one.schema_version}, {one.events} events): {why}"


async def require_readable(store: EventStore, codec: EventCodec, otherwise: Literal["refuse", "warn"]) -> None:
    """Raise UnreadableTypes, or log a warning, where an open store holds a shape that a codec cannot read."""
    found = await unreadable_types(store, codec)
    if not found:
        return
    lines = [described(one, codec) for one in found]
    if otherwise == "warn":
        log.warning("unreadable_types", types=lines)
        return
    raise UnreadableTypes(
        "the log holds events that this runtime cannot read:\n  "
        + "\n  ".join(lines)
        + '\nMend it as said, or start with Settings(unreadable_types="warn"): their aggregates fail, others run.',
        found,
    )
