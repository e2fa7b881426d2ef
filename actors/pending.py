"""`PendingAppend`: an actor's append on its way to the log."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from actorium.actors.envelope import Envelope
from actorium.store.errors import Transient
from actorium.store.event_store import Append, AppendOutcome, Snapshot
from actorium.store.events import Event, Metadata

A = TypeVar("A")


class PendingAppend(msgspec.Struct, Generic[A]):
    """An append whose outcome is unknown, and the replies that wait for it.

    metadata: what is stored beside its events; None for that of the envelope, which is made when somebody asks.
    size_bytes: the size of its events with their metadata.
    ends_recovery: it is the last append in flight of a recovering actor.
    snapshot: the state after these events, saved once they are durable.
    """

    actor: A
    envelope: Envelope
    append: Append
    events: tuple[Event, ...]
    metadata: Metadata | None
    size_bytes: int
    followers: list[tuple[Envelope, Any]] | None = None
    in_flight: bool = False
    withdrawn: bool = False
    outcome: AppendOutcome | Transient | None = None
    ends_recovery: bool = False
    snapshot: Snapshot | None = None
