"""The rules a scenario states, and how failures of the scenario are reported."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.transfers import Account, Ask, Deposit, Desk, Open, Transfer, Withdraw

from actorium.simulation import Faults, View, World
from actorium.simulation.record.violation import Violation
from actorium.simulation.world.machine import STEPS_MAX


def run(scenario: Callable[[World], Any], *, steps_max: int = STEPS_MAX) -> Violation | None:
    world = World(0, Faults.none(), steps_max=steps_max)
    world.run(scenario)
    return world.violation


def balance(view: View) -> int:
    return sum(account.balance for account in view.all(Account))


def ratio(view: View) -> float:
    return 1 / balance(view)


# --- always ---------------------------------------------------------------------------------------------------------


def test_an_always_rule_is_checked_after_each_commit() -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        world.always("never below five", lambda view: balance(view) >= 5)
        await client.send(Open("a", 10))
        await client.send(Withdraw("a", 6))
        await client.send(Deposit("a", 6))

    violation = run(scenario)
    assert violation is not None
    assert (violation.invariant, violation.actual) == ("never below five", "after position 2: it does not hold")


def test_an_always_rule_stated_last_is_checked_too() -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        await client.send(Open("a", 10))
        world.always("never", lambda view: False)

    violation = run(scenario)
    assert violation is not None
    assert (violation.invariant, violation.actual) == ("never", "after position 1: it does not hold")


@pytest.mark.parametrize("kind", ["always", "eventually"])
def test_a_failed_assertion_says_what_was_found(kind: str) -> None:
    def ten(view: View) -> bool:
        assert balance(view) == 10, f"{balance(view)} is not ten"
        return True

    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        getattr(world, kind)("ten", ten)
        await client.send(Open("a", 9))

    violation = run(scenario)
    assert violation is not None
    assert violation.expected.startswith("to hold")
    assert "AssertionError: 9 is not ten" in violation.actual


def test_a_condition_that_returns_none_does_not_hold() -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        world.eventually("something", lambda view: None, within_s=1)
        await client.send(Open("a", 9))

    violation = run(scenario)
    assert violation is not None
    assert violation.actual == "None: a condition must return whether it holds, or raise AssertionError"


@pytest.mark.parametrize("kind", ["always", "conserved", "eventually"])
@pytest.mark.filterwarnings("error")
def test_an_async_condition_is_rejected(kind: str) -> None:
    async def holds(view: View) -> bool:
        return True

    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        getattr(world, kind)("it holds", holds)
        await client.send(Open("a", 9))

    violation = run(scenario)
    assert violation is not None
    assert "'it holds' is an async function" in violation.actual


# --- conserved ------------------------------------------------------------------------------------------------------


def conserving(*amounts: int) -> Callable[[World], Any]:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        world.conserved("money", balance)
        async with world.calm():
            await client.send(Open("a", 10))
        for amount in amounts:
            await client.send(Deposit("a", amount) if amount > 0 else Withdraw("a", -amount))

    return scenario


def test_a_conserved_value_may_change_during_the_run() -> None:
    assert run(conserving(5, -5)) is None


def test_a_broken_conserved_rule_shows_both_values() -> None:
    violation = run(conserving(5, -4))
    assert violation is not None
    assert (violation.invariant, violation.expected, violation.actual) == ("money", "10 to the end", "11")


# --- eventually -----------------------------------------------------------------------------------------------------


def promising(within_s: float, *, later: int = 0) -> Callable[[World], Any]:
    """State that the balance will be 15; a deposit is due 1,000 s after the scenario's end."""

    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        world.eventually("fifteen", lambda view: balance(view) == 15, within_s=within_s)
        await client.send(Open("a", 10))
        await client.submit(Deposit("a", 5), after_s=1_000)
        if later:
            await client.submit(Deposit("a", later), after_s=2_000)

    return scenario


def test_an_eventually_rule_is_awaited_until_its_deadline() -> None:
    assert run(promising(within_s=1_100)) is None


def test_an_eventually_rule_that_holds_too_late_is_found_at_its_deadline() -> None:
    violation = run(promising(within_s=500))
    assert violation is not None
    assert (violation.invariant, violation.expected) == ("fifteen", "to hold 500 s after the faults stopped")
    assert violation.at_s < 2_000


def test_an_eventually_rule_must_keep_holding() -> None:
    violation = run(promising(within_s=1_100, later=1))
    assert violation is not None
    assert (violation.invariant, violation.expected) == ("fifteen", "to hold at the end")


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["always", "conserved", "eventually"])
def test_an_error_in_the_function_of_a_rule_is_reported_as_such(kind: str) -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        getattr(world, kind)("ratio", ratio)
        await client.send(Open("a", 0))

    violation = run(scenario)
    assert violation is not None
    assert violation.invariant == "ratio"
    assert violation.actual.startswith("ZeroDivisionError: division by zero (test_checks_of_scenarios.py, line ")
    assert violation.actual.endswith("in ratio)")


def test_invalid_scenarios_are_rejected() -> None:
    async def no_runtime(world: World) -> None:
        pass

    async def no_choice(world: World) -> None:
        world.runtime([Account])
        world.choose("a colour", 0)

    async def too_soon(world: World) -> None:
        world.runtime([Account])
        world.eventually("at last", lambda view: True, within_s=-1)

    async def leaves(world: World) -> None:
        world.runtime([Account])
        sys.exit("bye")

    messages = ["creates no runtime", "choose('a colour') needs at least one option", "within -1 s", "SystemExit: bye"]
    for scenario, message in zip((no_runtime, no_choice, too_soon, leaves), messages, strict=True):
        violation = run(scenario)
        assert violation is not None
        assert violation.invariant == "the scenario completes"
        assert message in violation.actual


def test_an_endless_run_tells_where_it_waits() -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        await client.send(Open("a", 9))
        await asyncio.Event().wait()

    violation = run(scenario, steps_max=2_000)
    assert violation is not None
    assert violation.invariant == "the run ends"
    assert "not over after 2000 steps" in violation.actual
    assert "waiting: test_checks_of_scenarios.py, line " in violation.actual


def test_an_error_in_the_scenario_is_reported_with_its_line() -> None:
    async def client_of(world: World) -> None:
        await asyncio.sleep(1)
        raise LookupError("no such thing")

    async def scenario(world: World) -> None:
        world.runtime([Account])
        async with asyncio.TaskGroup() as clients:
            clients.create_task(client_of(world))

    violation = run(scenario)
    assert violation is not None
    assert violation.invariant == "the scenario completes"
    assert violation.actual.startswith("LookupError: no such thing (test_checks_of_scenarios.py, line ")
    assert violation.actual.endswith("in test_an_error_in_the_scenario_is_reported_with_its_line.<locals>.client_of)")


def test_an_error_of_a_command_is_reported_with_the_line_that_sent_it() -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        await client.send(Withdraw("nobody", 1))

    violation = run(scenario)
    assert violation is not None
    assert violation.actual.startswith("NotFound: ")
    assert ".scenario)" in violation.actual


# --- the run as a whole ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["at once", "in the aftermath", "while nothing else goes on"])
def test_a_scenario_task_that_fails_unnoticed_fails_the_run(when: str) -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])

        async def client_task() -> None:
            if when == "in the aftermath":
                await client.submit(Open("b", 10), after_s=30)
                await asyncio.sleep(10)
            raise KeyError("lost")

        task = asyncio.create_task(client_task())  # noqa: F841, RUF006  # nothing waits for it
        await client.send(Open("a", 10))
        if when == "while nothing else goes on":
            await asyncio.Event().wait()

    violation = run(scenario, steps_max=20_000)
    assert violation is not None
    assert violation.invariant == "no task of the scenario fails unnoticed"
    assert "KeyError: 'lost' (test_checks_of_scenarios.py, line" in violation.actual


def test_a_task_whose_error_the_scenario_handles_does_not_fail_the_run() -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account])
        sending = asyncio.create_task(client.send(Deposit("nobody", 1)))
        await asyncio.wait([sending])
        await client.send(Open("a", 10))
        assert sending.exception() is not None

    assert run(scenario) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_run_with_faults_of_every_kind_passes(seed: int) -> None:
    async def scenario(world: World) -> None:
        client = world.runtime([Account, Desk, Transfer])
        world.conserved("money", balance)
        async with world.calm():
            for name in ("a", "b", "c"):
                await client.send(Open(name, 100, name != "c"))
        async with asyncio.TaskGroup() as clients:
            for source, target in (("a", "b"), ("b", "c"), ("b", "a")):
                clients.create_task(client.send(Ask(f"desk of {source}", source, target, 60)))
                clients.create_task(client.send(Ask(f"desk of {target}", source, target, 60)))

    world = World(seed, Faults.all(0.1))
    world.run(scenario)
    assert world.violation is None
    assert world.plan.happened
