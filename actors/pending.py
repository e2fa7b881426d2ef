"""`PendingAppend`: an actor's append on its way to the log."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from actorium.actors.envelope import Envelope
from actorium.store.errors import Transient
from actorium.store.event_store import AppendOutcome, Snapshot
from actorium.store.events import Event, Metadata
from actorium.store.writers.group_commit_writer import AppendRequest

A = TypeVar("A")


class PendingAppend(AppendRequest, Generic[A], kw_only=True, eq=False):
    """An append whose outcome is unknown, and the replies that wait for it.

    One object is the append, the writer's request and the actor's record of it; its envelope is also the mark of its
    command. Several objects per command would cost more than the decision.

    decided: its events, as a replay will see them.
    metadata: what is stored beside its events; None for that of the envelope, which is made when somebody asks.
    ends_recovery: it is the last append in flight of a recovering actor.
    snapshot: the state after these events, saved once they are durable.
    """

    actor: A
    envelope: Envelope
    decided: tuple[Event, ...]
    metadata: Metadata | None
    followers: list[tuple[Envelope, Any]] | None = None
    outcome: AppendOutcome | Transient | None = None
    ends_recovery: bool = False
    snapshot: Snapshot | None = None
