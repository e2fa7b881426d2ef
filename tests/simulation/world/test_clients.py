"""Clients on an unreliable network: what they do, what answers they get, and what is recorded."""

import asyncio
from typing import Any

import anyio
import pytest
from support.transfers import Account, Deposit, Open, Withdraw

from actorium import Ack, NotFound, Rejected
from actorium.errors import WrongExpectedVersion
from actorium.simulation import Faults, Kind, World
from actorium.simulation.record.history import Operation
from actorium.simulation.record.trace import TraceMark


def run(faults: Faults, *, leave_out: tuple[str, ...] = (), goes_on: bool = False, seed: int = 0) -> World:
    """Open and use an account; return the world, in which no invariant was broken."""
    world = World(seed, faults, leave_out=leave_out, goes_on=goes_on)

    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        async with world.calm():
            await client.send(Open("a", 10))
        for amount in range(1, 7):
            await client.send(Deposit("a", amount))
        with pytest.raises(Rejected):
            await client.send(Withdraw("a", 1_000))
        with pytest.raises(NotFound):
            await client.get(Account, "b")
        await client.get(Account, "a")

    world.run(scenario)
    assert world.violation is None
    return world


def operations(world: World) -> list[Operation]:
    return world.nodes[0].history.operations


def balance(world: World) -> int:
    account = world.nodes[0].view.get(Account, "a")
    assert account is not None
    return account.balance


def test_a_plain_run_has_one_delivery_of_each_command_and_one_more_at_the_end() -> None:
    world = run(Faults.none())
    names = ["Open a", *["Deposit a" + (f" #{n}" if n > 1 else "") for n in range(1, 7)], "Withdraw a"]
    assert [one.name for one in operations(world)] == names
    assert {one.attempts for one in operations(world)} == {1, 2}
    assert all(isinstance(one.answer, Ack) for one in operations(world)[:-1])
    assert balance(world) == 10 + sum(range(1, 7))


@pytest.mark.parametrize(
    "kind", [Kind.REQUEST_LOST, Kind.REQUEST_DOUBLED, Kind.REQUEST_CANCELLED, Kind.REPLY_LOST, Kind.STORE_FAILED]
)
def test_lost_and_doubled_requests_take_effect_once(kind: Kind) -> None:
    world = run(Faults.only(kind, rate=0.4))
    assert kind in {fault.kind for fault in world.plan.happened}
    assert balance(world) == 10 + sum(range(1, 7))


def test_lost_answers_of_the_runtime_are_recorded() -> None:
    world = run(Faults.only(Kind.REPLY_LOST, rate=0.4))
    unheard = [one for one in operations(world) if one.attempts > 2]
    assert unheard
    for one in unheard:
        replies = [delivery.answer for delivery in one.deliveries]
        if isinstance(one.answer, Ack):
            assert [answer.duplicate for answer in replies] == [False] + [True] * (len(replies) - 1)
            assert len({(answer.version, answer.position) for answer in replies}) == 1


def test_a_command_that_is_left_out_is_never_sent() -> None:
    world = run(Faults.none(), leave_out=("Deposit a #3",), goes_on=True)
    (left_out,) = [one for one in operations(world) if one.left_out]
    assert (left_out.name, left_out.attempts) == ("Deposit a #3", 0)
    assert balance(world) == 10 + sum(range(1, 7)) - 3


def test_a_lost_race_is_reported_with_an_expected_version_and_retried_without() -> None:
    told: list[Any] = []

    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        async with world.calm():
            await client.send(Open("a", 10))
        for version in (1, 1, 2):
            try:
                told.append((await client.send(Deposit("a", 1), expected_version=version)).version)
            except WrongExpectedVersion as error:
                told.append(error.actual)
        await client.send(Deposit("a", 1))

    world = World(0, Faults.only(Kind.CONFLICT, rate=0.3))
    world.run(scenario)
    assert world.violation is None
    assert balance(world) == 10 + 1 + sum(1 for one in operations(world)[1:4] if isinstance(one.answer, Ack))


def scenario_without(leave_out: tuple[str, ...], *, goes_on: bool, scenario: Any) -> World:
    world = World(0, Faults.none(), leave_out=leave_out, goes_on=goes_on)
    world.run(scenario)
    assert world.violation is None
    return world


@pytest.mark.parametrize(("goes_on", "reached"), [(False, []), (True, ["went on"])])
def test_a_task_ends_at_a_left_out_command_or_continues_until_it_needs_the_answer(
    goes_on: bool, reached: list[str]
) -> None:
    told: list[str] = []

    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        ack = await client.send(Open("a", 10))
        told.append("went on")
        told.append(f"at {ack.version}")

    scenario_without(("Open a",), goes_on=goes_on, scenario=scenario)
    assert told == reached


def test_tasks_beside_one_with_a_left_out_command_continue() -> None:
    told: list[str] = []

    async def scenario(world: World) -> None:
        client = world.runtime([Account])

        async def opened(name: str) -> None:
            await client.send(Open(name, 10))
            told.append(name)

        await asyncio.gather(opened("a"), opened("b"))
        async with anyio.create_task_group() as clients:
            clients.start_soon(opened, "c")
            clients.start_soon(opened, "d")
        told.append("end")

    world = scenario_without(("Open a", "Open c"), goes_on=False, scenario=scenario)
    assert told == ["b", "d", "end"]
    assert [one.line.text for one in world.noted if one.mark is TraceMark.LEFT_OUT] == [
        "Open a: left out",
        "Open c: left out",
    ]


def test_no_error_handler_catches_a_left_out_command() -> None:
    told: list[str] = []

    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        try:
            await client.send(Open("a", 10))
        except Exception:
            told.append("an error")

    scenario_without(("Open a",), goes_on=False, scenario=scenario)
    assert told == []
