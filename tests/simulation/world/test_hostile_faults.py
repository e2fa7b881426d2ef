"""Hostile faults: off by default, and the effect of each kind; and errors of user code of every kind."""

import asyncio
from collections import Counter

import pytest
from support import small_bank
from support.small_scenarios import Add, Added, Sum

from actorium import Aggregate, Projection, Rejected, Snapshots, Transaction, decide, evolve, on
from actorium.simulation import FaultId, Faults, Kind, World, simulation
from actorium.simulation.search.exhaustive import possible_faults
from actorium.simulation.words import without_addresses
from actorium.simulation.world.code_faults import InjectedUnprintable
from actorium.simulation.world.faults import FAMILIES, HOSTILE, OF_CODE
from actorium.user_code.lines import described, printed

_YEAR_US = 365 * 86_400 * 1_000_000


def test_hostile_faults_are_off_by_default_and_enabled_by_one_switch() -> None:
    usual, hostile = Faults.all().rates, Faults.all(hostile=True).rates
    assert not HOSTILE & usual.keys()
    assert hostile.keys() - usual.keys() == HOSTILE
    assert {kind: hostile[kind] for kind in usual} == dict(usual)


def test_code_raises_errors_of_every_kind_without_the_switch() -> None:
    assert set(OF_CODE) <= Faults.all().rates.keys()
    assert not HOSTILE & set(OF_CODE)


def test_hostile_faults_do_not_change_other_faults() -> None:
    """A seed has the same faults as without them, up to the first hostile one."""
    usual = small_bank.transfers.run(3).faults
    hostile = small_bank.transfers.run(3, faults=Faults.all(hostile=True)).faults
    ordinary = [fault for fault in hostile if fault.kind not in HOSTILE]
    assert usual[:1] == tuple(ordinary[:1])


def test_the_exhaustive_search_excludes_hostile_faults() -> None:
    plain = small_bank.everything.run(0, only=frozenset(), remember=True)
    assert not {*HOSTILE, *OF_CODE} & {fault.kind for fault in possible_faults(plain)}


@pytest.mark.parametrize("kind", OF_CODE)
def test_code_of_every_family_raises_it(kind: Kind) -> None:
    """Nothing else is affected: every invariant holds, and the run comes to rest."""
    families = {family for family, kinds in FAMILIES.items() if kind in kinds}
    plain = small_bank.everything.run(0, only=frozenset(), remember=True)
    assert families == {"decide", "evolve", "project", "saga", "effect"}
    for family in families:
        site, occurrence = next((site, n) for found, site, n in plain.occasions if found == family)
        fault = FaultId(kind, site, occurrence)
        outcome = small_bank.everything.run(0, only=frozenset([fault]), steps_max=5_000)
        assert outcome.faults == (fault,)
        assert outcome.violation is None


def test_a_clock_jumps_years_ahead_and_comes_back() -> None:
    ahead: list[bool] = []

    async def scenario(world: World) -> None:
        client = world.runtime([Sum])
        for n in range(40):
            await client.send(Add("a", n))
            node = world.nodes[0]
            ahead.append(node.witness.records[-1].recorded_us - node.wall_us(world.now_s) > _YEAR_US)
            await asyncio.sleep(5)

    for seed in range(100):
        world = World(seed, Faults.only(Kind.CLOCK_FAR, rate=0.4))
        world.run(scenario)
        assert world.violation is None
        if any(ahead):
            break
    assert any(ahead)  # the log, whose times do not go back, is ahead of a clock that came back


class SumOfTwo(Aggregate):
    """`Sum` in the next release: it also counts, rejects negative numbers, and has snapshots."""

    stream_type = "Sum"
    snapshots = Snapshots(every=2)
    state_version = 2
    amount: int = 0
    additions: int = 0

    @decide
    def add(self, command: Add) -> Added:
        if command.amount < 0:
            raise Rejected("negative")
        return Added(command.amount)

    @evolve
    def added(self, event: Added) -> None:
        self.amount += event.amount
        self.additions += 1


class Amounts(Projection):
    schema = "CREATE TABLE amounts (amount INTEGER NOT NULL)"

    @on
    def added(self, event: Added, tx: Transaction) -> None:
        tx.execute("INSERT INTO amounts VALUES (?)", event.amount)


class MoreAmounts(Projection):
    name = "Amounts"
    version = 2
    schema = "CREATE TABLE amounts (amount INTEGER NOT NULL, twice INTEGER NOT NULL)"

    @on
    def added(self, event: Added, tx: Transaction) -> None:
        tx.execute("INSERT INTO amounts VALUES (?, ?)", event.amount, 2 * event.amount)


@simulation(seeds=20)
async def deployed(world: World) -> None:
    sums = world.runtime([Sum, Amounts], releases=[[SumOfTwo, MoreAmounts]])
    refused = 0
    for number in range(-4, 8):
        try:
            await sums.send(Add("a", number))
        except Rejected:
            refused += 1
        if number == 1:
            sums.crash()
    assert (refused > 0) <= (sums.release == 1)
    if sums.release:
        assert await sums.get(SumOfTwo, "a")
    else:
        assert await sums.get(Sum, "a")


def test_other_classes_are_deployed_between_two_lives_and_every_invariant_holds() -> None:
    happened: Counter[Kind] = Counter()
    releases = set()
    faults = Faults.all()
    rates = {**faults.rates, Kind.DEPLOYED: 0.5}
    for seed in range(20):
        outcome = deployed.run(seed, faults=Faults(rates, reorder=faults.reorder))
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        happened += outcome.by_kind
        releases.add(Kind.DEPLOYED in outcome.by_kind)
    assert releases == {True, False}


def test_an_error_that_cannot_be_printed_is_named_by_its_type() -> None:
    error = InjectedUnprintable("why")
    assert printed(error) == without_addresses(error) == "InjectedUnprintable that cannot be printed"
    assert described(error) == "InjectedUnprintable: InjectedUnprintable that cannot be printed"
