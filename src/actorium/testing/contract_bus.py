"""`BusContract`: the tests that every bus passes.

It needs only a fixture; pytest finds the tests in your subclass:

    class TestMyBus(BusContract):
        @pytest.fixture
        def new_bus(self):
            return lambda: MyBus("127.0.0.1")

The fixture returns a function that makes buses which are connected with each other, not yet open; the test opens and
closes them. The tests bring their own event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps

from actorium.runtime.bus.bus import Bus, BusMessage, StreamEnds
from actorium.runtime.errors import WrongSequence
from actorium.store.source import SystemSource
from actorium.testing.contract_words import expect, raises

_WAIT_S = 10.0
NewBus = Callable[[], Bus]


class BusLog:
    """A watcher that notes what it is told."""

    def __init__(self) -> None:
        self.connections = self.disconnections = 0
        self.losses: list[str] = []

    def connected(self) -> None:
        self.connections += 1

    def disconnected(self) -> None:
        self.disconnections += 1

    def lost(self, what: str) -> None:
        self.losses.append(what)


class _Received:
    """What one subscriber got."""

    def __init__(self) -> None:
        self.messages: list[BusMessage] = []
        self._came = asyncio.Event()

    def __call__(self, message: BusMessage) -> None:
        self.messages.append(message)
        self._came.set()

    async def count(self, count: int) -> list[BusMessage]:
        """Return the first `count` messages, once they are there."""
        async with asyncio.timeout(_WAIT_S):
            while len(self.messages) < count:
                self._came.clear()
                await self._came.wait()
        return self.messages[:count]


@asynccontextmanager
async def _open(new_bus: NewBus, name: str = "tester") -> AsyncIterator[Bus]:
    bus = new_bus()
    await bus.open(name, BusLog())
    try:
        yield bus
    finally:
        await bus.close()


def _in_a_loop(test: Callable[[BusContract, NewBus], Awaitable[None]]) -> Callable[[BusContract, NewBus], None]:
    @wraps(test)
    def run(self: BusContract, new_bus: NewBus) -> None:
        async def with_bus() -> None:
            await test(self, new_bus)

        asyncio.run(with_bus())

    return run


class BusContract:
    """The contract of `Bus`; `new_bus` makes buses that are connected with each other."""

    @staticmethod
    def _subject() -> str:
        return f"contract.{SystemSource().new_id()}"

    @_in_a_loop
    async def test_a_message_reaches_every_plain_subscriber(self, new_bus: NewBus) -> None:
        subject = self._subject()
        async with _open(new_bus) as one, _open(new_bus) as other:
            here, there = _Received(), _Received()
            await one.subscribe(subject, here)
            await other.subscribe(subject, there)
            await self._settled(one, other)
            await one.publish(subject, b"\x00 data \xff", "answers.here")
            wanted = [BusMessage(subject, b"\x00 data \xff", "answers.here")]
            expect(await here.count(1), wanted)
            expect(await there.count(1), wanted)

    @_in_a_loop
    async def test_a_subscriber_gets_what_others_send_from_then_on(self, new_bus: NewBus) -> None:
        async with _open(new_bus) as one, _open(new_bus) as other:
            for _ in range(20):
                subject = self._subject()
                received = _Received()
                await one.subscribe(subject, received)
                await other.publish(subject, b"")
                await received.count(1)

    @_in_a_loop
    async def test_one_subscriber_of_each_group_gets_a_message(self, new_bus: NewBus) -> None:
        subject = self._subject()
        async with _open(new_bus) as one, _open(new_bus) as other:
            members = [_Received(), _Received()]
            plain = _Received()
            await one.subscribe(subject, members[0], group="g")
            await other.subscribe(subject, members[1], group="g")
            await one.subscribe(subject, plain)
            await self._settled(one, other)
            for number in range(20):
                await one.publish(subject, b"%d" % number)
            await plain.count(20)
            await self._settled(one, other)
            got = sorted(int(message.data) for member in members for message in member.messages)
            expect(got, [*range(20)])

    @_in_a_loop
    async def test_messages_keep_their_order(self, new_bus: NewBus) -> None:
        subject = self._subject()
        async with _open(new_bus) as one, _open(new_bus) as other:
            received = _Received()
            await other.subscribe(subject, received)
            await self._settled(one, other)
            for number in range(200):
                await one.publish(subject, b"%d" % number)
            expect([int(message.data) for message in await received.count(200)], [*range(200)])

    @_in_a_loop
    async def test_a_pattern_matches_parts_of_a_subject(self, new_bus: NewBus) -> None:
        subject = self._subject()
        async with _open(new_bus) as bus:
            one, rest = _Received(), _Received()
            await bus.subscribe(f"{subject}.*.end", one)
            await bus.subscribe(f"{subject}.>", rest)
            await self._settled(bus)
            for name in ("a.end", "a.other", "a.b.end", "b.end"):
                await bus.publish(f"{subject}.{name}", b"")
            await rest.count(4)
            await self._settled(bus)
            expect([message.subject.removeprefix(subject) for message in one.messages], [".a.end", ".b.end"])

    @_in_a_loop
    async def test_a_message_to_nobody_is_answered_with_nothing(self, new_bus: NewBus) -> None:
        subject = self._subject()
        async with _open(new_bus) as bus:
            answers = _Received()
            await bus.subscribe(f"{subject}.answers.*", answers)
            await self._settled(bus)
            await bus.publish(f"{subject}.nobody", b"data", f"{subject}.answers.7")
            (answer,) = await answers.count(1)
            expect((answer.subject, answer.data), (f"{subject}.answers.7", b""))

    @_in_a_loop
    async def test_a_cancelled_subscriber_gets_nothing(self, new_bus: NewBus) -> None:
        subject = self._subject()
        async with _open(new_bus) as bus:
            cancelled, kept = _Received(), _Received()
            subscription = await bus.subscribe(subject, cancelled)
            await bus.subscribe(subject, kept)
            await subscription.cancel()
            await self._settled(bus)
            await bus.publish(subject, b"")
            await kept.count(1)
            expect(cancelled.messages, [])

    @_in_a_loop
    async def test_the_largest_message_arrives(self, new_bus: NewBus) -> None:
        subject = self._subject()
        async with _open(new_bus) as bus:
            received = _Received()
            await bus.subscribe(subject, received)
            await self._settled(bus)
            data = b"x" * bus.largest_message
            await bus.publish(subject, data)
            expect((await received.count(1))[0].data, data)

    @_in_a_loop
    async def test_entries_are_numbered_from_one(self, new_bus: NewBus) -> None:
        stream = self._subject()
        async with _open(new_bus) as one, _open(new_bus) as other:
            expect(await one.ends(stream), StreamEnds(0, 0))
            expect(await one.read(stream, 0), [])
            for number in range(5):
                expect(await one.append(stream, b"entry %d" % number, after=number), number + 1)
            expect(await other.ends(stream), StreamEnds(1, 5))
            entries = await other.read(stream, 0)
            expect([(one.sequence, one.data) for one in entries], [(n + 1, b"entry %d" % n) for n in range(5)])

    @_in_a_loop
    async def test_a_read_returns_what_follows_up_to_a_limit(self, new_bus: NewBus) -> None:
        stream = self._subject()
        async with _open(new_bus) as bus:
            for number in range(5):
                await bus.append(stream, b"%d" % number, after=number)
            expect([one.sequence for one in await bus.read(stream, 2)], [3, 4, 5])
            expect([one.sequence for one in await bus.read(stream, 1, 2)], [2, 3])
            expect(await bus.read(stream, 5), [])

    @_in_a_loop
    async def test_only_the_writer_who_knows_the_end_appends(self, new_bus: NewBus) -> None:
        stream = self._subject()
        async with _open(new_bus) as one, _open(new_bus) as other:
            await one.append(stream, b"first", after=0)
            for after in (0, 2):
                with raises(WrongSequence):
                    await other.append(stream, b"second", after=after)
            expect(await other.append(stream, b"second", after=1), 2)
            expect([entry.data for entry in await one.read(stream, 0)], [b"first", b"second"])

    @_in_a_loop
    async def test_of_two_rivals_one_appends(self, new_bus: NewBus) -> None:
        stream = self._subject()
        async with _open(new_bus) as one, _open(new_bus) as other:
            await one.append(stream, b"first", after=0)
            calls = (bus.append(stream, name, after=1) for bus, name in ((one, b"one"), (other, b"other")))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            expect(sorted(map(str, map(type, outcomes))), sorted(map(str, (int, WrongSequence))))
            expect(await one.ends(stream), StreamEnds(1, 2))

    async def _settled(self, *buses: Bus) -> None:
        """Wait until what these buses sent was received, by a message of each to itself."""
        for bus in buses:
            subject = self._subject()
            received = _Received()
            subscription = await bus.subscribe(subject, received)
            await bus.publish(subject, b"")
            await received.count(1)
            await subscription.cancel()
