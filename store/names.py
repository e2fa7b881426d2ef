"""Names in the log: streams, shapes of events, and the place where a command took effect."""

from __future__ import annotations

from typing import TypeGuard

import msgspec

NAME_BYTES_MAX = 200
"""The longest name that is stored for a class or method, in UTF-8: with an id it must fit into a key of an index."""


def is_storable_name(name: object) -> TypeGuard[str]:
    """Return whether a value is a string of 1 to `NAME_BYTES_MAX` bytes in UTF-8 without NUL."""
    if not isinstance(name, str):
        return False
    try:
        return 0 < len(name.encode()) <= NAME_BYTES_MAX and "\0" not in name
    except UnicodeEncodeError:
        return False


class StreamName(msgspec.Struct, frozen=True, gc=False, order=True):
    """The name of one aggregate's stream: its type and its id, written `Account<alice>`."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}<{self.id}>"


def event_id(stream: StreamName, version: int, part: int = 0) -> str:
    """Return the id of an event: `<stream type>/<stream id>/<version>`, with `.<part>` if a record has several events.

    Slashes and percent signs in the type are percent-escaped, so the start of the stream's id is unambiguous.
    """
    stream_type = stream.type
    if "/" in stream_type or "%" in stream_type:
        stream_type = stream_type.replace("%", "%25").replace("/", "%2F")
    return f"{stream_type}/{stream.id}/{version}" + (f".{part}" if part else "")


def stream_of_event(id: str) -> StreamName | None:
    """Return the stream that an event's id names; None if the text is not an event id."""
    stream_type, first_slash, rest = id.partition("/")
    stream_id, second_slash, version = rest.rpartition("/")
    if not first_slash or not second_slash or not version.replace(".", "", 1).isdecimal():
        return None
    return StreamName(stream_type.replace("%2F", "/").replace("%25", "%"), stream_id)


class StoredEventType(msgspec.Struct, frozen=True, gc=False):
    """A shape of event that the log holds.

    first_position: the position of its first event.
    events: the number of its events; None if they were not counted.
    """

    type: str
    schema_version: int
    first_position: int
    events: int | None = None


class CommandRecord(msgspec.Struct, frozen=True, gc=False):
    """The place where a command took effect: versions `first_version`..`version`, the last at `position`."""

    command_id: str
    fingerprint: int
    stream: StreamName
    first_version: int
    version: int
    position: int
