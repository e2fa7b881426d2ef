"""Checks that the code can read everything in a log, before the first command is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from actorium.store.codec import EventCodec
from actorium.store.errors import UnreadableEvent, UnreadableTypes
from actorium.store.event_store import EventStore
from actorium.store.events import EncodedRecord
from actorium.store.log import logger
from actorium.store.names import StoredEventType
from actorium.store.wording import counted

log = logger("actorium.runtime")


class UnreadableShape(NamedTuple):
    """A shape of event that cannot be read, with its count.

    kept_in: the type of the stream that holds the first one; empty if that event is damaged.
    why: the reason and how to fix it.
    """

    shape: StoredEventType
    kept_in: str
    why: str

    def __str__(self) -> str:
        shape = self.shape
        place = f", first in a stream of {self.kept_in}" if self.kept_in else ""
        events = "" if shape.events is None else f", {counted(shape.events, 'event')}"
        return f"{shape.type} (schema version {shape.schema_version}{events}{place}): {self.why}"


async def unreadable_shapes(
    store: EventStore, codec: EventCodec, stored: Sequence[StoredEventType] | None = None
) -> list[UnreadableShape]:
    """Return the shapes of events in an open store that no class reads, or whose first event does not fit its class.

    One event of each shape is read and decoded. The whole log is read, to count, only if something is found.

    stored: the shapes in the store, if they were read before.
    """
    found: dict[tuple[str, int], tuple[str, str]] = {}
    for shape in await store.event_types() if stored is None else stored:
        first = await _first(store, shape)
        why = codec.why_unreadable(shape.type, shape.schema_version) or (first and codec.why_unfit(first))
        if why:
            found[shape.type, shape.schema_version] = (first.stream.type if first else "", why)
    if not found:
        return []
    counted = await store.event_types(counted=True)
    return [
        UnreadableShape(one, *found[one.type, one.schema_version])
        for one in counted
        if (one.type, one.schema_version) in found
    ]


async def _first(store: EventStore, shape: StoredEventType) -> EncodedRecord | None:
    """Return the first event of a shape; None if it is damaged, which its readers report."""
    try:
        records = await store.read_log(shape.first_position - 1, 1)
    except UnreadableEvent:
        return None
    for record in records:
        if (record.type, record.schema_version) == (shape.type, shape.schema_version):
            return record
    return None


async def require_readable(
    store: EventStore, codec: EventCodec, otherwise: Literal["refuse", "warn"]
) -> Sequence[StoredEventType]:
    """Raise UnreadableTypes, or log a warning, if an open store holds a shape that the codec cannot read.

    Returns the shapes in the store.
    """
    stored = await store.event_types()
    found = await unreadable_shapes(store, codec, stored)
    if not found:
        return stored
    lines = [str(one) for one in found]
    if otherwise == "warn":
        log.warning("unreadable_types", types=lines)
        return stored
    raise UnreadableTypes(
        "the log holds events that this runtime cannot read:\n  "
        + "\n  ".join(lines)
        + '\nFix each as described, or start with Settings(unreadable_types="warn"): then only their aggregates fail.',
        [one.shape for one in found],
    )
