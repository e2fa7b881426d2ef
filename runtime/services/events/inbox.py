"""`Inbox`: records the events of another service in this log, each once.

Projections, reactions and sagas then handle them like any other event: a rebuild reads them here, long after the other
service's stream has forgotten them. They are kept in streams of the service's name, under the id of the stream they
come from, so `recorded.stream_id` is the id of the other service's aggregate.

Invariants: an event is recorded under an id derived from its own, so it is recorded once; the events of one stream keep
their order: several are under way at a time only if each names the version that the one before it leads to; the saved
number never passes an event that is not recorded or parked.
"""

from __future__ import annotations

import asyncio
from functools import partial, reduce
from operator import or_
from types import new_class
from typing import Any
from weakref import WeakKeyDictionary

from actorium.actors.aggregate import Aggregate, decide, evolve
from actorium.actors.commands import Command
from actorium.actors.envelope import Envelope
from actorium.actors.snapshots import Snapshots
from actorium.runtime.commands.answer_batch import Answer, Take
from actorium.runtime.commands.derived_ids import MARK, derived_id
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.log.log_reader import Delivered
from actorium.runtime.processors.lagging_checkpoint import LaggingCheckpoint
from actorium.runtime.retry import Retry
from actorium.runtime.services.events.inbox_reader import InboxReader
from actorium.runtime.services.service import RemoteService
from actorium.runtime.services.subjects import event_id_of_elsewhere
from actorium.store.errors import Transient
from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.events import Event, RecordedEvent
from actorium.store.names import StreamName
from actorium.store.source import Source

_CONCURRENCY = 2_048
# For more streams than these, the version that an event leads to is forgotten.
_VERSIONS_MAX = 50_000
_RETRY = Retry(attempts=1, backoff_s=0.05, backoff_max_s=5.0)
# The actors of these streams have no state: a snapshot spares them the events.
_SNAPSHOTS = Snapshots(every=500)


class TakeIn(Command):
    """Record an event of another service."""

    recorded: RecordedEvent[Event]


_streams: WeakKeyDictionary[RemoteService, type[Aggregate]] = WeakKeyDictionary()


def inbox_stream_of(remote: RemoteService) -> type[Aggregate]:
    """Return the aggregate class of the streams that keep a service's events, the same class each time."""
    stream = _streams.get(remote)
    if stream is None:
        stream = _streams[remote] = _new_stream(remote)
    return stream


def _new_stream(remote: RemoteService) -> type[Aggregate]:
    events: Any = reduce(or_, remote.events.values())

    def take_in(self: Any, command: TakeIn) -> Any:
        return command.recorded.event

    def taken(self: Any, event: Any) -> None:
        pass

    take_in.__annotations__ = {"command": TakeIn, "return": events}
    taken.__annotations__ = {"event": events, "return": None}

    def body(namespace: dict[str, Any]) -> None:
        namespace.update(
            __module__=__name__,
            __doc__=f"The events of one stream of {remote.name}.",
            stream_type=remote.name,
            snapshots=_SNAPSHOTS,
            take_in=decide(take_in),
            taken=evolve(taken),
        )

    return new_class(f"InboxStream_{remote.name}", (Aggregate,), {}, body)


class InboxCheckpoint(LaggingCheckpoint):
    """How far another service's events were taken in; its positions are not those of this log."""

    async def require_within(self, position: int) -> None:
        """Do nothing: the stream that it counts may end anywhere."""


class Inbox:
    """The work of the processor that takes one service's events in."""

    concurrency = _CONCURRENCY

    def __init__(
        self,
        remote: RemoteService,
        stream: type[Aggregate],
        reader: InboxReader,
        checkpoint: InboxCheckpoint,
        dispatcher: Dispatcher,
        store: EventStore,
        source: Source,
        timeout_s: float,
    ) -> None:
        self.event_classes = frozenset(remote.events.values())
        self._remote = remote
        self._handler = stream.__definition__.handlers[TakeIn]
        self._reader = reader
        self._checkpoint = checkpoint
        self._dispatcher = dispatcher
        self._store = store
        self._source = source
        self._timeout_s = timeout_s
        self._begins_after: int | None = None  # None until it is stored
        self._taken_to = 0  # events up to here may have been taken in before
        self._versions: dict[StreamName, int] = {}  # where streams are when everything under way has ended

    def lane(self, delivered: Delivered) -> StreamName:
        """Return the stream under which an event is kept."""
        return delivered.stream

    def begin(self, recorded: RecordedEvent[Event], ended: Take) -> bool:
        """Record one event immediately, if there is room."""
        fresh = recorded.position > self._taken_to
        stream = recorded.stream
        version = self._versions.get(stream)
        envelope = self._envelope(recorded, fresh)
        if version is None:
            return self._dispatcher.ask_nowait(envelope, partial(self._first_ended, stream, ended)) is not None
        envelope.expected_version = version
        if self._dispatcher.ask_nowait(envelope, ended) is None:
            return False
        self._versions[stream] = version + 1
        return True

    def _first_ended(self, stream: StreamName, ended: Take, answer: Answer) -> None:
        """Remember the version that a first event led to, unless it was recorded long ago."""
        if not answer.cancelled() and answer.exception() is None and not answer.result().duplicate:
            if len(self._versions) >= _VERSIONS_MAX:
                self._versions.clear()
            self._versions[stream] = answer.result().version
        ended(answer)

    def may_overlap(self, delivered: Delivered) -> bool:
        """Return whether the version is known that the events ahead of this one lead to."""
        return delivered.stream in self._versions

    async def react(self, recorded: RecordedEvent[Event]) -> None:
        """Record one event."""
        self._versions.pop(recorded.stream, None)
        attempt = 0
        while True:
            try:
                await self._dispatcher.ask(self._envelope(recorded, fresh=False))
                return
            except RuntimeClosed:
                raise
            except Transient:
                attempt += 1
                await asyncio.sleep(_RETRY.wait_s(attempt, self._source))

    def _envelope(self, recorded: RecordedEvent[Event], fresh: bool) -> Envelope:
        name, metadata = self._remote.name, recorded.metadata
        event_id = metadata.causation_id + (f".{recorded.part}" if recorded.part else "")
        return Envelope(
            name,
            recorded.stream_id,
            TakeIn(recorded.stream_id, recorded),
            self._handler,
            # A service's name holds no space, so no service can derive an id like this one.
            command_id=derived_id(f"{MARK}inbox {name}/{event_id}"),
            fresh=fresh,
            correlation_id=metadata.flow_id,
            causation_id=event_id_of_elsewhere(name, metadata.causation_id),
            headers=dict(metadata.headers),
            timeout_s=self._timeout_s,
        )

    @property
    def name(self) -> str:
        """The name under which its progress is saved."""
        return self._checkpoint.name

    async def is_new(self) -> bool:
        """Return whether the service is new to this log: it is not stored where its inbox begins."""
        return self._begins_after is None and await self._store.load_checkpoint(self._start_name) == 0

    async def save_start(self) -> int:
        """Return the number of the event after which the inbox begins; it is saved if the service is new here.

        Raises ServiceUnavailable or DamagedLog if that is the end of the stream, which cannot be read now.
        """
        if self._begins_after is None:
            known = await self._store.load_checkpoint(self._start_name)
            if known == 0:
                known = 1 + (await self._reader.last_number() if self._remote.start == "now" else 0)
                await self._checkpoint.writer(SaveCheckpoint(self._start_name, known))
            self._begins_after = known - 1
        return self._begins_after

    @property
    def _start_name(self) -> str:
        return f"{self._checkpoint.name} begins after"

    async def prepare(self) -> None:
        """Continue where the last run ended; a service that is new here begins where `start` says."""
        checkpoint = self._checkpoint
        await checkpoint.load()
        self._versions.clear()
        self._taken_to = await self._reader.last_number()
        checkpoint.move_in_memory(max(checkpoint.position, await self.save_start()))

    async def caught_up(self) -> None:
        """Do nothing: nothing waits for an inbox to catch up."""

    async def reset(self) -> None:
        """Read the stream again from its beginning; events that were recorded before have no effect."""
        letters = self._checkpoint.letters
        await self._checkpoint.save(0, settled=[*letters.parked(), *letters.discarded()])
        letters.forget_all()
        self._taken_to = self._reader.log_tail.position
