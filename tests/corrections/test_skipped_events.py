"""Events that a case has a follower skip stay skipped, also if they were parked before."""

import pytest
from support.correcting import Booked, open_account, until

from actorium import Projection, Retry, Runtime, Settings, on, react
from actorium.corrections import Selection
from actorium.examples.bank.domain import Account, Credited

pytestmark = pytest.mark.asyncio

WRONG = "bank.account/a/2"


@pytest.mark.parametrize("is_table", [True, False])
async def test_a_retry_does_not_deliver_a_parked_event_that_is_skipped_by_now(is_table: bool) -> None:
    seen: list[int] = []
    broken = True

    def handle(amount: int) -> None:
        if broken:
            raise ZeroDivisionError
        seen.append(amount)

    class Seen(Projection):
        if is_table:
            tables = [Booked]

        @on
        def credited(self, event: Credited) -> None:
            handle(event.amount)

    @react(name="see", on_replay="skip", retry=Retry(attempts=1))
    async def see(event: Credited) -> None:
        handle(event.amount)

    part, name = (Seen, "projection Seen") if is_table else (see, "reaction see")
    async with Runtime([Account, part], store="memory://", settings=Settings(second_approver=False)) as runtime:
        await open_account(runtime, "a", 7)
        processor = runtime.processors[part]
        await until(lambda: bool(processor.dead_letters()), runtime)
        await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="r", id="c-1")
        await runtime.corrections.plan("c-1", by="ann", skip=[name])
        await runtime.corrections.approve("c-1", by="ann")
        await runtime.corrections.apply("c-1")
        broken = False
        assert await processor.retry() == 1
        assert (processor.dead_letters(), seen) == ([], [])
