"""`LiveFeed`: the live values of an application, sampled once a second for everybody who watches.

Ten consoles cost one sample a second and ten writes: the sample is encoded once. Nobody can read a thousand events a
second, so a sample has the newest ones and says how many it left out; `/api/events` has them all.

Invariants: the sampler runs only while somebody watches; a watcher that does not keep up loses samples, never memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from actorium.application import Runtime
from actorium.console.api.queries import LiveQuery
from actorium.console.api.views import EventView
from actorium.console.log_view import LogView
from actorium.console.meter import Meter
from actorium.runtime.errors import Overloaded
from actorium.runtime.statistics import RuntimeStatistics
from actorium.store.errors import ActoriumError
from actorium.store.event_store import EventStore
from actorium.store.events import utc_of
from actorium.store.source import Source

SAMPLE_EVERY_S = 1.0
WATCHERS_MAX = 100
SAMPLES_WAITING_MAX = 4
EVENTS_SHOWN = 30
EVENTS_COUNTED_MAX = 500
"""Events of one sample that are read and counted by type; if there are more, these stand for all of them."""

_COUNTED = ("acknowledged", "rejected", "failed", "refused", "dropped")


class ProcessorSample(msgspec.Struct, frozen=True):
    """The state of a processor now, and the events per second that it handled since the last sample."""

    name: str
    state: str
    lag_events: int
    lag_s: float
    parked: int
    handled_per_s: float


class LiveSample(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one moment.

    position: the end of the log.
    rates: per second since the last sample: events, and commands by outcome.
    gauges: numbers of things now.
    commit_s: the median and the longest duration of the commits since the last sample; None without a `Meter`.
    loop_delay_s: how late the event loop called the sampler.
    flow: events by stream type, and by `event <type>`, since the last sample; an estimate if there were very many.
    events: the newest events, oldest first.
    events_left_out: the number of events since the last sample that are not among these.
    """

    at: datetime
    position: int
    rates: dict[str, float]
    gauges: dict[str, float]
    commit_s: tuple[float, float] | None
    loop_delay_s: float
    processors: list[ProcessorSample]
    flow: dict[str, int]
    events: list[EventView]
    events_left_out: int


class _Watcher:
    def __init__(self, query: LiveQuery) -> None:
        self.query = query
        self.samples: asyncio.Queue[bytes | None] = asyncio.Queue(SAMPLES_WAITING_MAX)

    def offer(self, message: bytes | None) -> None:
        if self.samples.full():
            self.samples.get_nowait()
        self.samples.put_nowait(message)


class LiveFeed:
    """Samples one runtime; without one, the end of the log only."""

    def __init__(
        self, store: EventStore, runtime: Runtime | None, log: LogView, source: Source, meter: Meter | None
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._log = log
        self._source = source
        self._meter = meter
        self._watchers: set[_Watcher] = set()
        self._sampling: asyncio.Task[None] | None = None
        self._position = 0
        self._counted: dict[str, int] = {}
        self._handled: dict[str, int] = {}

    @asynccontextmanager
    async def watched(self, query: LiveQuery) -> AsyncIterator[AsyncIterator[bytes]]:
        """Watch the samples, as JSON, while the block runs; raise Overloaded if too many watch."""
        if len(self._watchers) >= WATCHERS_MAX:
            raise Overloaded(f"{WATCHERS_MAX} consoles watch already: close one of them", retry_after_s=SAMPLE_EVERY_S)
        watcher = _Watcher(query)
        self._watchers.add(watcher)
        if self._sampling is None:
            self._sampling = asyncio.create_task(self._sample_all())
        try:
            yield self._messages(watcher)
        finally:
            self._watchers.discard(watcher)
            if not self._watchers and self._sampling is not None:
                self._sampling.cancel()
                self._sampling = None

    async def _messages(self, watcher: _Watcher) -> AsyncIterator[bytes]:
        while (message := await watcher.samples.get()) is not None:
            yield message

    async def _sample_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._position = (await self._store.head()).position
            self._rates_since(SAMPLE_EVERY_S)
            last = loop.time()
            while True:
                due = loop.time() + SAMPLE_EVERY_S
                await asyncio.sleep(SAMPLE_EVERY_S)
                now = loop.time()
                self._hand_over(await self._sample(now - last, now - due))
                last = now
        except ActoriumError:  # the application stops
            for watcher in self._watchers:
                watcher.offer(None)
            self._sampling = None

    def _hand_over(self, sample: LiveSample) -> None:
        whole = b""
        for watcher in self._watchers:
            query = watcher.query
            if query.types or query.correlation_id:
                watcher.offer(msgspec.json.encode(_cut(sample, _matching(sample.events, query))))
            else:
                whole = whole or msgspec.json.encode(_cut(sample, sample.events))
                watcher.offer(whole)

    async def _sample(self, since_s: float, delay_s: float) -> LiveSample:
        before, head = self._position, (await self._store.head()).position
        after = max(before, head - EVENTS_COUNTED_MAX)
        records = await self._store.read_log(after, head - after) if head > after else []
        self._position = head
        flow = Counter(record.stream.type for record in records)
        flow.update(f"event {record.type}" for record in records)
        share = (head - before) / max(1, len(records))
        filters = any(one.query.types or one.query.correlation_id for one in self._watchers)
        shown = records if filters else records[-EVENTS_SHOWN:]
        rates, gauges, processors = self._rates_since(since_s)
        return LiveSample(
            at=utc_of(self._source.now_us()),
            position=head,
            rates={"events": (head - before) / since_s, **rates},
            gauges=gauges,
            commit_s=None if self._meter is None else self._meter.take(),
            loop_delay_s=max(0.0, delay_s),
            processors=processors,
            flow={name: round(count * share) for name, count in flow.items()},
            events=[self._log.event(record) for record in shown],
            events_left_out=head - before - len(shown),
        )

    def _rates_since(self, since_s: float) -> tuple[dict[str, float], dict[str, float], list[ProcessorSample]]:
        """Return the rates since the last call, the gauges and the processors."""
        if self._runtime is None:
            return {}, {}, []
        statistics = self._runtime.statistics()
        rates = {}
        for name in _COUNTED:
            count = getattr(statistics, name)
            rates[name] = max(0, count - self._counted.get(name, count)) / since_s
            self._counted[name] = count
        processors = []
        for one in statistics.processors:
            handled = max(0, one.handled - self._handled.get(one.name, one.handled)) / since_s
            self._handled[one.name] = one.handled
            sample = ProcessorSample(one.name, one.state, one.lag_events, one.lag_s, one.parked, handled)
            processors.append(sample)
        return rates, _gauges(statistics), processors


def _gauges(statistics: RuntimeStatistics) -> dict[str, float]:
    return {
        "in_flight": statistics.in_flight,
        "waiting_for_room": statistics.waiting_for_room,
        "waiting_appends": statistics.writer.waiting_requests,
        "ready_actors": statistics.ready_actors,
        "live_actors": statistics.live_actors,
        "failed_actors": statistics.failed_actors,
        "expected_wait_s": statistics.expected_wait_s,
    }


def _matching(events: list[EventView], query: LiveQuery) -> list[EventView]:
    flow = query.correlation_id
    return [
        one
        for one in events
        if (not query.types or one.type in query.types) and (not flow or flow in (one.correlation_id, one.command_id))
    ]


def _cut(sample: LiveSample, events: list[EventView]) -> LiveSample:
    shown = events[-EVENTS_SHOWN:]
    left_out = sample.events_left_out + len(sample.events) - len(shown)
    return msgspec.structs.replace(sample, events=shown, events_left_out=left_out)
