"""`Publisher`: publishes a service's events to its stream on the bus, each exactly once.

The stream itself says how far it has come: its last entry holds the position of this log, and the next entry is
accepted only behind that one. So a restart, a lost confirmation and a rival publisher neither skip nor repeat an event,
and a stream that lost its newest entries gets them again.

Invariants: `_end` is where the stream ended when this publisher last looked or wrote, None if that is not certain; an
entry is written only behind `_end`; the saved position never passes an event that is not in the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actorium.runtime.bus.bus import Bus
from actorium.runtime.errors import ServiceUnavailable, WrongSequence
from actorium.runtime.log.log_reader import Delivered, LogReader, Unread
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.dead_letters import dead_letter
from actorium.runtime.retry import Retry, TryLater
from actorium.runtime.services.events.batches import batches_of, decode_batch
from actorium.runtime.services.service import Service
from actorium.runtime.services.subjects import events_of, growth_of
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import DeadLetter
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.source import Source

log = logger("actorium.services")

_RETRY = Retry(attempts=1, backoff_s=0.1, backoff_max_s=5.0)


class _End(NamedTuple):
    """The end of the stream: its last sequence number, event number, and position of this log."""

    sequence: int
    number: int
    position: int


class Publisher:
    """The work and the delivery of the processor that publishes a service's events."""

    def __init__(
        self, service: Service, bus: Bus, checkpoint: Checkpoint, log_reader: LogReader, source: Source
    ) -> None:
        self.event_classes = service.publishes
        self._service = service
        self._bus = bus
        self._stream = events_of(service.name)
        self._checkpoint = checkpoint
        self._log_reader = log_reader
        self._source = source
        self._end: _End | None = None
        self._published_to = 0  # the position up to which everything was in the stream once

    async def prepare(self) -> None:
        """Continue where the last run ended."""
        await self._checkpoint.load()
        self._end = None

    async def caught_up(self) -> None:
        """Do nothing: nothing waits for a publisher to catch up."""

    async def reset(self) -> None:
        """Compare the stream with the log again; what is in the stream stays there."""
        self._end = None
        await self._checkpoint.save(0)

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Publish events in order, and move the checkpoint behind them."""
        try:
            end = self._end or await self._find_end()
            if end.position < self._checkpoint.position and self._end is None:
                # Nothing to publish may stand between; if there is, the bus has lost it.
                self._end, self._published_to = end, self._checkpoint.position
                await self._checkpoint.save(end.position)  # the next page begins there
                return
            self._end = end
            await self._publish([one for one in events if one.position > end.position])
        except (ServiceUnavailable, WrongSequence) as error:
            self._end = None
            raise TryLater(f"{self._stream} was not written: {error}", _RETRY) from error
        if position > self._checkpoint.position:
            await self._checkpoint.save(position)

    async def again(self, letter: DeadLetter, events: Sequence[Delivered], following: Delivered | None) -> bool:
        """Refuse: events behind a parked one were published, and a stream keeps its order."""
        raise ConfigurationError(
            f"{self._checkpoint.name}: an event that could not be published cannot be published later, because the "
            "events behind it are in the stream; discard it"
        )

    async def _publish(self, events: Sequence[Delivered]) -> None:
        readable: list[RecordedEvent[Event]] = []
        for one in events:
            if not isinstance(one, Unread):
                readable.append(one)
            elif self._checkpoint.letters.holding(one.stream, one.position) is None:
                await self._park(one, one.error)
        largest = self._bus.largest_message
        end = self._end
        assert end is not None, "the end of the stream is known before it is written"
        if readable and readable[0].position <= self._published_to:
            log.error("published_events_lost", stream=self._stream, bus=self._bus.describe(), after=end.number)
            self._published_to = 0
        for data, batch in batches_of(readable, self._service.name, end.number + 1, largest):
            if len(data) > largest:
                raise TryLater(
                    f"the events at position {batch.position} take {len(data)} bytes, but a message on "
                    f"{self._bus.describe()} may take {largest}: raise the limit of the bus",
                    _RETRY,
                )
            sequence = await self._bus.append(self._stream, data, after=end.sequence)
            self._end = end = _End(sequence, batch.last, batch.position)
            await self._tell(batch.last)

    async def _tell(self, number: int) -> None:
        """Give those who follow the stream a hint; they find what is lost by themselves."""
        try:
            await self._bus.publish(growth_of(self._service.name), b"%d" % number)
        except ServiceUnavailable:
            pass

    async def _park(self, unread: Unread, error: Exception) -> None:
        """Park an event that cannot be read; it is not in the stream, and has no number."""
        letter = dead_letter(
            self._checkpoint.name, unread, error, attempts=1, parked_us=self._source.now_us(), lane=None
        )
        await self._checkpoint.save(self._checkpoint.position, parked=[letter])

    async def _find_end(self) -> _End:
        """Ask the bus where the stream ends."""
        ends = await self._bus.ends(self._stream)
        if ends.last == 0:
            return _End(0, 0, 0)
        entries = await self._bus.read(self._stream, ends.last - 1, 1)
        if not entries:  # they were removed, by hand or by their age
            position = self._checkpoint.position
            return _End(ends.last, await self._count_to(position), position)
        batch = decode_batch(entries[-1].data)
        head = self._log_reader.log_tail.position
        if batch.position > head:
            head = await self._log_reader.end()
        if batch.position > head:
            raise ConfigurationError(
                f"{self._stream} holds events up to position {batch.position}, but this log ends at {head}: another "
                f"service has the name {self._service.name!r}, or the log was restored from an older backup"
            )
        return _End(entries[-1].sequence, batch.last, batch.position)

    async def _count_to(self, position: int) -> int:
        """Return how many events to publish the log holds up to a position."""
        count = after = 0
        while after < position:
            found = await self._log_reader.after(after, self.event_classes)
            if found.position == after:
                break
            count += sum(one.position <= position and not isinstance(one, Unread) for one in found.events)
            after = found.position
        return count
