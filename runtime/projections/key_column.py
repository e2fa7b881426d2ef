"""`KeyColumn`: which rows of a projection in SQL an event can change, so that these can be repaired alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, RecordedEvent

_COLUMN = re.compile(r"[^\W\d]\w*")

KeyValue = str | int | bytes


class KeyColumn(msgspec.Struct, frozen=True):
    """A column of every table in a projection's `schema`, and its values in the rows that an event can change.

    Rows with a key must depend only on the events with this key, and on those without a key.

    column: the name of the column.
    of: returns the key of a recorded event, or a list of keys; None for an event that can change all rows.

    Raises ConfigurationError for a column that is not a plain name.
    """

    column: str
    of: Callable[[RecordedEvent[Any]], KeyValue | Collection[KeyValue] | None]

    def __post_init__(self) -> None:
        if not _COLUMN.fullmatch(self.column):
            raise ConfigurationError(
                f"KeyColumn({self.column!r}, …): the column must be a name of letters, digits and _"
            )

    def keys(self, recorded: RecordedEvent[Event]) -> frozenset[KeyValue] | None:
        """Return the keys of an event; None if it can change all rows."""
        found = self.of(recorded)
        if found is None:
            return None
        return frozenset((found,) if isinstance(found, str | int | bytes) else found)
