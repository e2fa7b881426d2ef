"""`BusWire`: sends frames over a bus, such as NATS, and through the log's database whenever the bus cannot carry them.

So a cluster depends on nothing but its database: without the bus it is slower. A frame goes through the database if

- the bus is not connected here, or the receiver is not on it: the bus says so when nobody takes a message;
- something between the two nodes went unanswered lately (`doubt`): a connection may be dead without either side having
  noticed;
- it is larger than the messages of the bus;
- the receiver has told no address: it runs without a bus.

When the connection breaks, everything that is unanswered is sent again at once, and the other nodes are told through
the database to do the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from actorium.runtime.bus.bus import Bus, BusMessage
from actorium.runtime.cluster.wire import Receive, Wire
from actorium.runtime.errors import ServiceUnavailable
from actorium.runtime.messages.frames import FRAME_BYTES_MAX
from actorium.store.errors import Transient
from actorium.store.log import logger

log = logger("actorium.runtime")

DOUBTED_S = 5.0
"""How long frames to a node go through the database after one was lost."""
_SUBJECT = "actorium.nodes"
_MISSED = "missed"
_AGAIN = b"again "  # no frame begins like this


class BusWire:
    """A wire over a bus.

    name: the name of this node, for monitoring.
    address: where this node gets frames on the bus; no other process has it.
    addresses: returns the other nodes, with the addresses that they have told.
    store_wire: the other way.
    """

    def __init__(
        self, bus: Bus, name: str, address: str, addresses: Callable[[], Mapping[int, str]], store_wire: Wire
    ) -> None:
        self._bus = bus
        self._name = name
        self._address = address
        self._addresses = addresses
        self._store_wire = store_wire
        self._loop = asyncio.get_running_loop()
        self._doubted: dict[int, float] = {}  # by node: until when
        self._is_open = False
        self._asking: asyncio.Task[None] | None = None
        self.frames = self.detours = 0

    async def open(self, node: int, receive: Receive, repeat: Callable[[int], None]) -> None:
        """Connect; if the bus is away, the database carries everything until it is back.

        Raises ConfigurationError if the bus refuses this node.
        """
        self._me, self._receive, self._repeat = node, receive, repeat
        await self._store_wire.open(node, self._take_stored, repeat)
        await self._bus.subscribe(f"{_SUBJECT}.{self._address}", self._take)
        await self._bus.subscribe(f"{_SUBJECT}.{self._address}.{_MISSED}.*", self._was_missed)
        await self._bus.open(f"node {self._name}", self)
        self._is_open = True
        if not self._bus.is_connected:
            self.disconnected()

    @property
    def frame_bytes(self) -> int:
        """What the bus carries in one message."""
        return min(FRAME_BYTES_MAX, self._bus.largest_message)

    async def send(self, node: int, frame: bytes) -> None:
        """Send a frame over the bus, or through the database."""
        address = self._addresses().get(node)
        if address and self._bus.is_connected and len(frame) <= self._bus.largest_message and self._trusts(node):
            try:
                missed = f"{_SUBJECT}.{self._address}.{_MISSED}.{node}"
                await self._bus.publish(f"{_SUBJECT}.{address}", frame, missed)
                self.frames += 1
                return
            except ServiceUnavailable:
                pass
        self.detours += 1
        await self._store_wire.send(node, frame)

    def doubt(self, node: int) -> None:
        """Send frames to a node through the database for a while."""
        self._doubted[node] = self._loop.time() + DOUBTED_S

    def _trusts(self, node: int) -> bool:
        until = self._doubted.get(node)
        if until is None:
            return True
        if self._loop.time() < until:
            return False
        del self._doubted[node]
        return True

    def _take(self, message: BusMessage) -> None:
        self._receive(message.data)

    def _was_missed(self, message: BusMessage) -> None:
        """Send what a node that is not on the bus has not answered through the database."""
        self._missed(message.subject.rpartition(".")[2])

    def _take_stored(self, frame: bytes) -> None:
        if frame.startswith(_AGAIN):
            self._missed(frame.removeprefix(_AGAIN).decode())
        else:
            self._receive(frame)

    def _missed(self, number: str) -> None:
        if number.isdecimal():
            self.doubt(int(number))
            self._repeat(int(number))

    async def close(self) -> None:
        """Disconnect."""
        self._is_open = False
        if self._asking is not None:
            self._asking.cancel()
        await self._bus.close()

    # --- told by the bus ------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """Use the bus again."""
        if self._is_open:
            log.info("wire_up", node=self._name, bus=self._bus.describe())

    def disconnected(self) -> None:
        """Send everything that is unanswered through the database."""
        if self._is_open:
            log.warning(
                "wire_down", node=self._name, bus=self._bus.describe(), remedy="the database carries the frames"
            )
            self._repeat(0)
            self._asking = self._loop.create_task(self._ask_for_repetition())

    async def _ask_for_repetition(self) -> None:
        """Tell the other nodes that what they have sent may be lost."""
        for node in [*self._addresses()]:
            with suppress(Transient):  # then they repeat it later
                await self._store_wire.send(node, _AGAIN + str(self._me).encode())

    def lost(self, what: str) -> None:
        """Send everything that is unanswered again."""
        log.error("wire_lost_frames", node=self._name, reason=what)
        self._repeat(0)
