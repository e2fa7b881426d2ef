"""How the log names what it holds: streams, shapes of event, and the place where a command took effect."""

from __future__ import annotations

import msgspec


class StreamName(msgspec.Struct, frozen=True, gc=False, order=True):
    """The name of one aggregate's log: the kind of aggregate and its id. Written `Account<alice>`."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}<{self.id}>"


class StoredEventType(msgspec.Struct, frozen=True, gc=False):
    """A shape of event that the log holds.

    first_position: where the first event of it is. events: how many of it there are, None where nobody counted.
    """

    type: str
    schema_version: int
    first_position: int
    events: int | None = None


class CommandRecord(msgspec.Struct, frozen=True, gc=False):
    """Where the effect of a command is in the log: versions `first_version`..`version`, the last at `position`."""

    command_id: str
    fingerprint: int
    stream: StreamName
    first_version: int
    version: int
    position: int
