"""`ActorKind`: data that all actors of an aggregate class share. `ActorHost`: the runtime's interface for actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, CommandHandler
from actorium.actors.definition import AggregateDefinition
from actorium.actors.envelope import Envelope
from actorium.actors.handlers.encryption import encrypting
from actorium.actors.handlers.purity import guarded
from actorium.actors.immutability import is_immutable
from actorium.actors.pending import PendingAppend
from actorium.actors.snapshots import SnapshotKeeper
from actorium.store.codec import EventCodec
from actorium.store.event_store import Snapshot
from actorium.store.events import Event, Metadata, as_json
from actorium.store.names import CommandRecord
from actorium.store.personal.fields import Encrypt
from actorium.store.shapes.round_trip import Check

A = TypeVar("A")


class ActorHost(Protocol[A]):
    """The operations of the runtime that an actor uses."""

    def enqueue(self, request: PendingAppend[A]) -> None:
        """Pass an append to the writer."""

    def withdraw(self, request: PendingAppend[A]) -> None:
        """Have the writer drop an append that is not in flight."""

    def is_in_flight(self, request: PendingAppend[A]) -> bool:
        """Return whether the store was asked to write an append, and its outcome is not known yet."""

    def hydrate(self, actor: A) -> None:
        """Read an actor's stream; ends in `hydrated` or `hydration_failed`."""

    def make_ready(self, actor: A) -> None:
        """Put an actor with mail on the ready queue."""

    def turn_now(self, actor: A) -> None:
        """Give an actor with mail its turn immediately."""

    def acknowledge(self, request: PendingAppend[A], position: int) -> None:
        """Answer a command whose events are durable, the first of them at `position`."""

    def answer(self, envelope: Envelope, outcome: Any) -> None:
        """Send the final reply to an envelope: a value, an exception, or None if nobody waits for it."""

    def answer_unwritten(self, envelope: Envelope, outcome: Any) -> None:
        """Answer a command that wrote nothing, unless the log shows that its id already took effect."""

    def look_up_ids(self, actor: A) -> bool:
        """Look up the command ids of an actor's mail if they may be in the log; return whether it must wait."""

    def answer_duplicate(self, envelope: Envelope, first_effect: CommandRecord) -> None:
        """Answer a command whose id already took effect with that first effect."""

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Write the snapshot of a committed state later, or drop it if there is no room."""


Evolve = Callable[[Any, Any], Any]

EventForm = tuple[str, int, Check, Evolve]
"""One class of event as an actor decides it: its stored name and schema version, its check, and its `evolve`, which
takes the state and an event that readers of the log also receive. A plain tuple, because it is unpacked twice as fast.
"""


class ActorKind(Generic[A]):
    """The data that all actors of one aggregate class share.

    live: the actors in memory, by id.
    copied: the decoders of the event classes that are copied for each state and each reader.
    encrypt: encrypts the personal data of its commands and events; None if the application has none.
    handlers: the command handlers, wrapped to check that decisions do not change the state: the first ones of each,
        or all with `development`.
    metadata_of: returns the metadata for a handler's events, from the state and the command's metadata, for handlers
        that want metadata.
    """

    __slots__ = (
        "aggregate_class",
        "codec",
        "copied",
        "definition",
        "evolvers",
        "forms",
        "handlers",
        "has_create",
        "host",
        "live",
        "max_payload_bytes",
        "metadata_of",
        "snapshots",
        "type",
    )

    def __init__(
        self,
        definition: AggregateDefinition[Aggregate],
        codec: EventCodec,
        host: ActorHost[A],
        *,
        max_payload_bytes: int,
        development: bool = False,
        encrypt: Encrypt | None = None,
    ) -> None:
        self.definition = definition
        self.aggregate_class = definition.aggregate_class
        self.type = definition.stream_type
        handlers: Mapping[type[Command], CommandHandler] = definition.handlers
        if encrypt is not None:
            handlers = encrypting(handlers, definition.stream_type, definition.evolvers, encrypt)
        self.handlers = guarded(handlers, always=development)
        self.evolvers = definition.evolvers
        self.has_create = definition.has_create
        self.codec = codec
        self.host = host
        self.live: dict[str, A] = {}
        self.max_payload_bytes = max_payload_bytes
        self.metadata_of: Callable[[Any, Metadata], Metadata] = _as_given
        self.copied = {event: codec.shape(event).decode for event in self.evolvers if not is_immutable(event)}
        self.forms = {event: self._form(event, evolve) for event, evolve in definition.evolvers.items()}
        policy = definition.aggregate_class.snapshots
        self.snapshots = None if policy is None else SnapshotKeeper(definition, policy, every_time=development)

    def evolve_without_copies(self) -> None:
        """Share events between states and readers without a copy, for a class whose states never change them."""
        self.copied = {}
        self.forms = {event: (*form[:3], self.evolvers[event]) for event, form in self.forms.items()}

    def _form(self, event_class: type[Event], evolve: Callable[[Any, Any], Any]) -> EventForm:
        name, schema_version, decode, check = self.codec.shape(event_class)

        def evolve_with_a_copy(state: Any, event: Event) -> Any:
            return evolve(state, decode(as_json(event)))

        # The state may keep a list from its event and change it later; readers of the event must not see that.
        return name, schema_version, check, evolve_with_a_copy if event_class in self.copied else evolve


def _as_given(state: Any, metadata: Metadata) -> Metadata:
    return metadata
