"""Whether everything in a log can be read by the code that opens it: asked before the first command is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from actorium.store.codec import EventCodec
from actorium.store.errors import UnreadableEvent, UnreadableTypes
from actorium.store.event_store import EventStore
from actorium.store.log import logger
from actorium.store.names import StoredEventType

log = logger("actorium.runtime")

_PAGE_EVENTS = 1_000


async def unreadable_types(store: EventStore, codec: EventCodec) -> list[StoredEventType]:
    """Return the shapes of event in an open store that a codec cannot read, counted.

    The log is read through only if a shape is unknown by its name.
    """
    if all(codec.why_unreadable(one.type, one.schema_version) is None for one in await store.event_types()):
        return []
    counted = await store.event_types(counted=True)
    return [one for one in counted if one.events and codec.why_unreadable(one.type, one.schema_version) is not None]


async def described(store: EventStore, codec: EventCodec, shapes: Sequence[StoredEventType]) -> list[str]:
    """Return a line about each shape that cannot be read: its name, version and count, its streams, and the mend."""
    keepers = await _keepers(store, {(one.type, one.schema_version) for one in shapes})
    return [
        f"{one.type} (schema version {one.schema_version}, {one.events} events"
        f"{keepers.get((one.type, one.schema_version), '')}): {codec.why_unreadable(one.type, one.schema_version)}"
        for one in shapes
    ]


async def _keepers(store: EventStore, shapes: set[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return which kind of stream keeps each shape first, in words; nothing of one that lies behind damage."""
    found: dict[tuple[str, int], str] = {}
    position = 0
    while len(found) < len(shapes):
        try:
            records = await store.read_log(position, _PAGE_EVENTS)
        except UnreadableEvent:
            break
        if not records:
            break
        for record in records:
            if (shape := (record.type, record.schema_version)) in shapes:
                found.setdefault(shape, f", first in a stream of {record.stream.type}")
        position = records[-1].position
    return found


async def require_readable(store: EventStore, codec: EventCodec, otherwise: Literal["refuse", "warn"]) -> None:
    """Raise UnreadableTypes, or log a warning, where an open store holds a shape that a codec cannot read."""
    found = await unreadable_types(store, codec)
    if not found:
        return
    lines = await described(store, codec, found)
    if otherwise == "warn":
        log.warning("unreadable_types", types=lines)
        return
    raise UnreadableTypes(
        "the log holds events that this runtime cannot read:\n  "
        + "\n  ".join(lines)
        + '\nMend it as said, or start with Settings(unreadable_types="warn"): their aggregates fail, others run.',
        found,
    )
