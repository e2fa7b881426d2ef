"""Cases on a cluster: any node takes the steps, and the node that runs a follower does what the case says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.correcting import PARTS, Bookings, Openings, Outside, open_account
from support.nodes import Nodes, nodes
from support.virtual_time import virtual

from actorium import Runtime
from actorium.corrections import Selection
from actorium.examples.bank.domain import Account
from actorium.examples.bank.projections import Balances
from actorium.runtime.errors import FollowerElsewhere

ACCOUNTS = ("a", "b", "c", "d", "e", "f")
WRONG = [f"bank.account/{account}/2" for account in ACCOUNTS]
OTHERS = 5  # other nodes see an event after `poll_s` seconds


@asynccontextmanager
async def bank_of(*names: str, outside: Outside | None = None) -> AsyncIterator[Nodes]:
    """Run nodes with six accounts of 1,000 each."""
    parts = [*PARTS, *(outside.parts() if outside is not None else [])]
    async with nodes(*names, parts=parts) as group:
        for account in ACCOUNTS:
            await open_account(next(iter(group.running.values())), account, 1_000)
        await group.settled()
        yield group


async def approved(node: Runtime, *, skip: tuple[object, ...] = (), right: int | None = 900, **more: object) -> None:
    """Open, plan and approve a case for the amounts of all accounts."""
    cases = node.corrections
    await cases.open(Selection(events=WRONG), by="ann", reason="typing error", id="c-1")
    rights = {} if right is None else {event: {"amount": right} for event in WRONG}
    await cases.plan("c-1", by="ann", right=rights, skip=skip, **more)
    await cases.approve("c-1", by="bob")


async def balances(node: Runtime) -> set[int]:
    return {(await node.get(Account, account)).balance for account in ACCOUNTS}


@virtual
async def test_a_case_corrects_streams_of_every_node() -> None:
    async with bank_of("a", "b", "c") as group:
        await approved(group["a"])
        applied = await group["a"].corrections.apply("c-1")
        assert (applied.status, {one.error for one in applied.outcomes}) == ("applied", {""})
        for node in group.running.values():
            assert await balances(node) == {900}
        again = await group["b"].corrections.apply("c-1")
        assert again.outcomes == applied.outcomes
        report = await group["c"].corrections.close("c-1", by="bob")
        assert (report.status, report.refused) == ("closed", [])


@virtual
async def test_projections_are_repaired_on_the_nodes_that_run_them() -> None:
    async with bank_of("a", "b", "c") as group:
        (runs,) = group.runs(Bookings)
        asked = next(node for name, node in group.running.items() if name != runs)
        await approved(asked, skip=(Bookings, Balances), right=None)
        applied = await asked.corrections.apply("c-1")
        assert set(applied.repaired) == {"Bookings", "bank_balances"}
        for node in group.running.values():
            assert await node.query(Bookings.of, "a") == (0, 0)
            assert await node.query(Balances.of, "a") == 0


@virtual
async def test_a_projection_in_memory_is_rebuilt_on_every_node() -> None:
    opened = [f"bank.account/{account}/1" for account in ACCOUNTS]
    async with bank_of("a", "b") as group:
        cases = group["a"].corrections
        await cases.open(Selection(events=opened), by="ann", reason="a test", id="c-1")
        await cases.plan("c-1", by="ann", skip=[Openings])
        await cases.approve("c-1", by="bob")
        assert [await node.query(Openings.all) for node in group.running.values()] == [6, 6]
        assert (await cases.apply("c-1")).repaired == ("Openings",)
        await asyncio.sleep(OTHERS + 1)
        assert [await node.query(Openings.all) for node in group.running.values()] == [0, 0]
        third = await group.start("c")
        assert await third.query(Openings.all) == 0


@virtual
async def test_held_followers_wait_wherever_they_run_and_move() -> None:
    outside = Outside()
    async with bank_of("a", "b", outside=outside) as group:
        published, thanked = len(outside.published), len(outside.thanked)
        assert (published, thanked) == (6, 6)
        cases = group["a"].corrections
        await cases.open(Selection(events=WRONG), by="ann", reason="stop", id="c-1", hold=True)
        await open_account(group["b"], "g", 10)
        await group.settled()
        await group.start("c")
        await group.stop("a")
        await group.stop("b")
        assert (len(outside.published), len(outside.thanked)) == (published, thanked)
        await group["c"].corrections.cancel("c-1", by="ann", reason="all is right")
        await group.settled()
        assert (len(outside.published), len(outside.thanked)) == (published + 1, thanked + 1)


@virtual
async def test_a_hold_that_is_not_confirmed_in_time_is_an_error_and_can_be_repeated() -> None:
    outside = Outside()
    async with bank_of("a", "b", outside=outside) as group:
        outside.open.clear()
        await open_account(group["a"], "g", 10)
        await asyncio.sleep(1)  # the reaction is now at work, so it cannot confirm
        cases = group["a"].corrections
        with pytest.raises(FollowerElsewhere, match="no node has confirmed case c-1 for reaction thank:"):
            await cases.open(Selection(events=WRONG), by="ann", reason="stop", id="c-1", hold=True)
        outside.open.set()
        case = await cases.open(Selection(events=WRONG), by="ann", reason="stop", id="c-1", hold=True)
        assert set(case.confirmed["waits"]) == {"outlet bank", "reaction thank"}


@virtual
async def test_a_marked_event_does_not_leave_the_node_that_runs_the_outlet() -> None:
    outside = Outside()
    outlet, _ = parts = outside.parts()
    async with nodes("a", "b", parts=[*PARTS, *parts]) as group:
        (runs,) = group.runs(outlet)
        owner, asked = group[runs], group["b" if runs == "a" else "a"]
        owner.processors[outlet].pause()
        await open_account(asked, "a", 1_000)
        await open_account(asked, "g", 1_000)
        cases = asked.corrections
        await cases.open(Selection(events=WRONG[:1]), by="ann", reason="typing error", id="c-1")
        await cases.plan("c-1", by="ann", skip=["outlet bank"])
        await cases.approve("c-1", by="bob")
        await cases.apply("c-1")
        owner.processors[outlet].resume()
        await group.settled()
        assert [one.subject for one in outside.published] == ["g"]


@virtual
async def test_a_reaction_runs_again_on_the_node_that_runs_it_once() -> None:
    outside = Outside()
    async with bank_of("a", "b", "c", outside=outside) as group:
        before = len(outside.thanked)
        outside.away = True
        await approved(group["a"], right=None, rerun=("thank",))
        applied = await group["a"].corrections.apply("c-1")
        assert {error for error in applied.rerun["thank"].values()} == {"ConnectionError: nobody is there"}
        outside.away = False
        applied = await group["b"].corrections.apply("c-1")
        assert set(applied.rerun["thank"].values()) == {""}
        assert len(outside.thanked) == before + len(WRONG)
        assert len({*outside.thanked}) == len(outside.thanked)
        await group["c"].corrections.apply("c-1")
        assert len(outside.thanked) == before + len(WRONG)
