"""Searches in the names that the log is indexed by: its types of streams, its streams, and the types of its events.

An adapter answers them from its indexes through `EventStore.read_rows`, like the reads of the runtime's own tables.
None of them reads a payload.
"""

from __future__ import annotations

from actorium.store.names import StreamName
from actorium.store.tables.own_rows import TableRead

LAST_CHARACTER = "\U0010ffff"
"""Sorts after every character that a name can hold, so that `prefix + LAST_CHARACTER` ends the names with a prefix."""


class FindStreamTypes(TableRead[str], frozen=True, gc=False):
    """The types of streams in the log, in order, at most `limit`."""

    limit: int


class FindStreams(TableRead[StreamName], frozen=True, gc=False):
    """The streams of a type in order of their ids, at most `limit`.

    id_prefix: only those whose id starts with it.
    after: only those whose id follows this one.
    """

    type: str
    limit: int
    id_prefix: str = ""
    after: str = ""


class FindEvents(TableRead[int], frozen=True, gc=False):
    """The positions of events of some types between two positions, the newest first, at most `limit`.

    It examines each position between `after_position` and `before_position`, both excluded: the caller limits how many
    these are.
    """

    types: tuple[str, ...]
    after_position: int
    before_position: int
    limit: int
