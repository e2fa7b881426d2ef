"""Events that a reaction handled wrongly: the code is right now, and a case runs the reaction again for them."""

import asyncio

import pytest
from support.correcting import DAY, open_account, until

from actorium import ConfigurationError, IdempotencyKey, Rejected, Retry, Runtime, Settings, react
from actorium.corrections import Selection
from actorium.corrections.pages.case_page import case_page
from actorium.examples.bank.domain import Account, Credit, Credited, Debited

pytestmark = pytest.mark.asyncio

FIRST, SECOND = "bank.account/a/2", "bank.account/b/2"
ONE_PERSON = Settings(second_approver=False)


class Receiver:
    """What a reaction sends mail to: it ignores a key that it knows, and may be away or hang."""

    def __init__(self) -> None:
        self.mails: dict[str, str] = {}
        self.calls: list[str] = []
        self.text = "wrong"
        self.away = False
        self.hangs_at = 0
        self.hangs = asyncio.Event()

    def runtime(self, store: str, *, rerun: bool = True) -> Runtime:
        """Return a bank that tells the receiver of each credit."""

        @react(on_replay="skip", rerun=rerun, retry=Retry(attempts=2, backoff_s=0.0), concurrency=1)
        async def thank(event: Credited, key: IdempotencyKey) -> None:
            self.calls.append(key)
            if len(self.calls) == self.hangs_at:
                self.hangs.set()
                await asyncio.Event().wait()
            if self.away and ":b:" in key:
                raise ConnectionError("nobody is there")
            self.mails.setdefault(key, f"{self.text} {event.amount}")

        @react(on_replay="skip", rerun=True)
        async def warn(event: Debited) -> None: ...

        return Runtime([Account, thank, warn], store=store, settings=ONE_PERSON)


def again(account: str, case: str = "c-1") -> str:
    return f"correction/{case}/rerun/thank:bank.account:{account}:2:0"


async def handled_wrongly(runtime: Runtime, receiver: Receiver) -> None:
    """Let the reaction handle two events, fix it, and open a case for them."""
    await open_account(runtime, "a", 1)
    await open_account(runtime, "b", 2)
    await until(lambda: len(receiver.mails) == 2, runtime)
    reaction = next(one for one in runtime.processors.values() if one.plain_name == "thank")
    await reaction.checkpoint.reached(runtime.statistics().position)
    receiver.text = "right"
    await runtime.corrections.open(
        Selection(types=["bank.credited", "bank.account-opened"]), by="ann", reason="a wrong mail", id="c-1"
    )


async def planned(runtime: Runtime) -> None:
    """Plan to run the reaction again."""
    case = await runtime.corrections.plan("c-1", by="ann", rerun=["thank"])
    assert case.reruns == {"thank": (FIRST, SECOND)}
    await runtime.corrections.approve("c-1", by="ann")


@pytest.fixture
def url(log_url: str) -> str:
    return log_url


async def test_a_reaction_runs_again_under_a_key_of_the_case(url: str) -> None:
    receiver = Receiver()
    async with receiver.runtime(url) as runtime:
        await handled_wrongly(runtime, receiver)
        await planned(runtime)
        case = await runtime.corrections.apply("c-1")
        assert case.rerun == {"thank": {FIRST: "", SECOND: ""}}
        assert [*receiver.mails.values()] == ["wrong 1", "wrong 2", "right 1", "right 2"]
        assert [*receiver.mails][2:] == [again("a"), again("b")]
        await runtime.corrections.apply("c-1")  # what is done is not done again
        assert len(receiver.calls) == 4
        report = await runtime.corrections.close("c-1", by="ann")
        assert (report.rerun, report.failed_reruns) == (case.rerun, [])
        assert [step.type for step in report.steps].count("correction.reaction_rerun") == 2
        assert "Reactions that ran again" in case_page(report)


async def test_a_failure_is_listed_not_parked_and_tried_again_under_the_same_key(url: str) -> None:
    receiver = Receiver()
    async with receiver.runtime(url) as runtime:
        await handled_wrongly(runtime, receiver)
        await planned(runtime)
        receiver.away = True
        await runtime.corrections.apply("c-1")
        assert receiver.calls[2:] == [again("a"), again("b"), again("b")]  # as often as `retry` says
        report = await runtime.corrections.report("c-1")
        ((name, event, error),) = report.failed_reruns
        assert (name, event) == ("thank", SECOND)
        assert "nobody is there" in error
        assert "nobody is there" in case_page(report)
        assert [one.parked for one in runtime.statistics().processors] == [0, 0]
        receiver.away = False
        case = await runtime.corrections.apply("c-1")
        assert case.rerun == {"thank": {FIRST: "", SECOND: ""}}
        assert receiver.calls[5:] == [again("b")]


async def test_a_stop_between_two_events_loses_none(url: str) -> None:
    receiver = Receiver()
    receiver.hangs_at = 4
    async with receiver.runtime(url) as runtime:
        await handled_wrongly(runtime, receiver)
        await planned(runtime)
        applying = asyncio.create_task(runtime.corrections.apply("c-1"))
        await receiver.hangs.wait()
        with pytest.raises(Rejected, match="not applied completely"):
            await runtime.corrections.close("c-1", by="ann")
        applying.cancel()
    async with receiver.runtime(url) as runtime:
        case = await runtime.corrections.apply("c-1")
        assert case.rerun == {"thank": {FIRST: "", SECOND: ""}}
    assert receiver.calls[2:] == [again("a"), again("b"), again("b")]
    assert [*receiver.mails.values()][2:] == ["right 1", "right 2"]


async def test_code_that_no_longer_has_the_reaction_is_an_outcome(url: str) -> None:
    receiver = Receiver()
    async with receiver.runtime(url) as runtime:
        await handled_wrongly(runtime, receiver)
        await planned(runtime)
    async with receiver.runtime(url, rerun=False) as runtime:
        case = await runtime.corrections.apply("c-1")
        assert "no such reaction" in case.rerun["thank"][FIRST]
        await runtime.corrections.close("c-1", by="ann")
    assert len(receiver.calls) == 2


async def test_an_event_that_the_reaction_will_still_handle_is_not_run_again(url: str) -> None:
    receiver = Receiver()
    async with receiver.runtime(url) as runtime:
        await handled_wrongly(runtime, receiver)
        reaction = next(one for one in runtime.processors.values() if one.plain_name == "thank")
        reaction.pause()
        await runtime.send(Credit("a", 5, DAY, "cash"))
        await runtime.corrections.open(Selection(events=["bank.account/a/3"]), by="ann", reason="r", id="c-2")
        await runtime.corrections.plan("c-2", by="ann", rerun=["reaction thank"])
        await runtime.corrections.approve("c-2", by="ann")
        case = await runtime.corrections.apply("c-2")
        assert "has not reached this event yet" in case.rerun["thank"]["bank.account/a/3"]
        assert len(receiver.calls) == 2
        reaction.resume()
        await until(lambda: len(receiver.calls) == 3, runtime)


async def test_a_skipped_event_is_not_run_again(url: str) -> None:
    receiver = Receiver()
    async with receiver.runtime(url) as runtime:
        await handled_wrongly(runtime, receiver)
        await planned(runtime)
        await runtime.corrections.open(Selection(events=[FIRST]), by="ann", reason="never", id="c-2")
        await runtime.corrections.plan("c-2", by="ann", skip=["reaction thank"])
        await runtime.corrections.approve("c-2", by="ann")
        await runtime.corrections.apply("c-2")
        case = await runtime.corrections.apply("c-1")
        assert "parked, held back or skipped" in case.rerun["thank"][FIRST]
        assert receiver.calls[2:] == [again("b")]


async def test_what_cannot_run_again_is_refused_in_the_plan(url: str) -> None:
    receiver = Receiver()
    async with receiver.runtime(url) as runtime:
        await handled_wrongly(runtime, receiver)
        plan = runtime.corrections.plan
        with pytest.raises(ConfigurationError, match="handles none of the events"):
            await plan("c-1", by="ann", rerun=["warn"])
        with pytest.raises(ConfigurationError, match="both skip the events of the case and run again"):
            await plan("c-1", by="ann", rerun=["thank"], skip=["reaction thank"])
        with pytest.raises(ConfigurationError, match="'reaction nobody' is not a projection"):
            await plan("c-1", by="ann", rerun=["nobody"])
    async with receiver.runtime(url, rerun=False) as runtime:
        with pytest.raises(ConfigurationError, match=r"reaction thank cannot run again: declare it .* rerun=True"):
            await runtime.corrections.plan("c-1", by="ann", rerun=["thank"])
        assert (await runtime.corrections.get("c-1")).status == "open"
