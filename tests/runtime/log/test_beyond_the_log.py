"""A position from a longer log, as after an older copy was restored, is refused immediately."""

import asyncio

import pytest
from support.bank import Add, Added, Tally
from support.read_models import Sums, Switch, Totals, caught_up
from support.stores import append
from support.tables import cut_off, run_on

from actorium import Runtime, react
from actorium.errors import CorruptRow, PositionBeyondLog
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.start_position import StartPosition
from actorium.store.event_store import SaveCheckpoint
from actorium.store.memory import MemoryStore


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    Switch.off()


@react(on_replay="run")
async def mail(event: Added) -> None:
    """Do nothing: only the position matters."""


@pytest.mark.asyncio
async def test_a_reader_after_a_position_beyond_the_log_fails_immediately() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await runtime.send(Add("a", 1))
        for reader in (
            runtime.events(after=50),
            runtime.events(after=2, types=[Added]),
            runtime.events(after=50, aggregate=Tally, id="a"),
        ):
            with pytest.raises(
                PositionBeyondLog, match=r"is beyond the end of the log, 1: .* continue after 1"
            ) as caught:
                await anext(reader)
            assert (caught.value.position > 1, caught.value.head) == (True, 1)
        at_the_end = runtime.events(after=1)
        await runtime.send(Add("a", 2))
        assert (await anext(at_the_end)).position == 2


@pytest.mark.asyncio
async def test_a_query_after_a_position_beyond_the_log_does_not_wait_for_its_timeout() -> None:
    async with Runtime([Tally, Totals], store="memory://") as runtime:
        ack = await runtime.send(Add("a", 1))
        assert await runtime.query(Totals.of, "a", after=ack.position) is not None
        with pytest.raises(PositionBeyondLog):
            await runtime.query(Totals.of, "a", after=ack.position + 1, timeout_s=60)


@pytest.mark.asyncio
async def test_a_saved_subscription_beyond_the_log_fails() -> None:
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "a"), 0, Added(1))
    await store.save([SaveCheckpoint("subscription letters", 1 + 7)])
    await store.close()
    async with Runtime([Tally], store=store) as runtime:
        with pytest.raises(PositionBeyondLog, match="position 7"):
            async with runtime.subscribe("letters") as subscription:
                await anext(subscription)


@pytest.mark.parametrize(
    ("part", "name"), [(Totals, "projection Totals version 1"), (mail, "reaction mail")], ids=["projection", "reaction"]
)
@pytest.mark.asyncio
async def test_a_start_refuses_a_follower_that_is_beyond_the_log(log_url: str, part: object, name: str) -> None:
    async with Runtime([Tally, part], store=log_url) as runtime:  # type: ignore[list-item]
        await runtime.send(Add("a", 1, events=3))
        await caught_up(runtime, part)
    await cut_off(log_url, after_position=2)
    with pytest.raises(CorruptRow, match=f"{name} is at position 3, but the log ends at 2"):
        async with Runtime([Tally, part], store=log_url):  # type: ignore[list-item]
            pass
    async with Runtime([Tally], store=log_url) as runtime:
        assert (await runtime.get(Tally, "a")).total == 2


@pytest.mark.asyncio
async def test_a_follower_that_began_beyond_the_log_fails() -> None:
    store = MemoryStore()
    await store.open()
    await append(store, ("Tally", "a"), 0, Added(1))
    await store.save([SaveCheckpoint("outlet feed begins after", 1 + 7)])
    checkpoint = Checkpoint("outlet feed", store, lambda extra: asyncio.get_running_loop().create_future())
    with pytest.raises(CorruptRow, match="outlet feed is at position 7, but the log ends at 1"):
        await StartPosition(checkpoint, store, 0).prepare()
    await store.close()


@pytest.mark.asyncio
async def test_a_saved_state_of_a_longer_log_is_rebuilt(log_url: str) -> None:
    class Kept(Sums):
        snapshot_every = 1

    async with Runtime([Tally, Kept], store=log_url) as runtime:
        await runtime.send(Add("a", 1, events=3), wait_for=[Kept])
    assert await run_on(log_url, "SELECT position FROM projection_states") == [(3,)]
    await cut_off(log_url, after_position=2)
    async with Runtime([Tally, Kept], store=log_url) as runtime:
        assert await runtime.query(Kept.of, "a", after=2) == 2
