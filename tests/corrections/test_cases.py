"""Cases: wrong events are corrected by new ones, the log is never edited, and everybody learns of it once."""

from collections.abc import AsyncIterator
from hashlib import sha256

import msgspec
import pytest
import pytest_asyncio
from support.correcting import DAY, Bookings, Openings, Outside, Tax, Wage, bank, open_account, transfer, until

from actorium import (
    ConfigurationError,
    InvalidCommand,
    NotFound,
    Rejected,
    Runtime,
    Saga,
    Settings,
    on,
    starts,
    step,
)
from actorium.corrections import Edits, Selection
from actorium.corrections.pages.case_page import case_page
from actorium.examples.bank.domain import (
    Account,
    AllowOverdraft,
    BookingCorrected,
    Credit,
    Credited,
    Debit,
    Debited,
    OpenAccount,
)
from actorium.examples.bank.projections import Balances
from actorium.examples.bank.transfers import Transfer
from actorium.store.names import StreamName

pytestmark = pytest.mark.asyncio

WRONG = "bank.account/a/2"


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest_asyncio.fixture
async def runtime(outside: Outside, log_url: str) -> AsyncIterator[Runtime]:
    async with bank(log_url, outside) as runtime:
        for account in ("a", "b"):
            await open_account(runtime, account, 1_000)
        await transfer(runtime, "t-1", "a", "b", 300)
        await until(lambda: len(outside.published) == 4, runtime)
        yield runtime


async def log_hash(runtime: Runtime, end: int) -> str:
    records = await runtime.store.read_log(0, end)
    return sha256(msgspec.json.encode(records)).hexdigest()


async def approved(runtime: Runtime, id: str = "c-1") -> None:
    """Open, plan and approve a case for an amount that should have been 900."""
    corrections = runtime.corrections
    await corrections.open(Selection(events=[WRONG]), by="ann", reason="typing error", id=id)
    await corrections.plan(id, by="ann", right={WRONG: {"amount": 900}})
    await corrections.approve(id, by="bob")


async def test_a_wrong_amount_is_corrected_by_a_new_event(runtime: Runtime, outside: Outside) -> None:
    end = runtime.statistics().position
    before = await log_hash(runtime, end)
    corrections = runtime.corrections
    opened = await corrections.open(Selection(events=[WRONG]), by="ann", reason="typing error", id="c-1")
    assert (opened.status, opened.events, opened.opened_by) == ("open", (WRONG,), "ann")
    assert (await corrections.impact_of("c-1")).selected == 1
    planned = await corrections.plan("c-1", by="ann", right={WRONG: {"amount": 900}})
    assert len(planned.corrections) == 1
    tried = await corrections.dry_run("c-1")
    assert {one.where for one in tried.differences if one.kind == "state"} == {"bank.account<a>"}
    assert (await runtime.get(Account, "a")).balance == 700
    await corrections.approve("c-1", by="bob")
    applied = await corrections.apply("c-1")
    assert (applied.status, [one.error for one in applied.outcomes]) == ("applied", [""])
    assert (await runtime.get(Account, "a")).balance == 600
    assert await runtime.query(Balances.of, "a", after=applied.outcomes[0].position) == 600
    report = await corrections.close("c-1", by="bob")
    assert (report.status, report.refused, report.corrected["caused events"]) == ("closed", [], 1)
    assert [step.type.removeprefix("correction.") for step in report.steps] == [
        "opened",
        "planned",
        "dry_run",
        "approved",
        "begun",
        "applied",
        "closed",
    ]
    await until(lambda: len(outside.published) == 5, runtime)
    told = outside.published[-1]
    assert (told.type, told.corrects) == ("bank.booking-corrected", WRONG)
    assert [one.corrects for one in outside.published[:-1]] == [""] * 4
    assert await log_hash(runtime, end) == before


async def test_applying_again_changes_nothing(runtime: Runtime) -> None:
    await approved(runtime)
    await runtime.corrections.apply("c-1")
    end = runtime.statistics().position
    await runtime.corrections.apply("c-1")
    assert runtime.statistics().position == end
    await runtime.corrections.close("c-1", by="bob")
    await runtime.corrections.close("c-1", by="bob")
    with pytest.raises(Rejected, match="the case is closed"):
        await runtime.corrections.apply("c-1")


async def test_an_event_that_should_not_have_happened_is_reversed(runtime: Runtime) -> None:
    await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="twice", id="c-1")
    await runtime.corrections.plan("c-1", by="ann", right={WRONG: None})
    await runtime.corrections.approve("c-1", by="bob")
    await runtime.corrections.apply("c-1")
    account = await runtime.get(Account, "a")
    assert (account.balance, account.transactions) == (-300, 1)


async def test_a_command_can_correct_an_event_by_hand(runtime: Runtime) -> None:
    await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="typing error", id="c-1")
    await runtime.corrections.plan("c-1", by="ann", commands={WRONG: Debit("a", 100, DAY, "correction")})
    await runtime.corrections.approve("c-1", by="bob")
    (outcome,) = (await runtime.corrections.apply("c-1")).outcomes
    assert outcome.error == ""
    (event,) = [one async for one in runtime.causes("actorium.correction/c-1/1")]
    assert event.metadata.headers == {"actorium-corrects": WRONG}
    assert event.metadata.correlation_id == "correction/c-1"


async def test_a_refused_correction_is_reported(runtime: Runtime) -> None:
    await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="typing error", id="c-1")
    await runtime.corrections.plan("c-1", by="ann", commands={WRONG: Debit("a", 100_000, DAY, "correction")})
    await runtime.corrections.approve("c-1", by="bob")
    await runtime.corrections.apply("c-1")
    report = await runtime.corrections.close("c-1", by="bob")
    (refused,) = report.refused
    assert "insufficient funds" in refused.error
    assert "insufficient funds" in case_page(report)
    assert b"insufficient funds" in report.as_json()


async def test_a_second_person_must_approve(runtime: Runtime) -> None:
    await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="typing error", id="c-1")
    with pytest.raises(Rejected, match="the case is open"):
        await runtime.corrections.approve("c-1", by="bob")
    await runtime.corrections.plan("c-1", by="ann", right={WRONG: {"amount": 900}})
    with pytest.raises(Rejected, match="a second person"):
        await runtime.corrections.approve("c-1", by="ann")
    with pytest.raises(Rejected, match="the case is planned"):
        await runtime.corrections.apply("c-1")
    await runtime.corrections.approve("c-1", by="bob")
    await runtime.corrections.plan("c-1", by="ann", right={WRONG: {"amount": 800}})
    with pytest.raises(Rejected, match="the case is planned"):
        await runtime.corrections.apply("c-1")


async def test_one_person_is_enough_if_the_settings_say_so() -> None:
    async with bank("memory://", settings=Settings(second_approver=False)) as runtime:
        await open_account(runtime, "a", 1_000)
        await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="typing error", id="c-1")
        await runtime.corrections.plan("c-1", by="ann", right={WRONG: {"amount": 900}})
        await runtime.corrections.approve("c-1", by="ann")
        await runtime.corrections.apply("c-1")
        assert (await runtime.get(Account, "a")).balance == 900


async def test_what_has_not_left_waits_while_a_case_holds_it_and_can_be_recalled(log_url: str) -> None:
    outside = Outside()
    outlet, thank = outside.parts()
    from support.correcting import PARTS

    async with Runtime([*PARTS, outlet, thank], store=log_url) as runtime:
        await open_account(runtime, "b", 1_000)
        await until(lambda: len(outside.published) == 1, runtime)
        runtime.processors[outlet].pause()
        runtime.processors[thank].pause()
        await open_account(runtime, "a", 1_000)
        await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="oops", id="c-1", hold=True)
    # the hold survives a restart, although a pause does not
    async with Runtime([*PARTS, outlet, thank], store=log_url) as runtime:
        assert runtime.processors[outlet].statistics().state == "paused"
        await runtime.send(Credit("b", 5, DAY, "cash"))
        await runtime.corrections.plan("c-1", by="ann", right={WRONG: {"amount": 900}}, skip=[outlet, thank])
        await runtime.corrections.approve("c-1", by="bob")
        await runtime.corrections.apply("c-1")
        assert len(outside.published) == 1
        await runtime.corrections.close("c-1", by="bob")
        await until(lambda: len(outside.published) == 3, runtime)
        assert [one.subject for one in outside.published] == ["b", "b", "a"]
        assert outside.published[-1].corrects == WRONG
        await until(lambda: len(outside.thanked) == 2, runtime)
        assert all(":a:" not in key for key in outside.thanked)
        # a replay skips it too
        await runtime.processors[outlet].reset()
        await until(lambda: len(outside.published) == 6, runtime)
        assert [one.subject for one in outside.published[3:]] == ["b", "b", "a"]


async def test_a_projection_skips_marked_events_and_only_their_rows_are_written(runtime: Runtime) -> None:
    await runtime.query(Bookings.of, "a", after=runtime.statistics().position)
    await _spoil(runtime)
    await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="a test booking", id="c-1")
    await runtime.corrections.plan("c-1", by="ann", skip=[Bookings, Openings])
    await runtime.corrections.approve("c-1", by="bob")
    await runtime.corrections.apply("c-1")
    report = await runtime.corrections.close("c-1", by="bob")
    assert report.repaired == {"Bookings": 1, "Openings": -1}
    assert await runtime.query(Bookings.of, "a") == (1, -300)
    assert await runtime.query(Bookings.of, "b") == (2, 7)  # not touched by the event, so not even a wrong row is
    await runtime.processors[Bookings].reset()
    assert await runtime.query(Bookings.of, "a", after=runtime.statistics().position) == (1, -300)


async def _spoil(runtime: Runtime) -> None:
    """Write a wrong row, as a bug would have left it."""
    processor = runtime.processors[Bookings]
    sql = "UPDATE \"Bookings__v1__Booked\" SET sum = 7 WHERE account = 'b'"

    async def spoil() -> None:
        await processor.checkpoint.save(processor.position, [(sql, ())])

    await processor.between_pages(spoil)


async def test_rows_that_wrong_code_wrote_are_compared_with_the_log(runtime: Runtime) -> None:
    await runtime.query(Bookings.of, "a", after=runtime.statistics().position)
    await _spoil(runtime)
    assert await runtime.query(Bookings.of, "b") == (2, 7)
    await runtime.corrections.open(Selection(stream=StreamName("bank.account", "b")), by="ann", reason="bug", id="c-1")
    await runtime.corrections.plan("c-1", by="ann", repair=[Bookings])
    await runtime.corrections.approve("c-1", by="bob")
    await runtime.corrections.apply("c-1")
    assert (await runtime.corrections.report("c-1")).repaired == {"Bookings": 1}
    assert await runtime.query(Bookings.of, "b") == (2, 1_300)


async def test_a_stuck_saga_is_settled_and_others_are_left(runtime: Runtime) -> None:
    await approved(runtime)
    with pytest.raises(Rejected, match="the case is approved"):
        await runtime.corrections.settle_saga("c-1", Transfer, "t-1", "leave", by="bob")
    await runtime.corrections.apply("c-1")
    with pytest.raises(Rejected, match="not stuck"):
        await runtime.corrections.settle_saga("c-1", Transfer, "t-1", "compensate", by="bob")
    case = await runtime.corrections.settle_saga("c-1", Transfer, "t-1", "leave", by="bob")
    assert case.sagas == {"bank.internal-transfer<t-1>": "leave"}
    with pytest.raises(ConfigurationError, match="must be one of"):
        await runtime.corrections.settle_saga("c-1", Transfer, "t-1", "forget", by="bob")


class Bonus(Saga):
    """Whoever pays into account a gets the same into account b."""

    amount: int = 0

    @starts(correlate=lambda recorded: recorded.stream_id if recorded.stream_id == "a" else None)
    def paid_in(self, event: Credited) -> None:
        self.amount = event.amount

    @step(pivot=True)
    def grant(self) -> Credit:
        return Credit("b", self.amount, DAY, "bonus")


class Watching(Bonus):
    """It follows later events too."""

    @on(correlate=lambda recorded: recorded.stream_id)
    def paid_out(self, event: Debited) -> None: ...


async def test_a_restart_begins_with_the_right_values_of_the_event_that_started_the_saga(log_url: str) -> None:
    async with Runtime([Account, Bonus, Watching], store=log_url) as runtime:
        await runtime.send(OpenAccount("b"))
        await open_account(runtime, "a", 1_000)
        for saga in (Bonus, Watching):
            assert (await runtime.sagas.get(saga, "a", ended_within_s=10)).status == "completed"
        assert (await runtime.get(Account, "b")).balance == 2_000
        await approved(runtime)
        with pytest.raises(Rejected, match="the case is approved"):
            await runtime.corrections.settle_saga("c-1", Bonus, "a", "restart", by="bob")
        await runtime.corrections.apply("c-1")
        for _ in range(2):
            case = await runtime.corrections.settle_saga("c-1", Bonus, "a", "restart", by="bob")
            assert case.sagas == {"Bonus<a>": "restarted as a~c-1"}
        assert (await runtime.sagas.get(Bonus, "a~c-1", ended_within_s=10)).status == "completed"
        assert (await runtime.get(Account, "b")).balance == 2_900
        with pytest.raises(NotFound):
            await runtime.corrections.settle_saga("c-1", Bonus, "nobody", "restart", by="bob")
        with pytest.raises(Rejected, match="they would reach the old run"):
            await runtime.corrections.settle_saga("c-1", Watching, "a", "restart", by="bob")
        await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="twice", id="c-2")
        await runtime.corrections.plan("c-2", by="ann", right={WRONG: None})
        await runtime.corrections.approve("c-2", by="bob")
        await runtime.corrections.apply("c-2")
        with pytest.raises(Rejected, match="nothing to restart"):
            await runtime.corrections.settle_saga("c-2", Bonus, "a", "restart", by="bob")


async def test_a_case_can_be_given_up(runtime: Runtime, outside: Outside) -> None:
    corrections = runtime.corrections
    await corrections.open(Selection(events=[WRONG]), by="ann", reason="oops", id="c-1", hold=True)
    await corrections.open(Selection(events=[WRONG]), by="ann", reason="oops", id="c-2", hold=True)
    assert [case.id async for case in corrections.list()] == ["c-1", "c-2"]
    await corrections.cancel("c-1", by="ann", reason="it was right")
    await runtime.send(Credit("b", 5, DAY, "cash"))
    # the other case still holds
    assert {one.state for one in runtime.statistics().processors if one.name.startswith("outlet")} == {"paused"}
    await corrections.cancel("c-2", by="ann", reason="it was right")
    await until(lambda: len(outside.published) == 5, runtime)


async def test_what_makes_no_sense_is_refused(runtime: Runtime) -> None:
    corrections = runtime.corrections
    one = Selection(events=[WRONG])
    with pytest.raises(InvalidCommand, match="by must not be empty"):
        await corrections.open(one, by=" ", reason="r")
    with pytest.raises(InvalidCommand, match="1 to 2,000 events, not 0"):
        await corrections.open(Selection(types=["nothing"]), by="ann", reason="r")
    with pytest.raises(NotFound):
        await corrections.get("c-9")
    opened = await corrections.open(one, by="ann", reason="r")
    again = await corrections.open(one, by="ann", reason="r", id=opened.id)
    assert again.id == opened.id
    with pytest.raises(InvalidCommand, match="not an event of this case"):
        await corrections.plan(opened.id, by="ann", right={"bank.account/b/2": None})
    with pytest.raises(InvalidCommand, match="Expected `int`"):
        await corrections.plan(opened.id, by="ann", right={WRONG: {"amount": "many"}})
    with pytest.raises(ConfigurationError, match="is not a projection"):
        await corrections.plan(opened.id, by="ann", skip=[Account])
    order = await corrections.open(Selection(events=["bank.transfer/t-1/1"]), by="ann", reason="r")
    with pytest.raises(InvalidCommand, match="no @correct method"):
        await corrections.plan(order.id, by="ann", right={"bank.transfer/t-1/1": None})
    await runtime.send(AllowOverdraft("a", 50))
    assert (await corrections.what_if(Edits(left_out=frozenset([WRONG])))).counts


async def test_a_right_amount_needs_no_correction(runtime: Runtime) -> None:
    await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="r", id="c-1")
    await runtime.corrections.plan("c-1", by="ann", right={WRONG: {"amount": 1_000}})
    await runtime.corrections.approve("c-1", by="bob")
    (outcome,) = (await runtime.corrections.apply("c-1")).outcomes
    assert (outcome.position, outcome.error) == (0, "")
    assert not [
        one async for one in runtime.causes("actorium.correction/c-1/1") if isinstance(one.event, BookingCorrected)
    ]


async def test_a_command_that_cannot_be_rebuilt_has_no_scenario() -> None:
    async with Runtime([Wage], store="memory://", settings=Settings(second_approver=False)) as runtime:
        await runtime.send(Tax("w", 20))
        await runtime.corrections.open(Selection(events=["Wage/w/1"]), by="ann", reason="r", id="c-1")
        await runtime.corrections.plan("c-1", by="ann", commands={"Wage/w/1": Tax("w", 10)})
        with pytest.raises(InvalidCommand, match="cannot be rebuilt"):
            await runtime.corrections.scenario("c-1", app="none:none")
