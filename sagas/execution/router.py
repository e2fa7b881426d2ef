"""`Router`: delivers events to the sagas that they start or concern.

Each event reaches its saga at least once, and takes effect in it once: the id of the command to the saga is derived
from the event's position. If a saga's handler raises, only that saga is parked, with its later events behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import msgspec

from actorium.actors.commands import checked_id
from actorium.actors.envelope import Envelope
from actorium.runtime.commands.answer_batch import Take
from actorium.runtime.commands.derived_ids import bounded, derived_id
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.log.log_reader import Delivered, Unread
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.start_position import StartPosition, derives_ids_after
from actorium.runtime.retry import Retry
from actorium.sagas.execution.services import Services
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.messages import Happened
from actorium.sagas.model.stream import SagaStream
from actorium.store.errors import Transient
from actorium.store.events import Event, RecordedEvent
from actorium.store.names import StreamName

# Types whose JSON text is not stable enough for an id.
_NO_IDS = (bytes, bytearray, datetime, date, time, timedelta, Decimal)
# Sagas that take events concurrently; the runtime's own limits bound the commands they send.
_CONCURRENCY = 512
# An error that says nothing about the event or the saga is retried without limit.
_RETRY = Retry(attempts=1, backoff_s=0.05, backoff_max_s=5.0)


class Router:
    """The work of the processor for the sagas of one class."""

    concurrency = _CONCURRENCY

    def __init__(
        self,
        definition: SagaDefinition,
        checkpoint: Checkpoint,
        start_position: StartPosition,
        services: Services,
        head: Callable[[], int],
    ) -> None:
        self.event_classes = definition.event_classes
        self._definition = definition
        self._handler = SagaStream.__definition__.handlers[Happened]
        self._dispatcher = services.dispatcher
        self._checkpoint = checkpoint
        self._start_position = start_position
        self._store = services.store
        self._head = head
        self._derives_after = 0
        self._is_start_saved = False
        self._delivered_to = 0  # events up to here may have been delivered before
        self._source = services.source
        self._timeout_s = services.timeout_s

    def lane(self, delivered: Delivered) -> StreamName | None:
        """Return the stream of the saga that an event concerns; None if there is none."""
        if isinstance(delivered, Unread):
            return delivered.record.stream
        saga_id = self.saga_id(delivered)
        return StreamName(self._definition.saga_type, saga_id) if saga_id is not None else None

    def saga_id(self, recorded: RecordedEvent[Event]) -> str | None:
        """Return the id of the saga that an event starts or concerns; None if there is none."""
        is_later = recorded.position > self._derives_after
        return saga_id_of(self._definition, recorded, bounded(recorded.event_id) if is_later else None)

    def begin(self, recorded: RecordedEvent[Event], ended: Take) -> bool:
        """Deliver one event to its saga immediately, if there is room."""
        saga_id = self.saga_id(recorded)
        if saga_id is None:
            return False
        is_first = recorded.position > self._delivered_to
        if is_first and self._begins_stream(recorded):
            self._dispatcher.begin_stream(self._definition.saga_type, saga_id)
        return self._dispatcher.ask_nowait(self._envelope(saga_id, recorded, is_first), ended) is not None

    def _begins_stream(self, recorded: RecordedEvent[Event]) -> bool:
        """Say whether the saga of an event cannot have begun before: its id is that of the event."""
        known = self._definition.handler_of(type(recorded.event))
        return known is not None and known.is_start and known.correlate is None

    def may_overlap(self, delivered: Delivered) -> bool:
        """Return False: the events of a saga are delivered one after the other."""
        return False

    async def react(self, recorded: RecordedEvent[Event]) -> None:
        """Deliver one event to its saga."""
        saga_id = self.saga_id(recorded)
        if saga_id is None:
            return
        attempt = 0
        while True:
            try:
                await self._dispatcher.ask(self._envelope(saga_id, recorded))
                return
            except RuntimeClosed:
                raise
            except Transient:
                attempt += 1
                await asyncio.sleep(_RETRY.wait_s(attempt, self._source))

    def _envelope(self, saga_id: str, recorded: RecordedEvent[Event], is_first: bool = False) -> Envelope:
        # Use the position in the log: user-given ids may contain any character, and two must never collide.
        cause = f"{self._definition.saga_type}/{saga_id}<{recorded.position}.{recorded.part}"
        return Envelope(
            self._definition.saga_type,
            saga_id,
            Happened(saga_id, recorded, self._source.now_us()),
            self._handler,
            command_id=derived_id(cause) if recorded.position > self._derives_after else cause,
            fresh=is_first,
            correlation_id=recorded.metadata.flow_id,
            causation_id=recorded.event_id,
            headers=dict(recorded.metadata.headers),
            timeout_s=self._timeout_s,
        )

    async def is_new(self) -> bool:
        """Return whether the saga class is new to the log: it is not stored where its router begins."""
        return await self._start_position.is_new()

    async def save_start(self) -> None:
        """Save where the router begins and from where its ids are derived, if this is not stored yet.

        The ids come first: a router that began without them began in an older version.
        """
        if self._is_start_saved:
            return
        begun_before = 0 if await self._start_position.is_new() else self._head()
        self._derives_after = await derives_ids_after(self._checkpoint, self._store, begun_before)
        await self._start_position.save_if_new()
        self._is_start_saved = True

    async def prepare(self) -> None:
        """Continue where the last run ended; a saga class that is new to the log begins where `begins_at` says."""
        self._delivered_to = self._head()
        await self.save_start()
        await self._start_position.prepare()

    async def caught_up(self) -> None:
        """Do nothing: nothing waits until a router has caught up."""

    async def reset(self) -> None:
        """Read the log again from where the router first began; repeated events have no effect."""
        self._delivered_to = self._head()
        await self._start_position.reset()


def saga_id_of(definition: SagaDefinition, recorded: RecordedEvent[Event], own_id: str | None) -> str | None:
    """Return the id of the saga that an event starts or concerns; None if there is none.

    own_id: the id of a saga that is named after the event which starts it; None for the one of older versions.
    """
    event_class = type(recorded.event)
    known = definition.handler_of(event_class)
    if known is not None:
        if known.correlate is not None:
            return _correlated(known.correlate, recorded)
        return own_id if own_id is not None else _id_before_derived_ids(recorded)
    for step in definition.waiting_for(event_class):
        if step.correlate is not None:
            return _correlated(step.correlate, recorded)
    cause = recorded.metadata.cause
    return cause.id if cause is not None and cause.type == definition.saga_type else None


def _id_before_derived_ids(recorded: RecordedEvent[Event]) -> str:
    """Return the id that older versions gave the saga of this event, so that the event does not start a second saga."""
    part = f".{recorded.part}" if recorded.part else ""
    return f"{recorded.stream_id}@{recorded.version}{part}"


def _correlated(correlate: object, recorded: RecordedEvent[Event]) -> str | None:
    """Return the saga id from a field or a function of an event: a string, or the text of a UUID, an Enum or an int.

    Raises InvalidCommand for anything else, so that only this event is parked.
    """
    found = getattr(recorded.event, correlate) if isinstance(correlate, str) else correlate(recorded)  # type: ignore[operator]
    if found is None:
        return None
    found = msgspec.to_builtins(found, builtin_types=_NO_IDS)
    return checked_id(str(found) if type(found) is int else found, "correlated id")
