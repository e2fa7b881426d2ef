"""What readers of the log share: the columns of events, and the cache of their types."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from actorium.store.events import kind_bytes
from actorium.store.sqlite.packed import InDoubt, integers, texts

_PACKED = ("position", "recorded_us", "type", "checksum")
_PACKED_TEXTS = ("payload", "metadata")

EventType = tuple[str, int, bytes]
"""The name and schema version of a type of event, and `kind_bytes` of them."""

Kind = tuple[int, str, int]
"""The checksum of a kind of event in one stream, and its type's name and schema version."""


class EventTypes(dict[int, EventType]):
    """The types of events by their id; a type never changes once it is written."""

    def learn(self, db: sqlite3.Connection, type_id: int) -> EventType:
        """Read a type that is not known yet; raise InDoubt if there is none."""
        row = db.execute("SELECT name, schema_version FROM event_types WHERE id = ?", (type_id,)).fetchone()
        if row is None or not isinstance(row[0], bytes) or not isinstance(row[1], int):
            raise InDoubt
        name, schema_version = row[0].decode(errors="replace"), row[1]
        learned = self[type_id] = (name, schema_version, kind_bytes(name, schema_version))
        return learned


def packed_events(table: str) -> str:
    """Return the columns of a query that packs the events of a table; `unpacked_events` returns what they hold."""
    numbers = [f"group_concat({table}.{name})" for name in _PACKED]
    return ", ".join([*numbers, *[f"group_concat({table}.{name}, char(10))" for name in _PACKED_TEXTS]])


def unpacked_events(columns: Sequence[bytes | None]) -> tuple[list[Any], ...]:
    """Return the columns of packed events as lists."""
    *numbers, payloads, metadata = columns
    return *map(integers, numbers), texts(payloads), texts(metadata)
