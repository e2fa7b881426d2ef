"""Beyond its capacity, a runtime immediately refuses commands that it could not finish in time, and executes the
rest.
"""

import asyncio

import pytest
from support.bank import Add, Tally
from support.stores import PassedThrough, whole_log
from support.virtual_time import virtual

from actorium import Ack, CommandContext, Next, Settings
from actorium.application import Runtime
from actorium.errors import CommandTimeout, Overloaded
from actorium.runtime.commands.throughput import Throughput
from actorium.store.event_store import AppendBatch, Appended

EACH_S = 0.001
CAPACITY_PER_S = 1_000
BATCHES = Settings(max_batch_events=20)


class PacedStore(PassedThrough):
    """Takes a millisecond for each append; pauses once for as long as it is told to."""

    pause_s = 0.0

    async def append(self, batch: AppendBatch) -> Appended:
        pause_s, self.pause_s = self.pause_s, 0.0
        await asyncio.sleep(pause_s + len(batch.appends) * EACH_S)
        return await super().append(batch)


def send(runtime: Runtime, to: str, timeout_s: float = 30.0) -> "asyncio.Future[Ack]":
    return asyncio.ensure_future(runtime.send(Add(to), timeout_s=timeout_s))


async def busy_with(runtime: Runtime, commands: int) -> "list[asyncio.Future[Ack]]":
    """Send commands, and return when a fifth of them are done, so that the throughput is known."""
    sent = [send(runtime, f"t{number}") for number in range(commands)]
    await asyncio.sleep(commands * EACH_S / 5)
    assert runtime.statistics().in_flight > commands / 2
    return sent


@virtual
async def test_a_command_that_would_wait_too_long_is_refused_without_effect() -> None:
    store = PacedStore()
    async with Runtime([Tally], store=store, settings=BATCHES) as runtime:
        sent = await busy_with(runtime, 2_000)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Overloaded, match=r"send again in 1\.6 s or later") as refused:
            await runtime.send(Add("late"), timeout_s=3.0)
        assert asyncio.get_running_loop().time() == began
        assert refused.value.retry_after_s == pytest.approx(1.6, rel=0.05)
        assert runtime.statistics().expected_wait_s == refused.value.retry_after_s
        assert runtime.statistics().refused == 1
        patient = send(runtime, "patient", timeout_s=6.0)
        await asyncio.gather(*sent, patient)
        assert (await runtime.send(Add("late"), timeout_s=3.0)).version == 1
        assert len(await whole_log(store.inner)) == 2_002


@virtual
async def test_max_wait_s_applies_however_long_the_timeout_is() -> None:
    settings = Settings(max_batch_events=20, max_wait_s=1.0)
    async with Runtime([Tally], store=PacedStore(), settings=settings) as runtime:
        sent = await busy_with(runtime, 2_000)
        with pytest.raises(Overloaded):
            await runtime.send(Add("late"), timeout_s=3_600.0)
        await asyncio.gather(*sent)


@virtual
async def test_reads_and_tells_are_refused_too() -> None:
    async with Runtime([Tally], store=PacedStore(), settings=BATCHES) as runtime:
        sent = await busy_with(runtime, 2_000)
        with pytest.raises(Overloaded):
            await runtime.get(Tally, "t1", timeout_s=3.0)
        with pytest.raises(Overloaded):
            await runtime.tell(Add("late"), timeout_s=3.0)
        await asyncio.gather(*sent)


@virtual
async def test_middleware_sees_refused_commands() -> None:
    seen: list[str] = []

    async def note(context: CommandContext, call: Next) -> Ack:
        try:
            return await call(context)
        except Overloaded:
            seen.append(context.command.to)
            raise

    async with Runtime([Tally], store=PacedStore(), settings=BATCHES, middleware=[note]) as runtime:
        sent = await busy_with(runtime, 2_000)
        with pytest.raises(Overloaded):
            await runtime.send(Add("late"), timeout_s=3.0)
        await asyncio.gather(*sent)
    assert seen == ["late"]


@virtual
async def test_a_burst_on_an_idle_runtime_is_admitted() -> None:
    """One commit may contain all of them, so the duration of single commands does not predict it."""
    async with Runtime([Tally], store=PacedStore()) as runtime:
        for number in range(20):
            await runtime.send(Add(f"lone{number}"))
        await asyncio.gather(*(runtime.send(Add(f"t{number}"), timeout_s=2.0) for number in range(1_500)))
        assert runtime.statistics().refused == 0


@virtual
async def test_ten_thousand_callers_awaiting_replies_are_not_refused() -> None:
    async with Runtime([Tally], store=PacedStore(), settings=Settings(max_in_flight=500, max_wait_s=20.0)) as runtime:

        async def caller(number: int) -> None:
            for _ in range(2):
                await runtime.send(Add(f"t{number % 500}"), timeout_s=60.0)

        await asyncio.gather(*(caller(number) for number in range(10_000)))
        assert runtime.statistics().refused == 0


@pytest.mark.about("memory", "its bounds are those of a store that reads within a step; a server lets more time out")
@pytest.mark.parametrize("load", [1.5, 2.0, 4.0])
@virtual
async def test_beyond_capacity_goodput_levels_off_and_admitted_commands_finish_in_time(load: float) -> None:
    seconds = 3.0
    outcomes: dict[type, int] = {}

    async def caller(number: int) -> None:
        await asyncio.sleep(number / (CAPACITY_PER_S * load))
        try:
            await runtime.send(Add(f"t{number % 300}"), timeout_s=0.5)
        except (Overloaded, CommandTimeout) as error:
            outcomes[type(error)] = outcomes.get(type(error), 0) + 1
        else:
            outcomes[Ack] = outcomes.get(Ack, 0) + 1

    async with Runtime([Tally], store=PacedStore(), settings=BATCHES) as runtime:
        await asyncio.gather(*(caller(number) for number in range(round(seconds * CAPACITY_PER_S * load))))
    assert outcomes[Ack] > seconds * CAPACITY_PER_S * 0.95
    # But for those who came before anybody knew: at first a queue may be a burst.
    assert outcomes.get(CommandTimeout, 0) < sum(outcomes.values()) * 0.01


@virtual
async def test_while_commands_are_refused_the_others_wait_for_a_twelfth_of_their_time() -> None:
    loop = asyncio.get_running_loop()
    waits_s: list[float] = []

    async def caller(number: int) -> None:
        await asyncio.sleep(number / (CAPACITY_PER_S * 2))
        began = loop.time()
        try:
            await runtime.send(Add(f"t{number % 300}"), timeout_s=2.4)
        except Overloaded:
            pass
        else:
            waits_s.append(loop.time() - began)

    async with Runtime([Tally], store=PacedStore(), settings=BATCHES) as runtime:
        await asyncio.gather(*(caller(number) for number in range(8_000)))
    assert max(waits_s) > 0.7  # before the first refusal, they waited for a third
    assert max(waits_s[-1_000:]) < 0.3


@virtual
async def test_a_second_after_the_last_refusal_a_third_may_be_spent_waiting_again() -> None:
    async with Runtime([Tally], store=PacedStore(), settings=BATCHES) as runtime:
        sent = await busy_with(runtime, 5_000)
        for _ in range(99):
            with pytest.raises(Overloaded):
                await runtime.send(Add("late"), timeout_s=6.0)
        sent.append(send(runtime, "patient", timeout_s=20.0))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await runtime.send(Add("late"), timeout_s=6.0)
        with pytest.raises(Overloaded):
            await runtime.send(Add("late"), timeout_s=20.0)
        await asyncio.sleep(1.1)
        assert runtime.statistics().expected_wait_s > 20.0 / 12
        await runtime.send(Add("late"), timeout_s=20.0)
        await asyncio.gather(*sent)


@virtual
async def test_a_hot_aggregate_only_gets_its_own_senders_refused() -> None:
    settings = Settings(max_batch_events=20, mailbox_limit=20)
    refused = {"hot": 0, "cold": 0}

    async def caller(number: int) -> None:
        await asyncio.sleep(number / (CAPACITY_PER_S * 2))
        kind = "cold" if number % 8 == 0 else "hot"
        try:
            await runtime.send(Add("hot" if kind == "hot" else f"cold{number}"), timeout_s=1.0)
        except Overloaded:
            refused[kind] += 1

    async with Runtime([Tally], store=PacedStore(), settings=settings) as runtime:
        await asyncio.gather(*(caller(number) for number in range(6_000)))
    assert refused["hot"] > 1_500
    assert refused["cold"] == 0


@virtual
async def test_after_a_pause_of_the_store_the_throughput_is_soon_known_again() -> None:
    store = PacedStore()
    async with Runtime([Tally], store=store, settings=BATCHES) as runtime:
        sent = await busy_with(runtime, 600)
        store.pause_s = 10.0
        await asyncio.sleep(10.0)
        expected_s = []
        for _ in range(30):
            await asyncio.sleep(0.01)
            expected_s.append(runtime.statistics().expected_wait_s)
        assert max(expected_s) > 10.0
        assert expected_s[-1] < 0.5
        assert runtime.statistics().in_flight > 100
        await asyncio.gather(*sent)


def test_a_short_round_can_only_raise_the_rate_of_a_long_queue() -> None:
    now = 10.0
    throughput = Throughput(lambda: now)
    throughput.begin(now)

    def gone(count: int, waiting: int, after_s: float) -> float:
        nonlocal now
        now += after_s
        throughput.gone(count, waiting)
        return throughput.each_s

    assert gone(99, 5, after_s=1.0) == 0.0
    assert gone(20, 150, after_s=1.0) == 0.0
    assert gone(99, 150, after_s=25.0) == 0.0  # the round is not over yet
    assert gone(1, 20, after_s=25.0) == 0.5
    assert gone(20, 20, after_s=20.0) == 0.5
    assert gone(20, 20, after_s=5.0) == 0.25


def test_a_round_of_many_has_a_minimum_duration() -> None:
    """Replies come in batches: the duration of a hundred within one batch is not the throughput."""
    now = 10.0
    throughput = Throughput(lambda: now)
    throughput.begin(now)
    throughput.gone(2, 1_000)
    for _ in range(2):
        now += 1 / 64
        throughput.gone(100, 1_000)
    assert throughput.each_s == 0.0
    now += 1 / 32
    throughput.gone(50, 1_000)
    assert throughput.each_s == 1 / 16 / 250


def test_a_stall_among_a_hundred_says_nothing_about_ten_thousand() -> None:
    now = 10.0
    throughput = Throughput(lambda: now)
    throughput.begin(now)
    throughput.gone(2, 100)
    now += 0.5
    throughput.gone(128, 10_000)
    assert throughput.each_s == 0.0
    now += 0.5
    throughput.gone(1_872, 9_000)
    assert throughput.each_s == 1 / 2_000


def test_a_round_that_began_empty_gives_no_rate() -> None:
    """With ten thousand at once, most of the time before the first replies is spent on admitting them."""
    now = 10.0
    throughput = Throughput(lambda: now)
    throughput.begin(now)
    throughput.gone(1, 9_999)  # the first is committed alone
    now += 1
    throughput.gone(1_000, 9_000)
    assert throughput.each_s == 0.0
    now += 1
    throughput.gone(9_000, 1_000)
    assert throughput.each_s == 1 / 9_000


@pytest.mark.parametrize(("idle_s", "known_s"), [(0.9, 0.01), (1.1, 0.0)])
def test_the_throughput_is_forgotten_when_the_queue_stays_empty(idle_s: float, known_s: float) -> None:
    now = 10.0
    throughput = Throughput(lambda: now)
    throughput.begin(now)
    throughput.gone(2, 100)
    now += 1
    throughput.gone(100, 0)
    assert throughput.each_s == 0.01
    now += idle_s
    throughput.begin(now)
    assert throughput.each_s == known_s
