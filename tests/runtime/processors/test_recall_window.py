"""`hold_s`: an outlet or a reaction hands an event out only after a while; until then it can be recalled."""

import asyncio
from typing import Any

import pytest
from support.bank import Account, Deposit, Deposited, OpenAccount
from support.virtual_time import settled, virtual

from actorium import ConfigurationError, IdempotencyKey, NotFound, Outlet, Runtime, react
from actorium.errors import InvalidCommand
from actorium.testing.loop_source import LoopSource
from actorium.types import CloudEvent


def held(hold_s: float, taken: list[str]) -> tuple[Outlet, Any]:
    async def sink(event: CloudEvent) -> None:
        taken.append(event.id)

    @react(on_replay="skip", name="held", hold_s=hold_s)
    async def thank(event: Deposited, key: IdempotencyKey) -> None:
        taken.append(key)

    return Outlet("bank", types=[Deposited], sink=sink, source="/bank", start="beginning", hold_s=hold_s), thank


@virtual
async def test_an_event_is_handed_out_when_it_is_old_enough() -> None:
    taken: list[str] = []
    async with Runtime([Account, *held(60, taken)], store="memory://", source=LoopSource()) as runtime:
        await runtime.send(OpenAccount("a"))
        await runtime.send(Deposit("a", 1))
        await asyncio.sleep(30)
        await runtime.send(Deposit("a", 2))
        await asyncio.sleep(29)
        assert taken == []
        await asyncio.sleep(2)
        assert sorted(taken) == ["Account/a/2", "held:Account:a:2:0"]
        await asyncio.sleep(30)
        assert len(taken) == 4


@virtual
async def test_a_recalled_event_is_never_handed_out() -> None:
    taken: list[str] = []
    outlet, thank = held(60, taken)
    async with Runtime([Account, outlet, thank], store="memory://", source=LoopSource()) as runtime:
        await runtime.send(OpenAccount("a"))
        wrong = await runtime.send(Deposit("a", 1))
        await runtime.send(Deposit("a", 2))
        await settled()
        for handler in (outlet, thank):
            await runtime.processors[handler].recall(wrong.position, "typing error")
        await asyncio.sleep(61)
        assert sorted(taken) == ["Account/a/3", "held:Account:a:3:0"]
        (letter,) = runtime.processors[outlet].dead_letters(discarded=True)
        assert (letter.position, letter.discarded) == (wrong.position, "typing error")


@virtual
async def test_it_is_too_late_to_recall_what_was_handed_out() -> None:
    taken: list[str] = []
    outlet, _ = held(1, taken)
    async with Runtime([Account, outlet], store="memory://", source=LoopSource()) as runtime:
        opened = await runtime.send(OpenAccount("a"))
        wrong = await runtime.send(Deposit("a", 1))
        await asyncio.sleep(2)
        processor = runtime.processors[outlet]
        with pytest.raises(NotFound, match="too late"):
            await processor.recall(wrong.position, "typing error")
        with pytest.raises(NotFound, match="does not hold"):
            await processor.recall(opened.position, "of another type")
        with pytest.raises(NotFound, match="does not hold"):
            await processor.recall(99, "not there")
        with pytest.raises(InvalidCommand, match="recall needs a reason"):
            await processor.recall(wrong.position, " ")


@pytest.mark.parametrize("hold_s", [-1, "a minute"])
def test_a_time_that_is_none_is_refused(hold_s: Any) -> None:
    with pytest.raises(ConfigurationError, match="hold_s"):
        held(hold_s, [])


def test_an_outlet_checks_its_time_too() -> None:
    async def sink(event: CloudEvent) -> None: ...

    with pytest.raises(ConfigurationError, match="Outlet"):
        Outlet("bank", types=[Deposited], sink=sink, source="/bank", start="now", hold_s=-1)
