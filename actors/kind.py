"""`ActorKind`: what all actors of one aggregate class share, and `ActorHost`: what they need of the runtime."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from actorium.actors.commands import Envelope
from actorium.actors.definition import AggregateDefinition
from actorium.actors.immutability import is_immutable
from actorium.actors.mailbox import Mailbox
from actorium.actors.pending import PendingAppend
from actorium.actors.snapshots import SnapshotKeeper
from actorium.store.codec import EventCodec
from actorium.store.errors import DuplicateCommand
from actorium.store.event_store import Snapshot

if TYPE_CHECKING:
    from actorium.actors.actor import Actor


# As many actors as may have mail at once under common load; some 700 bytes each.
SPARES_MAX = 256


class ActorHost(Protocol):
    """What an actor needs of the runtime around it."""

    def enqueue(self, request: PendingAppend) -> None:
        """Give an append to the writer."""

    def hydrate(self, actor: Actor) -> None:
        """Have an actor's stream read; ends in `hydrated` or `hydration_failed`."""

    def make_ready(self, actor: Actor) -> None:
        """Put an actor with mail on the ready queue."""

    def acknowledge(self, request: PendingAppend, position: int) -> None:
        """Answer a command whose events are durable, the first of them at `position`."""

    def answer(self, envelope: Envelope, outcome: Any) -> None:
        """Give an envelope its last answer: a value, an exception, or None for one that nobody waits for."""

    def answer_unwritten(self, envelope: Envelope, outcome: Any) -> None:
        """Answer a command that wrote nothing, unless the log says that its id took effect before."""

    def answer_duplicate(self, envelope: Envelope, duplicate: DuplicateCommand) -> None:
        """Answer a command whose id took effect before with that first effect."""

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Have the snapshot of a committed state written some time; or never, if there is no room for it."""

    def actor_failed(self, actor: Actor, error: Exception) -> None:
        """Be told that an actor's own code broke its state."""


class ActorKind:
    """What all actors of one aggregate class share; `live` holds those in memory, by id.

    `spare_mailboxes` and `spare_pendings` are empty ones for the next actor that gets mail, at most `SPARES_MAX`:
    making one costs more than all that it is used for.
    """

    __slots__ = (
        "aggregate_class",
        "codec",
        "definition",
        "evolvers",
        "has_create",
        "host",
        "live",
        "max_payload_bytes",
        "mutable_events",
        "snapshots",
        "spare_mailboxes",
        "spare_pendings",
        "type",
    )

    def __init__(
        self, definition: AggregateDefinition, codec: EventCodec, host: ActorHost, *, max_payload_bytes: int
    ) -> None:
        self.definition = definition
        self.aggregate_class = definition.aggregate_class
        self.type = definition.stream_type
        self.evolvers = definition.evolvers
        self.has_create = definition.has_create
        self.codec = codec
        self.host = host
        self.live: dict[str, Actor] = {}
        self.spare_mailboxes: list[Mailbox] = []
        self.spare_pendings: list[deque[PendingAppend]] = []
        self.max_payload_bytes = max_payload_bytes
        self.mutable_events = frozenset(event for event in definition.evolvers if not is_immutable(event))
        policy = definition.aggregate_class.snapshots
        self.snapshots = None if policy is None else SnapshotKeeper(definition, policy)
