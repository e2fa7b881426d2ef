"""`Outlet`: publishes events outside as CloudEvents 1.0, in the order of the log, at least once.

The log replaces an outbox table: recording an event needs no extra write. Only the position up to which events were
published is saved.

Invariants: the sink is offered one event at a time, and the next only after it has accepted that one; the saved
position never passes an event that was not accepted. So a crash publishes some events again, under the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from actorium.actors.annotations import is_proper_subclass, shown
from actorium.runtime.log.log_reader import Delivered, Unread
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.dead_letters import dead_letter, moved_to
from actorium.runtime.processors.recall_window import checked_hold_s
from actorium.runtime.processors.start_position import StartPosition
from actorium.runtime.retry import Retry, TryLater
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import DeadLetter
from actorium.store.events import Event, RecordedEvent, event_type_of
from actorium.store.raised import error_text, let_through
from actorium.store.source import Source

# The most events that a crash publishes again, and how long a slow sink goes without a saved position.
_SAVE_EVERY_EVENTS = 100
_SAVE_EVERY_S = 0.5
_RETRY = Retry(attempts=1, backoff_s=0.2, backoff_max_s=30.0)


CORRECTS_HEADER = "actorium-corrects"
"""The header of a correcting event that holds the id of the wrong event."""


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event in the CloudEvents 1.0 format (github.com/cloudevents/spec); `as_json` returns its structured form.

    `id` is the event's `RecordedEvent.event_id`, the same on every delivery; `type` is the event's stored name,
    `subject` the stream's id, and `time` the time at which the event was recorded. The extensions `correlationid`,
    `causationid` and `commandid` are the event's metadata, and `schemaversion` is the shape of `data`; `corrects` is
    the id of the wrong event that this event corrects. Empty ones are left out.
    """

    content_type: ClassVar[str] = "application/cloudevents+json"

    specversion: str = msgspec.field(
        default_factory=lambda: "1.0"
    )  # a factory, because a plain default would be omitted
    id: str
    source: str
    type: str
    time: datetime
    subject: str
    datacontenttype: str = msgspec.field(default_factory=lambda: "application/json")
    data: dict[str, Any]
    correlationid: str = ""
    causationid: str = ""
    commandid: str = ""
    corrects: str = ""
    schemaversion: int

    def as_json(self) -> bytes:
        """Return the event as one JSON object, to send with the content type `CloudEvent.content_type`."""
        return _encode(self)


_encode = msgspec.json.Encoder().encode
Sink = Callable[[CloudEvent], Awaitable[None]]


class Outlet:
    """Publishes events to other systems: `Runtime([Account, Outlet("bank", types=[…], sink=…, …)], …)`.

    name: the name under which its progress is saved.
    types: the event classes to publish.
    sink: an async function that accepts an event by returning. If it raises, it is called with the same
        event until it succeeds, so that the order is kept.
    source: the CloudEvents source, a URI reference that names the application.
    start: where an outlet that is new to a log begins: "now", after the existing events, or at the "beginning".
    retry: how long to wait between attempts.
    timeout_s: how many seconds the sink may take for one event before the attempt fails.
    hold_s: how many seconds an event waits before it is published; until then, `Processor.recall` can take it back.

    `runtime.processors[outlet]` is its processor, whose `reset` publishes all the events again. Raises
    ConfigurationError for invalid arguments.
    """

    def __init__(
        self,
        name: str,
        *,
        types: Collection[type[Event]],
        sink: Sink,
        source: str,
        start: Literal["now", "beginning"],
        retry: Retry = _RETRY,
        timeout_s: float = 30.0,
        hold_s: float = 0.0,
    ) -> None:
        if not name or not source.strip():
            raise ConfigurationError(
                f"Outlet({name!r}, source={source!r}): it needs a name, under which its progress is saved, and a "
                'CloudEvents source, such as "/bank"'
            )
        if start not in ("now", "beginning"):
            raise ConfigurationError(f'Outlet({name!r}, start={start!r}): start must be "now" or "beginning"')
        if not types:
            raise ConfigurationError(f"Outlet({name!r}, types=[]): give the event classes that it publishes")
        for one in types:
            if not is_proper_subclass(one, Event):
                raise ConfigurationError(f"Outlet({name!r}): {shown(one)} is not an Event")
        if timeout_s <= 0:
            raise ConfigurationError(f"Outlet({name!r}, timeout_s={timeout_s!r}): must be above 0")
        self.name = name
        self.types = frozenset(types)
        self.sink = sink
        self.source = source
        self.start = start
        self.retry = retry
        self.timeout_s = timeout_s
        self.hold_s = checked_hold_s(hold_s, f"Outlet({name!r})")

    def __repr__(self) -> str:
        return f"<Outlet {self.name}>"


def cloud_event(recorded: RecordedEvent[Event], source: str) -> CloudEvent:
    """Return a recorded event as a CloudEvent."""
    event, metadata = recorded.event, recorded.metadata
    return CloudEvent(
        id=recorded.event_id,
        source=source,
        type=event_type_of(type(event)),
        time=recorded.recorded_at,
        subject=recorded.stream_id,
        data=msgspec.to_builtins(event),
        correlationid=metadata.flow_id,
        causationid=metadata.causation_id,
        commandid=metadata.command_id,
        corrects=metadata.headers.get(CORRECTS_HEADER, ""),
        schemaversion=event.schema_version,
    )


class OutletWork:
    """The work and the delivery of a processor that publishes."""

    def __init__(self, outlet: Outlet, checkpoint: Checkpoint, start_position: StartPosition, source: Source) -> None:
        self.event_classes = outlet.types
        self._outlet = outlet
        self._checkpoint = checkpoint
        self._start_position = start_position
        self._source = source

    async def prepare(self) -> None:
        """Continue where the last run ended; on the first run, begin where `start` says."""
        await self._start_position.prepare()

    async def caught_up(self) -> None:
        """Do nothing: nothing waits for an outlet to catch up."""

    async def reset(self) -> None:
        """Publish all events again, from where the outlet first began."""
        await self._start_position.reset()

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Publish events in order and move the checkpoint behind them."""
        loop = asyncio.get_running_loop()
        saved_at, unsaved = loop.time(), 0
        for index, delivered in enumerate(events):
            if self._checkpoint.letters.hold_back(delivered):
                continue
            place = delivered.position
            if isinstance(delivered, Unread):
                await self._checkpoint.save(place, parked=[self._letter(delivered)])
                continue
            try:
                await self._publish(delivered)
            except BaseException as raised:
                let_through(raised)
                await self._move_to(place - 1)
                raise TryLater(
                    f"the sink of {self._checkpoint.name} did not accept {delivered.stream} version "
                    f"{delivered.version}: {error_text(raised)}",
                    self._outlet.retry,
                ) from raised
            unsaved += 1
            is_last_part = index + 1 == len(events) or events[index + 1].position > place
            if is_last_part and (unsaved >= _SAVE_EVERY_EVENTS or loop.time() - saved_at >= _SAVE_EVERY_S):
                await self._move_to(place)
                saved_at, unsaved = loop.time(), 0
        await self._move_to(position)

    async def again(self, letter: DeadLetter, events: Sequence[Delivered], following: Delivered | None) -> bool:
        """Publish a parked event and those behind it; return whether all succeeded."""
        parked: list[DeadLetter] = []
        for delivered in events:
            if isinstance(delivered, Unread):
                parked.append(self._letter(delivered))
                break
            await self._publish(delivered)
        if following is not None and not parked:
            await self._checkpoint.save(
                self._checkpoint.position, settled=[letter], parked=[moved_to(letter, following)]
            )
            return True
        await self._checkpoint.save(self._checkpoint.position, settled=[letter], parked=parked)
        return not parked

    async def _publish(self, recorded: RecordedEvent[Event]) -> None:
        async with asyncio.timeout(self._outlet.timeout_s):
            await self._outlet.sink(cloud_event(recorded, self._outlet.source))

    async def _move_to(self, position: int) -> None:
        if position > self._checkpoint.position:
            await self._checkpoint.save(position)

    def _letter(self, unread: Unread) -> DeadLetter:
        name, now_us = self._checkpoint.name, self._source.now_us()
        return dead_letter(name, unread, unread.error, attempts=1, parked_us=now_us, lane=None)
