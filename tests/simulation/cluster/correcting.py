"""A case on several nodes, which crash, freeze and are cut off while it is applied."""

from collections import Counter

from support.correcting import DAY, Bookings

from actorium.corrections import Selection
from actorium.examples.bank.domain import Account, BookingCorrected, Credit, OpenAccount
from actorium.examples.bank.projections import Balances
from actorium.simulation import Faults, View, World, simulation

RIGHT, NEVER = ("a", "b", "c"), ("d", "e")


@simulation(seeds=200, faults=Faults.all(rate=0.04))
async def corrected_accounts(world: World) -> None:
    """Three amounts are corrected on three nodes; tables skip two others, and are repaired where they run."""
    bank = world.cluster([Account, Bookings, Balances], nodes=3)
    async with world.calm():
        for account in (*RIGHT, *NEVER):
            await bank.send(OpenAccount(account))
            last = await bank.send(Credit(account, 1_000, DAY, "cash_deposit"))
        await bank.query(Bookings.of, "a", after=last.position)
    world.always("each amount is corrected once", _once)
    cases = bank.corrections
    for id, accounts in (("right", RIGHT), ("never", NEVER)):
        events = [f"bank.account/{account}/2" for account in accounts]
        await cases.open(Selection(events=events), by="ann", reason="typing error", id=id)
        if id == "right":
            await cases.plan(id, by="ann", right={event: {"amount": 900} for event in events}, repair=[Bookings])
        else:
            await cases.plan(id, by="ann", skip=[Bookings, Balances])
        await cases.approve(id, by="bob")
        await cases.apply(id)
        report = await cases.close(id, by="bob")
    for account in RIGHT:
        assert (await bank.get(Account, account)).balance == 900
    end = report.steps[-1].position
    for account in NEVER:
        assert await bank.query(Bookings.of, account, after=end) == (0, 0)
        assert not await bank.query(Balances.of, account, after=end)


def _once(view: View) -> bool:
    """Return whether no account was corrected twice."""
    corrected = Counter(recorded.stream_id for recorded in view.events(BookingCorrected))
    return max(corrected.values(), default=0) <= 1
