"""`what_if` and `with_code`: what would be different, found in runs of a log in memory."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from support import changed_banks
from support.correcting import DAY, Outside, Tax, Wage, bank, open_account, transfer, until

from actorium import (
    Aggregate,
    Command,
    ConfigurationError,
    Event,
    EventStore,
    IdempotencyKey,
    NotFound,
    Runtime,
    decide,
    evolve,
    react,
)
from actorium.corrections import Added, Edits, WhatIf, what_if, with_code
from actorium.corrections.pages.what_if_page import what_if_page
from actorium.examples.bank.domain import Account, AllowOverdraft, Credit, Debit
from actorium.examples.bank.transfers import Transfer
from actorium.sagas.model.submissions import SubmissionConcluded

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def log(log_url: str) -> AsyncIterator[EventStore]:
    """A log with transfers that succeed, that lack money and whose target does not exist; open for reading."""
    outside = Outside()
    async with bank(log_url, outside) as runtime:
        for account in ("a", "b", "c"):
            await open_account(runtime, account, 1_003)
        await transfer(runtime, "t-1", "a", "b", 300)
        await transfer(runtime, "t-2", "b", "c", 200)
        await transfer(runtime, "t-3", "b", "c", 20_000)
        await transfer(runtime, "t-4", "b", "nobody", 20)
        await runtime.send(AllowOverdraft("c", 50))
        await runtime.submit(Credit("c", 5, DAY, "cash_deposit"), command_id="s-1")
        await anext(runtime.events(types=[SubmissionConcluded]))
        await until(lambda: len(outside.published) == 10, runtime)
    reader = bank(log_url, Outside()).store
    await reader.open(read_only=True)  # type: ignore[call-arg]
    yield reader
    await reader.close()


async def with_new(log: EventStore, new: Runtime, *allowed: str) -> WhatIf:
    return await with_code(log, bank("memory://").catalog, new.catalog, allowed)


async def test_a_run_of_the_code_that_wrote_a_log_repeats_it(log: EventStore) -> None:
    found = await with_code(log, bank("memory://", Outside()).catalog)
    assert list(found.lines(100))[1:] == []
    assert found.unknown_commands == 0
    assert found.commands == 3 * 2 + 4 + 4 + 3 + 5 + 1 + 1


async def test_a_run_beside_a_live_application_changes_nothing(log_url: str) -> None:
    outside = Outside()
    async with bank(log_url, outside) as runtime:
        await open_account(runtime, "a", 1_000)
        await until(lambda: len(outside.thanked) == 1, runtime)
        before = runtime.statistics().position
        found = await runtime.corrections.what_if(Edits(left_out=frozenset(["bank.account/a/2"])))
        assert found.counts["decision"] == 1
        assert (await runtime.get(Account, "a")).balance == 1_000
        assert (runtime.statistics().position, len(outside.thanked), len(outside.published)) == (before, 1, 1)


@pytest.mark.parametrize(
    ("new", "kind", "said"),
    [
        (changed_banks.rounding, "state", "bank.account<a>"),
        (changed_banks.dropped_validation, "check", "Credit with amount=-1"),
        (changed_banks.renamed_field, "unreadable", "bank.debited"),
        (changed_banks.reordered_step, "saga", "bank.internal-transfer<t-1>"),
        (changed_banks.projection_bug, "row", "Bookings.Booked a"),
    ],
)
async def test_a_change_of_behaviour_is_found(
    log: EventStore, new: Callable[[], Runtime], kind: str, said: str
) -> None:
    found = await with_new(log, new())
    assert [one for one in found.differences if one.kind == kind and said in one.where]


async def test_a_refactoring_makes_no_difference(log: EventStore) -> None:
    found = await with_new(log, changed_banks.refactored())
    assert list(found.lines(100))[1:] == []


async def test_the_allow_list_takes_what_is_expected(log: EventStore) -> None:
    found = await with_new(log, changed_banks.projection_bug(), "row Bookings.*")
    assert (found.counts, found.allowed) == ({}, 2)
    other = await with_new(log, changed_banks.projection_bug(), "row Other.*")
    assert other.counts == {"row": 2}


async def test_what_follows_from_an_event_is_missing_without_it(log: EventStore) -> None:
    catalog = bank("memory://", Outside()).catalog
    found = await what_if(log, catalog, Edits(left_out=frozenset(["bank.account/a/2"])))
    decisions = {one.where.rpartition(", ")[2]: one.after for one in found.differences if one.kind == "decision"}
    assert decisions["~bank.internal-transfer/t-1/debit/0"] == "refused: insufficient funds"
    assert decisions["~bank.internal-transfer/t-1/credit/0"] == "not sent"
    assert decisions["~bank.internal-transfer/t-1/accept:undo/0"].startswith("bank.transfer-returned")
    # b has less money than in the log, but enough for what it did
    assert not [where for where in decisions if "t-2" in where]
    sagas = [one for one in found.differences if one.kind == "saga"]
    assert [one.where for one in sagas] == ["bank.internal-transfer<t-1>"]
    assert sagas[0].after.startswith("('undone', 'insufficient funds'")
    states = {one.where: one.after for one in found.differences if one.kind == "state"}
    assert "'balance': 0" in states["bank.account<a>"]
    assert len(found.refused()) == 3
    assert "bank.account<a>" in found.as_json().decode()
    assert "There are differences" in what_if_page(found)


async def test_a_changed_event_changes_what_sagas_send(log: EventStore) -> None:
    catalog = bank("memory://", Outside()).catalog
    found = await what_if(log, catalog, Edits(changed={"bank.transfer/t-1/1": {"amount": 500}}))
    rows = {one.where: (one.before, one.after) for one in found.differences if one.kind == "row"}
    assert rows["Bookings.Booked a"] == ("(2, 703)", "(2, 503)")
    assert {one.kind for one in found.differences} == {"decision", "state", "saga", "row", "message"}


async def test_a_refused_step_that_is_possible_now_is_carried_out(log: EventStore) -> None:
    catalog = bank("memory://", Outside()).catalog
    found = await what_if(log, catalog, Edits(changed={"bank.transfer/t-3/1": {"amount": 20}}))
    (saga,) = [one for one in found.differences if one.kind == "saga"]
    assert saga.before.startswith("('undone'")
    assert saga.after.startswith("('completed'")


async def test_added_commands_are_decided_at_their_place(log: EventStore) -> None:
    catalog = bank("memory://", Outside()).catalog
    late = await what_if(log, catalog, Edits(added=[Added(Debit("a", 700, DAY, "cash"))]))
    assert late.counts["decision"] == 1
    early = await what_if(log, catalog, Edits(added=[Added(Debit("a", 1_000, DAY, "cash"), after=6)]))
    assert [one.where for one in early.differences if one.kind == "saga"] == ["bank.internal-transfer<t-1>"]


async def test_edits_that_make_no_sense_are_refused(log: EventStore) -> None:
    with pytest.raises(ConfigurationError, match="both left out and changed"):
        Edits(left_out=frozenset(["x"]), changed={"x": {}})
    with pytest.raises(NotFound, match=r"'bank\.account/z/1' is not an event of an aggregate"):
        await what_if(log, bank("memory://").catalog, Edits(left_out=frozenset(["bank.account/z/1"])))


async def test_a_command_that_its_events_do_not_hold_is_kept_as_recorded() -> None:
    runtime = Runtime([Wage], store="memory://")
    async with runtime:
        await runtime.send(Tax("w", 20))
    await runtime.store.open()
    found = await with_code(runtime.store, runtime.catalog)
    await runtime.store.close()
    assert (found.unknown_commands, found.commands, found.counts) == (1, 0, {})
    assert "could not be rebuilt" in "\n".join(found.lines(10))


class Ping(Command):
    pass


class Pinged(Event):
    pass


class Thank(Command):
    pass


class Thanked(Event):
    pass


class Echo(Aggregate):
    thanks: int = 0

    @decide
    def ping(self, command: Ping) -> Pinged:
        return Pinged()

    @decide
    def thank(self, command: Thank) -> Thanked:
        return Thanked()

    @evolve
    def pinged(self, event: Pinged) -> None:
        pass

    @evolve
    def thanked(self, event: Thanked) -> None:
        self.thanks += 1


async def test_the_command_of_a_reaction_is_not_sent_without_its_event() -> None:
    held: list[Any] = []

    @react(on_replay="skip")
    async def thank(event: Pinged, key: IdempotencyKey) -> None:
        await held[0].send(Thank("e"), command_id=key)

    runtime = Runtime([Echo, thank], store="memory://")
    held.append(runtime)
    async with runtime:
        await runtime.send(Ping("e"))
        await anext(runtime.events(types=[Thanked]))
    await runtime.store.open()
    found = await what_if(runtime.store, runtime.catalog, Edits(left_out=frozenset(["Echo/e/1"])))
    await runtime.store.close()
    assert sorted(one.after for one in found.differences if one.kind == "decision") == ["left out", "not sent"]


async def test_the_sagas_of_a_run_are_those_of_the_log(log: EventStore) -> None:
    """A saga class that began after some events does not get them in a run either."""
    catalog = bank("memory://").catalog
    assert Transfer in catalog.sagas
    found = await with_code(log, catalog)
    assert found.counts == {}
