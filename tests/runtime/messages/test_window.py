"""One peer is asked so much at once and no more; who waits is let in by turns, and refused in time."""

import asyncio

import pytest
from support.virtual_time import steps, virtual

from actorium.errors import Overloaded, RuntimeClosed
from actorium.runtime.messages.window import Window


@virtual
async def test_it_holds_so_many_commands_and_so_many_bytes() -> None:
    by_count = Window("customers", max_asks=2, max_bytes=1_000)
    assert [by_count.try_enter(10) for _ in range(3)] == [True, True, False]
    by_size = Window("customers", max_asks=10, max_bytes=100)
    assert [by_size.try_enter(60), by_size.try_enter(41), by_size.try_enter(40)] == [True, False, True]


@virtual
async def test_a_command_larger_than_the_window_goes_alone() -> None:
    window = Window("customers", max_asks=10, max_bytes=100)
    assert window.try_enter(500)
    assert not window.try_enter(1)
    window.leave(500)
    assert window.try_enter(1)
    assert not window.try_enter(500)


@virtual
async def test_who_waits_is_let_in_in_order() -> None:
    window = Window("customers", max_asks=1)
    assert window.try_enter(1)
    order: list[int] = []

    async def one(number: int) -> None:
        await window.enter(1, 10.0)
        order.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(3)]
    await steps(2)
    assert window.waiting == 3
    assert not window.try_enter(1), "nobody overtakes those who wait"
    for count in range(1, 4):
        window.leave(1)
        await steps(3)
        assert order == list(range(count))
    await asyncio.gather(*tasks)


@virtual
async def test_who_waits_too_long_is_refused() -> None:
    window = Window("customers", max_asks=1)
    assert window.try_enter(1)
    began = asyncio.get_running_loop().time()
    with pytest.raises(Overloaded, match="customers has 1 command unanswered"):
        await window.enter(1, 3.0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)
    assert (window.waiting, window.refused) == (0, 1)
    window.leave(1)
    assert window.try_enter(1)


@virtual
async def test_who_would_wait_too_long_is_refused_at_once() -> None:
    loop = asyncio.get_running_loop()
    window = Window("customers", max_asks=200)
    for _ in range(200):
        assert window.try_enter(1)
    for _ in range(400):  # one a tenth of a second
        await asyncio.sleep(0.1)
        window.leave(1)
        assert window.try_enter(1)
    began = loop.time()
    with pytest.raises(Overloaded) as caught:
        await window.enter(1, 3.0)
    assert loop.time() == began
    assert caught.value.retry_after_s == pytest.approx(20.0, rel=0.2)


@virtual
async def test_who_would_be_answered_too_late_is_refused_although_there_is_room() -> None:
    window = Window("customers", max_asks=1_000)
    for _ in range(200):
        assert window.try_enter(1)
    for _ in range(400):  # one a hundredth of a second
        await asyncio.sleep(0.01)
        window.leave(1)
        assert window.try_enter(1)
    window.require_time(8.0)
    with pytest.raises(Overloaded, match="200 commands unanswered, and would answer another one too late") as caught:
        window.require_time(4.0)
    assert caught.value.retry_after_s == pytest.approx(2.0, rel=0.2)
    for _ in range(99):  # an overload: from now on a command may wait for a twelfth of its time
        with pytest.raises(Overloaded):
            window.require_time(4.0)
    with pytest.raises(Overloaded):
        window.require_time(8.0)
    window.require_time(30.0)
    assert window.refused == 101


@virtual
async def test_a_cancelled_sender_leaves_nothing_behind() -> None:
    window = Window("customers", max_asks=1)
    assert window.try_enter(1)
    waiting = asyncio.create_task(window.enter(1, 10.0))
    await steps(2)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert window.waiting == 0
    admitted = asyncio.create_task(window.enter(1, 10.0))
    await steps(2)
    window.leave(1)  # admits it, and in the same step it is cancelled
    admitted.cancel()
    await asyncio.wait([admitted])
    assert (window.asks, window.bytes) == (0, 0)


@virtual
async def test_closing_refuses_everybody() -> None:
    window = Window("customers", max_asks=1)
    assert window.try_enter(1)
    waiting = asyncio.create_task(window.enter(1, 10.0))
    await steps(2)
    window.close(RuntimeClosed("stopped"))
    with pytest.raises(RuntimeClosed):
        await waiting
