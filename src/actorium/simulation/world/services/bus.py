"""`SimulatedBus`: one incarnation's connection to the bus of a world, which loses, doubles and delays messages.

The bus itself is durable: streams outlive every process, and an entry is never lost once it is written. Only messages
and confirmations are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from actorium.runtime.bus.bus import ENTRIES_PER_READ, BusMessage, BusWatcher, Entry, StreamEnds
from actorium.runtime.bus.buses.memory import MemoryBus, MemoryHub
from actorium.runtime.errors import ServiceUnavailable
from actorium.simulation.world.faults import FaultId, Kind
from actorium.simulation.world.surroundings import Surroundings

_LATENCY_S = (0.0002, 0.003)
_LATE_S = (0.001, 20.0)
_AWAY_S = (0.1, 40.0)


class SimulatedHub(MemoryHub):
    """The bus of a world; `away_until_s` is when it can be reached again."""

    def __init__(self, world: Surroundings) -> None:
        super().__init__()
        self.world = world
        self.away_until_s = 0.0
        self.watchers: list[tuple[asyncio.AbstractEventLoop, BusWatcher]] = []

    @property
    def is_away(self) -> bool:
        """Whether nobody can reach the bus now."""
        return self.world.plan.is_active and self.world.now_s < self.away_until_s


class SimulatedBus(MemoryBus):
    """The bus as one process sees it; it lives on the loop on which it was opened."""

    def __init__(self, hub: SimulatedHub, name: str) -> None:
        super().__init__(name, hub)
        self._simulated_hub = hub
        self._world = hub.world
        self._sent = 0

    async def open(self, name: str, watcher: BusWatcher) -> None:
        """Connect; the watcher is told when the bus comes back."""
        await super().open(name, watcher)
        watchers = self._simulated_hub.watchers
        watchers[:] = [(loop, one) for loop, one in watchers if loop.is_running()]
        watchers.append((asyncio.get_running_loop(), watcher))

    @property
    def is_connected(self) -> bool:
        """Whether the bus can be reached."""
        return self._is_open and not self._simulated_hub.is_away

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send a message, unless a fault loses it."""
        self._require_there()
        fault = self._draw("bus", self._name)
        kind = fault.kind if fault is not None else None
        if kind is Kind.FRAME_LOST or self._simulated_hub.is_away:
            return
        delays_s = [0.0] if kind is not Kind.FRAME_LATE else []
        if fault is not None and kind in (Kind.FRAME_DOUBLED, Kind.FRAME_LATE):
            delays_s.append(self._world.plan.amount(fault, *_LATE_S))
        self._after(self._latency_s(), lambda: self._deliver(subject, data, reply, delays_s))
        await asyncio.sleep(0)

    def _deliver(self, subject: str, data: bytes, reply: str, delays_s: Sequence[float]) -> None:
        """Pass a message on after each of the delays, to those who are subscribed now, as a server does."""
        receivers = self._hub.receivers(subject)
        if not receivers and reply:
            receivers, subject, data, reply, delays_s = self._hub.receivers(reply), reply, b"", "", [0.0]
        message = BusMessage(subject, data, reply)
        for one in receivers:
            for delay_s in delays_s:
                if delay_s:
                    self._after(delay_s, partial(one.deliver, message))
                else:
                    one.deliver(message)

    async def append(self, stream: str, data: bytes, *, after: int) -> int:
        """Append an entry; a fault may refuse it, or lose the confirmation."""
        self._require_there()
        fault = self._draw("entry", stream)
        await asyncio.sleep(self._latency_s())
        self._require_there()
        if fault is not None and fault.kind is Kind.ENTRY_REFUSED:
            raise ServiceUnavailable("the bus did not take the entry")
        sequence = await super().append(stream, data, after=after)
        await asyncio.sleep(self._latency_s())
        if fault is not None and fault.kind is Kind.ENTRY_UNHEARD:
            raise ServiceUnavailable("the confirmation of the bus was lost")
        return sequence

    async def ends(self, stream: str) -> StreamEnds:
        """Return where a stream begins and ends."""
        self._require_there()
        await asyncio.sleep(self._latency_s())
        return await super().ends(stream)

    async def read(self, stream: str, after: int, limit: int = ENTRIES_PER_READ) -> list[Entry]:
        """Return the entries after a sequence number."""
        self._require_there()
        await asyncio.sleep(self._latency_s())
        return await super().read(stream, after, limit)

    def _require_there(self) -> None:
        if self._simulated_hub.is_away:
            raise ServiceUnavailable("the bus is away")

    def _draw(self, family: str, what: str) -> FaultId | None:
        fault = self._world.plan.draw(family, what)
        if fault is not None:
            self._world.note_fault(fault, self._name)
            if fault.kind is Kind.BUS_AWAY:
                away_s = self._world.plan.amount(fault, *_AWAY_S)
                self._simulated_hub.away_until_s = self._world.now_s + away_s
                self._after(away_s, self._came_back)
        return fault

    def _came_back(self) -> None:
        for loop, watcher in self._simulated_hub.watchers:
            loop.call_soon(watcher.connected)

    def _latency_s(self) -> float:
        self._sent += 1
        low, high = _LATENCY_S
        return low + (high - low) * self._world.chance.number(f"latency of the bus at {self._name}", self._sent)

    def _after(self, delay_s: float, call: Callable[[], None]) -> None:
        self._world.loop.call_later(delay_s, call)
