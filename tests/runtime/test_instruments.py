"""Instruments get each report once; callbacks that are not overridden are not installed; none can fail a command."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.bank import Add, Added, FailToDecide, Stay, Tally
from support.read_models import Sums, Switch
from support.stores import FaultyStore, PoisonedStore
from support.transfers import Ask, Transfer, ask, open_accounts, runtime_of, saga_in
from support.virtual_time import settled, virtual

from actorium import (
    CommandFailed,
    ConfigurationError,
    Event,
    Outlet,
    Passivation,
    RecordedEvent,
    Rejected,
    Retry,
    Runtime,
    Settings,
    react,
)
from actorium.errors import HydrationFailed, Overloaded, StoreUnavailable
from actorium.instruments import Instrument, ObservedAnswer, ObservedBatch, ObservedCommand
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.commands.replies import Replies
from actorium.types import CloudEvent


class Recorder(Instrument):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.received: list[Sequence[ObservedCommand]] = []
        self.answered: list[Sequence[ObservedAnswer]] = []
        self.batches: list[ObservedBatch] = []
        self.told: list[tuple[Any, ...]] = []
        self.handled: list[tuple[str, int, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.lags: list[tuple[str, int, float]] = []

    def commands_received(self, commands: Sequence[ObservedCommand]) -> None:
        self.received.append(commands)

    def commands_answered(self, answers: Sequence[ObservedAnswer]) -> None:
        self.answered.append(answers)

    def batch_committed(self, batch: ObservedBatch) -> None:
        self.batches.append(batch)

    def events_delivered(self, processor: str, events: int, position: int) -> None:
        self.told.append((processor, events, position))

    def processor_lag(self, processor: str, lag_events: int, lag_s: float) -> None:
        self.lags.append((processor, lag_events, lag_s))

    def event_handled(
        self, processor: str, event: RecordedEvent[Event], took_s: float, error: BaseException | None
    ) -> None:
        assert took_s >= 0
        self.handled.append((processor, event.position, type(error).__name__ if error else ""))

    def saga_ended(self, saga_type: str, saga_id: str, outcome: str, took_s: float) -> None:
        self.told.append(("saga ended", saga_type, saga_id, outcome, took_s))

    def step_issued(self, saga_type: str, saga_id: str, key: str, commands: int, headers: Mapping[str, str]) -> None:
        self.headers.append(headers)
        self.told.append(("issued", saga_type, saga_id, key, commands))

    def step_ended(self, saga_type: str, saga_id: str, key: str, error: str) -> None:
        self.told.append(("ended", saga_type, saga_id, key, error))

    def actor_hydrated(self, stream_type: str, stream_id: str, version: int, took_s: float) -> None:
        assert took_s >= 0
        self.told.append(("hydrated", stream_type, stream_id, version))

    def actor_passivated(self, stream_type: str, stream_id: str, version: int) -> None:
        self.told.append(("passivated", stream_type, stream_id, version))

    def outcomes(self) -> list[tuple[str, str]]:
        return [(type(one.command.command).__name__, one.outcome) for answers in self.answered for one in answers]

    def those(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [one for one in self.told if one[0] in kinds]


@virtual
async def test_each_command_is_received_with_its_ids_and_answered_once_with_its_outcome() -> None:
    recorder = Recorder()
    async with Runtime([Tally], store="memory://", instruments=[recorder]) as runtime:
        await runtime.send(
            Add("t"), command_id="first", correlation_id="flow", causation_id="cause", headers={"user": "ann"}
        )
        with pytest.raises(Rejected):
            await runtime.send(Add("t", needs=100))
        with pytest.raises(CommandFailed):
            await runtime.send(FailToDecide("t"))
        await runtime.send(Stay("t"))
        await runtime.get(Tally, "t")
        await runtime.send(Add("t"), command_id="first")
        await runtime.tell(Add("t"))
        await settled()
    assert recorder.outcomes() == [
        ("Add", "acknowledged"),
        ("Add", "rejected"),
        ("FailToDecide", "failed"),
        ("Stay", "acknowledged"),
        ("Add", "acknowledged"),
        ("Add", "acknowledged"),
    ]
    received = [one for commands in recorder.received for one in commands]
    first = received[0]
    assert (first.command, first.command_id, first.correlation_id, first.causation_id, first.headers) == (
        Add("t"),
        "first",
        "flow",
        "cause",
        {"user": "ann"},
    )
    answers = [one for answers in recorder.answered for one in answers]
    assert [one.command for one in answers] == received
    assert [type(one.error) for one in answers[:4]] == [type(None), Rejected, CommandFailed, type(None)]


@virtual
async def test_commands_are_reported_per_loop_iteration_with_their_durations() -> None:
    store = FaultyStore()
    store.faults.append("slow")
    recorder = Recorder()
    async with Runtime([Tally], store=store, instruments=[recorder]) as runtime:
        await asyncio.gather(*(runtime.send(Add(f"t{n}")) for n in range(100)))
        await settled()
    assert [len(commands) for commands in recorder.received] == [100]
    assert sum(len(answers) for answers in recorder.answered) == 100
    assert len(recorder.answered) <= 3
    assert recorder.answered[0][0].took_s == pytest.approx(0.05)


@virtual
async def test_a_refused_command_is_not_received_and_an_abandoned_one_is_dropped() -> None:
    recorder, store = Recorder(), FaultyStore()
    async with Runtime([Tally], store=store, instruments=[recorder], settings=Settings(max_in_flight=1)) as runtime:
        store.shut()
        first = asyncio.ensure_future(runtime.send(Add("t")))
        await settled()
        with pytest.raises(Overloaded):
            await runtime.send(Add("u"), timeout_s=0.01)
        store.let_through()
        await first
        leaving = asyncio.ensure_future(runtime.send(Add("v")))
        await asyncio.sleep(0)
        leaving.cancel()  # its actor has not been read yet
        await settled()
    assert sum(map(len, recorder.received)) == 2
    assert recorder.outcomes() == [("Add", "acknowledged"), ("Add", "dropped")]


@virtual
async def test_a_command_to_an_actor_that_cannot_start_is_answered_and_forgotten() -> None:
    store = PoisonedStore()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("t"))
    store.poisoned.add("t")
    recorder = Recorder()
    async with Runtime([Tally], store=store, instruments=[recorder]) as runtime:
        for _ in range(2):  # the second is refused at the door of the failed actor
            with pytest.raises(HydrationFailed):
                await runtime.send(Add("t"))
        await settled()
        assert recorder.outcomes() == [("Add", "failed")]
        assert sum(map(len, recorder.received)) == 1
        assert runtime._engine._observer is not None
        assert not runtime._engine._observer._open


@virtual
async def test_commands_left_unanswered_by_a_stop_are_reported_before_the_end() -> None:
    store = FaultyStore()
    recorder = Recorder()
    runtime = Runtime([Tally], store=store, instruments=[recorder], settings=Settings(drain_s=1, close_s=1))
    await runtime.start()
    store.shut()
    told = asyncio.ensure_future(runtime.send(Add("t")))
    await settled()
    stopping = asyncio.ensure_future(runtime.stop())
    await asyncio.sleep(100)
    assert recorder.outcomes() == [("Add", "failed")]
    store.let_through()
    await asyncio.gather(stopping, told, return_exceptions=True)


@virtual
async def test_a_commit_is_reported_with_its_size_duration_and_error() -> None:
    store = FaultyStore()
    store.faults.extend(["slow", "before"])
    recorder = Recorder()
    async with Runtime([Tally], store=store, instruments=[recorder]) as runtime:
        await runtime.send(Add("t", events=3))
        with pytest.raises(StoreUnavailable):
            await runtime.send(Add("t"))
    slow, failed = recorder.batches
    assert [len(slow.command_ids), len(failed.command_ids)] == [1, 1]
    assert (slow.appends, slow.events, slow.size_bytes, slow.error) == (1, 3, 3 * len('{"amount":1}'), None)
    assert slow.took_s == pytest.approx(0.05)
    assert (failed.events, type(failed.error)) == (1, StoreUnavailable)


@virtual
async def test_the_deliveries_and_lag_of_a_processor_are_reported_even_while_it_is_paused() -> None:
    Switch.off()
    recorder = Recorder()
    async with Runtime([Tally, Sums], store="memory://", instruments=[recorder]) as runtime:
        processor = runtime.processors[Sums]
        ack = await runtime.send(Add("t", events=2), wait_for=[Sums])
        assert recorder.those(processor.name) == [(processor.name, 2, ack.position)]
        assert recorder.lags[-1] == (processor.name, 0, 0.0)
        processor.pause()
        await settled()
        await runtime.send(Add("t", events=3))
        await asyncio.sleep(60)
        name, lag_events, lag_s = recorder.lags[-1]
        assert (name, lag_events) == (processor.name, 3)
        statistics = processor.statistics()
        assert lag_s <= statistics.lag_s
        processor.resume()
        await settled()
        assert sum(events for _, events, _ in recorder.those(processor.name)) == 5


@virtual
async def test_the_steps_of_a_saga_are_reported_when_they_are_issued_and_end() -> None:
    recorder = Recorder()
    async with runtime_of(Transfer, instruments=[recorder]) as runtime:
        await open_accounts(runtime, alice=100, bob_closed=0, bob=0)
        well = await ask(runtime, "alice", "bob")
        await saga_in(runtime, Transfer, well, "completed")
        await settled()
        assert recorder.those("issued", "ended") == [
            ("issued", "Transfer", well, "debit", 1),
            ("ended", "Transfer", well, "debit", ""),
            ("issued", "Transfer", well, "credit", 1),
            ("ended", "Transfer", well, "credit", ""),
        ]
        recorder.told.clear()
        ill = await ask(runtime, "alice", "bob_closed")
        await saga_in(runtime, Transfer, ill, "undone")
        await settled()
        ended = {one[3]: one[4] for one in recorder.those("ended")}
        assert ended["debit"] == ""
        assert ended["credit"] != ""
        assert [one[3] for one in recorder.those("issued")] == ["debit", "credit", "debit:undo"]


@virtual
async def test_each_call_of_a_handler_is_reported_with_its_event_and_error() -> None:
    Switch.off()
    recorder = Recorder()
    published: list[CloudEvent] = []
    heard: list[int] = []

    @react(on_replay="skip")
    async def hear(event: Added, recorded: RecordedEvent[Event]) -> None:
        heard.append(recorded.position)

    async def publish(event: CloudEvent) -> None:
        published.append(event)
        if len(published) == 1:
            raise OSError("the broker is away")

    outlet = Outlet("amounts", types=[Added], sink=publish, source="/tally", start="beginning")
    settings = Settings(handler_retry=Retry(attempts=2, backoff_s=1))
    parts = [Tally, Sums, hear, outlet]
    async with Runtime(parts, store="memory://", settings=settings, instruments=[recorder]) as runtime:
        names = {part: runtime.processors[part].name for part in (Sums, hear, outlet)}
        Switch.raises.add(1)
        await runtime.send(Add("t"))
        await asyncio.sleep(60)
    of = {part: [one[1:] for one in recorder.handled if one[0] == name] for part, name in names.items()}
    assert of[hear] == [(1, "")]
    assert heard == [1]
    assert of[outlet] == [(1, "OSError"), (1, "")]
    assert {error for _, error in of[Sums]} == {"ValueError"}
    assert len(of[Sums]) == len(Switch.calls)


@virtual
async def test_the_end_of_a_saga_is_reported_with_its_duration() -> None:
    recorder = Recorder()
    async with runtime_of(Transfer, instruments=[recorder]) as runtime:
        await open_accounts(runtime, alice=100, bob_closed=0, bob=0)
        well = await ask(runtime, "alice", "bob")
        await saga_in(runtime, Transfer, well, "completed")
        ill = await ask(runtime, "alice", "bob_closed")
        await saga_in(runtime, Transfer, ill, "undone")
        await settled()
        name = runtime.processors[Transfer].name
    ended = recorder.those("saga ended")
    assert [(one[2], one[3]) for one in ended] == [(well, "completed"), (ill, "undone")]
    assert all(0 <= one[4] < 600 for one in ended)
    assert [error for processor, _, error in recorder.handled if processor == name] == ["", ""]


@virtual
async def test_steps_are_reported_with_the_headers_of_the_flow() -> None:
    recorder = Recorder()
    async with runtime_of(Transfer, instruments=[recorder]) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        ack = await runtime.send(Ask("desk", "alice", "bob", 10), headers={"traceparent": "00-a-b-01"})
        await saga_in(runtime, Transfer, f"Desk/desk/{ack.version}", "completed")
        await settled()
    assert [headers["traceparent"] for headers in recorder.headers] == ["00-a-b-01"] * 2


@virtual
async def test_steps_of_an_earlier_run_are_not_reported_again() -> None:
    store = FaultyStore()
    async with runtime_of(Transfer, store=store) as runtime:
        await open_accounts(runtime, alice=100, bob=0)
        await saga_in(runtime, Transfer, await ask(runtime), "completed")
    recorder = Recorder()
    async with runtime_of(Transfer, store=store, seed=1, instruments=[recorder]) as runtime:
        await runtime.processors[next(one for one in runtime.processors if one is not Transfer)].reset()
        await asyncio.sleep(60)
    assert recorder.those("issued", "ended", "saga ended") == []


@virtual
async def test_hydration_and_passivation_are_reported_and_counted() -> None:
    recorder = Recorder()
    settings = Settings(passivation=Passivation(idle_s=10))
    async with Runtime([Tally], store="memory://", settings=settings, instruments=[recorder]) as runtime:
        await runtime.send(Add("t", events=2))
        await asyncio.sleep(60)
        await runtime.get(Tally, "t")
        assert recorder.told == [
            ("hydrated", "Tally", "t", 0),
            ("passivated", "Tally", "t", 2),
            ("hydrated", "Tally", "t", 2),
        ]
        statistics = runtime.statistics()
        assert (statistics.hydrations, statistics.passivations) == (2, 1)


class Broken(Recorder):
    """Raises wherever it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def _raise(self, *arguments: Any) -> None:
        self.calls += 1
        raise ZeroDivisionError("a bug of the instrument")

    commands_received = commands_answered = batch_committed = events_delivered = processor_lag = _raise
    actor_hydrated = actor_passivated = step_issued = step_ended = event_handled = saga_ended = _raise


@virtual
async def test_an_instrument_that_raises_is_logged_once_and_removed() -> None:
    Switch.off()
    broken, recorder = Broken(), Recorder()
    with capture_logs() as logs:
        async with Runtime([Tally, Sums], store="memory://", instruments=[broken, recorder]) as runtime:
            for _ in range(3):
                await runtime.send(Add("t"), wait_for=[Sums])
    (line,) = [one for one in logs if one["event"] == "instrument_removed"]
    assert line["error"] == "ZeroDivisionError: a bug of the instrument"
    assert broken.calls == 1
    assert recorder.outcomes() == [("Add", "acknowledged")] * 3


class OnlyCommits(Instrument):
    """Looks at commits alone."""

    def batch_committed(self, batch: ObservedBatch) -> None:
        pass


@virtual
async def test_callbacks_that_nobody_overrides_are_not_installed() -> None:
    for instruments in ([], [Instrument()], [OnlyCommits()]):
        async with Runtime([Tally], store="memory://", instruments=instruments) as runtime:
            engine = runtime._engine
            assert (type(engine.dispatcher), type(engine.replies)) == (Dispatcher, Replies)
            assert (engine.writer._store is runtime.store) is (
                not isinstance(instruments and instruments[0], OnlyCommits)
            )


def test_an_object_that_is_not_an_instrument_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is not an Instrument"):
        Runtime([Tally], store="memory://", instruments=[object()])  # type: ignore[list-item]
