"""A command to a peer is gathered into frames, repeated under its id, and answered once."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from support.virtual_time import settled, steps, virtual

from actorium.errors import CommandTimeout, CommitUnknown, InvalidCommand, Rejected, RuntimeClosed, StoreUnavailable
from actorium.runtime.messages.asker import Asker, UnsettledReply
from actorium.runtime.messages.frames import (
    AckWire,
    AnswerMessage,
    AskMessage,
    BusyMessage,
    EventWire,
    MovedMessage,
    Reply,
    decode_frame,
    frame_bytes,
)
from actorium.runtime.messages.gathering import FrameSender
from actorium.runtime.messages.window import Window
from actorium.store.error_wire import error_to_wire


class Peer:
    """The other side: it keeps the frames that reach it, and replies when it is told to."""

    def __init__(self, max_bytes: int = 1_000_000) -> None:
        self.frames: list[list[AskMessage]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.fails = False
        self.sender = FrameSender("orders", self._send, max_bytes=max_bytes)
        self.window = Window("customers", max_asks=4)
        self.asker = Asker("customers", self.window, self.sender)

    async def _send(self, frame: bytes) -> None:
        if self.fails:
            raise ConnectionError("the wire is down")
        assert len(frame) <= self.sender.largest_message + frame_bytes("orders", ())
        self.frames.append([one for one in decode_frame(frame).messages if isinstance(one, AskMessage)])
        await self.free.wait()

    @property
    def asks(self) -> list[AskMessage]:
        return [ask for frame in self.frames for ask in frame]


@asynccontextmanager
async def peer(max_bytes: int = 1_000_000) -> AsyncIterator[Peer]:
    it = Peer(max_bytes)
    running = asyncio.create_task(it.sender.run())
    try:
        yield it
    finally:
        running.cancel()
        await asyncio.wait([running])


NUMBERS = itertools.count(1)


def reserve(id: str, timeout_s: float = 9.0, fields: str = "{}") -> AskMessage:
    return AskMessage(next(NUMBERS), "ReserveCredit", msgspec.Raw(fields), id, timeout_s, fresh=True)


@virtual
async def test_the_commands_of_one_tick_share_a_frame() -> None:
    async with peer() as it:
        calls = [asyncio.create_task(it.asker.ask(reserve(f"c-{n}"))) for n in range(3)]
        await steps(5)
        assert [[ask.command_id for ask in frame] for frame in it.frames] == [["c-0", "c-1", "c-2"]]
        for ask in it.asks:
            assert it.asker.take(AnswerMessage(ask.number))
        assert [await call for call in calls] == [AnswerMessage(ask.number) for ask in it.asks]
        assert (len(it.asker), it.window.asks, it.window.bytes) == (0, 0, 0)


@virtual
async def test_one_frame_is_on_its_way_at_a_time() -> None:
    async with peer() as it:
        it.free.clear()
        calls = []
        for n in range(3):
            calls.append(asyncio.create_task(it.asker.ask(reserve(f"c-{n}"))))
            await steps(5)
        assert [len(frame) for frame in it.frames] == [1]
        it.free.set()
        await steps(5)
        assert [len(frame) for frame in it.frames] == [1, 2]
        it.asker.close(RuntimeClosed("stopped"))
        await asyncio.gather(*calls, return_exceptions=True)


@virtual
async def test_frames_have_a_size() -> None:
    async with peer(max_bytes=250) as it:
        calls = [asyncio.create_task(it.asker.ask(reserve(f"c-{n}"))) for n in range(4)]
        await steps(9)
        assert [ask.command_id for ask in it.asks] == ["c-0", "c-1", "c-2", "c-3"]
        assert 1 < len(it.frames) < 4
        it.asker.close(RuntimeClosed("stopped"))
        await asyncio.gather(*calls, return_exceptions=True)


@virtual
async def test_a_command_larger_than_a_frame_is_refused() -> None:
    async with peer(max_bytes=400) as it:
        with pytest.raises(InvalidCommand, match="a message to it may take"):
            await it.asker.ask(reserve("c-1", fields='{"text":"%s"}' % ("x" * 400)))
        assert it.window.asks == 0


@virtual
async def test_a_command_that_no_longer_fits_into_a_frame_is_not_repeated() -> None:
    async with peer() as it:
        call = asyncio.create_task(it.asker.ask(reserve("c-1", fields='{"text":"%s"}' % ("x" * 400))))
        await steps(5)
        it.sender.limit_frames(400)
        with pytest.raises(CommandTimeout):
            await call
        assert len(it.asks) == 1


@virtual
async def test_it_is_repeated_under_its_id_until_its_time_is_over() -> None:
    async with peer() as it:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(CommandTimeout, match="command_id='c-1'") as caught:
            await it.asker.ask(reserve("c-1", timeout_s=9.0))
        assert loop.time() - began == pytest.approx(9.0)
        assert caught.value.command_id == "c-1"
        assert 3 <= len(it.asks) <= 10
        assert [ask.fresh for ask in it.asks] == [True] + [False] * (len(it.asks) - 1)
        assert len({(ask.command_id, ask.number) for ask in it.asks}) == 1
        left = [ask.time_left_s for ask in it.asks]
        assert left == sorted(left, reverse=True)
        assert left[:2] == [pytest.approx(9.0), pytest.approx(6.0)]
        assert not it.asker.take(AnswerMessage(it.asks[0].number)), "nobody waits for this reply any more"
        assert (len(it.asker), it.window.asks) == (0, 0)


@virtual
async def test_a_lost_frame_costs_time_and_nothing_else() -> None:
    async with peer() as it:
        it.fails = True
        call = asyncio.create_task(it.asker.ask(reserve("c-1")))
        await settled()
        it.fails = False
        assert (it.asks, it.sender.lost) == ([], 1)
        await asyncio.sleep(4.0)
        (ask,) = it.asks
        assert it.asker.take(AnswerMessage(ask.number, copy=ask.copy))
        assert await call == AnswerMessage(ask.number, copy=ask.copy)


@virtual
async def test_after_a_break_everything_unanswered_is_sent_again() -> None:
    async with peer() as it:
        calls = [asyncio.create_task(it.asker.ask(reserve(f"c-{n}"))) for n in range(3)]
        await steps(5)
        assert it.asker.take(AnswerMessage(it.asks[1].number))
        it.asker.repeat_all()
        await steps(5)
        assert [ask.command_id for ask in it.frames[-1]] == ["c-0", "c-2"]
        it.asker.close(RuntimeClosed("stopped"))
        await asyncio.gather(*calls, return_exceptions=True)


@virtual
async def test_every_kind_of_reply_comes_back_to_its_sender() -> None:
    async with peer() as it:
        calls = [asyncio.create_task(it.asker.ask(reserve(f"c-{n}"))) for n in range(3)]
        await steps(5)
        numbers = [ask.number for ask in it.asks]
        replies: list[Reply] = [
            MovedMessage(numbers[2], "b"),
            BusyMessage(numbers[1], "full", 1.0),
            AnswerMessage(numbers[0]),
        ]
        assert all(it.asker.take(reply) for reply in replies)
        assert [await call for call in calls] == replies[::-1]


@virtual
async def test_a_refusal_of_a_repeated_command_counts_only_if_every_copy_was_refused() -> None:
    closed = error_to_wire(RuntimeClosed("it is stopping"))
    async with peer() as it:
        for refused in (1, 2):
            call = asyncio.create_task(it.asker.ask(reserve("c-1")))
            await asyncio.sleep(4.0)
            number = it.asks[-1].number
            assert [ask.number for ask in it.asks].count(number) == 2, "it was sent again"
            busy = BusyMessage(number, "full", 1.0)
            assert it.asker.take(busy if refused == 2 else AnswerMessage(number, error=closed))
            await settled()
            assert not call.done(), "the first copy may be about to take effect"
            last: Reply = AnswerMessage(number, copy=2) if refused == 1 else msgspec.structs.replace(busy, copy=2)
            assert it.asker.take(last)
            assert await call == last


def refused(ask: AskMessage, copy: int) -> AnswerMessage:
    return AnswerMessage(ask.number, error=error_to_wire(Rejected("over the limit")), copy=copy)


def effect(ask: AskMessage, copy: int) -> AnswerMessage:
    event = EventWire("Opened", 1, msgspec.Raw(b"{}"))
    return AnswerMessage(ask.number, AckWire("Customer", "c-1", 1, 1, ask.command_id, (event,)), copy=copy)


@virtual
async def test_a_refusal_by_the_only_process_ends_a_command_whatever_was_sent_before() -> None:
    async with peer() as it:
        call = asyncio.create_task(it.asker.ask(reserve("c-1")))
        await asyncio.sleep(4.0)
        reply = refused(it.asks[-1], copy=2)
        assert it.asker.take(reply)
        assert await call == reply


@virtual
async def test_a_refusal_by_one_of_several_nodes_is_settled_only_if_every_copy_was_answered() -> None:
    async with peer() as it:
        began = asyncio.get_running_loop().time()
        call = asyncio.create_task(it.asker.ask(reserve("c-1", timeout_s=9.0)))
        await asyncio.sleep(4.0)
        reply = refused(it.asks[-1], copy=-2)
        assert it.asker.take(reply)
        with pytest.raises(UnsettledReply) as unsettled:
            await call
        assert (unsettled.value.reply, unsettled.value.until) == (reply, began + 9.0)

        call = asyncio.create_task(it.asker.ask(reserve("c-1")))
        await asyncio.sleep(4.0)
        first, last = refused(it.asks[-1], copy=1), refused(it.asks[-1], copy=-2)
        assert it.asker.take(first)
        await settled()
        assert not call.done(), "the second copy may be about to take effect"
        assert it.asker.take(last)
        assert await call == last


@virtual
async def test_repeated_commands_ask_for_the_events_by_which_an_effect_is_known() -> None:
    async with peer() as it:
        ask = msgspec.structs.replace(reserve("c-1"), with_events=False)
        call = asyncio.create_task(it.asker.ask(ask))
        await asyncio.sleep(4.0)
        assert [one.with_events for one in it.asks] == [False, True]
        silent = msgspec.structs.replace(effect(ask, 1), ack=AckWire("Customer", "c-1", 1, 1, "c-1"))
        assert it.asker.take(silent)
        assert it.asker.take(BusyMessage(ask.number, "full", 1.0, -2))
        await settled()
        assert not call.done(), "the first copy may have had events"
        it.asker.repeat_all()
        assert it.asker.take(effect(ask, -3))
        assert await call == msgspec.structs.replace(silent, copy=-3), "its caller did not ask for events"


@virtual
async def test_a_command_that_reached_nobody_fails_unless_it_was_sent_before() -> None:
    async with peer() as it:
        calls = [asyncio.create_task(it.asker.ask(reserve(f"c-{n}"))) for n in range(2)]
        await steps(5)
        it.asker.undelivered([it.asks[0].number, 99], StoreUnavailable("nobody was there"))
        with pytest.raises(StoreUnavailable):
            await calls[0]
        it.asker.repeat_all()
        it.asker.undelivered([it.asks[1].number], StoreUnavailable("nobody was there"))
        assert len(it.asker) == 1, "the first copy may have taken effect"
        it.asker.close(RuntimeClosed("stopped"))
        with pytest.raises(CommitUnknown, match="its outcome is not known"):
            await calls[1]
