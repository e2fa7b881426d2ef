"""Whatever user code raises, and wherever, affects only that piece of work."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from support import raising
from support.raising import (
    HEARD,
    KINDS,
    Begin,
    Errand,
    Founder,
    Free,
    Meter,
    Notebook,
    Say,
    Sink,
    Speaker,
    Table,
    Words,
)
from support.stores import append
from support.virtual_time import run_virtual, until, virtual

from actorium import (
    Aggregate,
    Command,
    CommandFailed,
    Event,
    InvalidCommand,
    Outlet,
    Retry,
    Runtime,
    Settings,
    decide,
    evolve,
    upcast,
)
from actorium.errors import HandlerFailed, HydrationFailed, QueryFailed, RuntimeClosed
from actorium.store.memory import MemoryStore
from actorium.types import CloudEvent

TESTS = Path(__file__).resolve().parents[1]
ALL_KINDS = pytest.mark.parametrize("what", KINDS)
QUICK = Settings(handler_retry=Retry(attempts=2, backoff_s=0.1))
DOORS = ("decide", "create", "evolve")
FOLLOWERS = ("memory", "table", "react", "correlate", "starts", "on")
STEPS = ("step", "effect", "undo", "on_rejected")


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[Runtime, Sink]]:
    """A runtime with every kind of part; at the end, everything must still work."""
    HEARD.clear()
    sink = Sink()
    outlet = Outlet("words", types=[raising.Said], sink=sink, source="/words", start="beginning")
    parts = [Speaker, Founder, Notebook, Words, Table, raising.heard, Errand, Free, outlet]
    runtime = Runtime(parts, store=options.pop("store", None) or MemoryStore(), settings=QUICK, **options)
    async with runtime:
        ended = asyncio.ensure_future(runtime.ended())
        yield runtime, sink
        await require_all_goes_on(runtime, sink)
        assert not ended.done()
    assert await ended is None


async def require_all_goes_on(runtime: Runtime, sink: Sink) -> None:
    ack = await runtime.send(Say("good"), timeout_s=5)
    assert "good" in await runtime.query(Words.all, after=ack.position, timeout_s=5)
    assert "good" in await runtime.query(Table.all, after=ack.position, timeout_s=5)
    for saga in (Errand, Free):
        await until(lambda: runtime.processors[saga].position >= ack.position)  # noqa: B023
    assert (await runtime.sagas.get(Errand, "good", ended_within_s=60)).status == "completed"
    await until(lambda: "good" in sink.taken and "good" in HEARD)
    states = {one.name: one.state for one in runtime.statistics().processors}
    assert set(states.values()) == {"running"}, states


async def log_of(stream: tuple[str, str], event: Event) -> MemoryStore:
    store = MemoryStore()
    await store.open()
    # A start decodes the first event of each shape.
    await append(store, (stream[0], "first"), 0, type(event)(*[""] * len(event.__struct_fields__)))
    await append(store, stream, 0, event)
    await store.close()
    return store


def parked(runtime: Runtime) -> list[tuple[str, str]]:
    return [(letter.processor, letter.stream.id) for letter in runtime.dead_letters.list()]


@ALL_KINDS
@pytest.mark.parametrize("where", DOORS)
def test_a_command_fails_alone(where: str, what: str) -> None:
    async def test() -> None:
        async with running() as (runtime, _):
            command = Begin("bad", where, what) if where == "create" else Say("bad", where, what)
            with capture_logs() as lines, pytest.raises(CommandFailed) as failed:
                await runtime.send(command, timeout_s=5)
            assert isinstance(failed.value.__cause__, type(KINDS[what]()))
            assert len(str(failed.value)) < 1_200
            (line,) = [one for one in lines if one["event"] == "command_failed"]
            assert "fail_at" in line["traceback"]
            assert (await runtime.send(Say("bad"), timeout_s=5)).version == 1
            assert parked(runtime) == []

    run_virtual(test())


class Odd(msgspec.Struct):
    """A value whose comparison raises."""

    what: str

    def __eq__(self, other: object) -> bool:
        raise KINDS[self.what]()

    __hash__ = None  # type: ignore[assignment]


class Weigh(Command):
    odd: Odd


class Scale(Aggregate):
    @decide
    def weigh(self, command: Weigh) -> raising.Noted:
        raise AssertionError("it was refused at the door")

    @evolve
    def noted(self, event: raising.Noted) -> None: ...


@ALL_KINDS
@virtual
async def test_a_field_whose_code_raises_is_refused_before_the_mailbox(what: str) -> None:
    async with Runtime([Scale], store="memory://") as runtime:
        with pytest.raises(InvalidCommand):
            await runtime.send(Weigh("a", Odd(what)))
        assert runtime.statistics().in_flight == 0


@ALL_KINDS
@pytest.mark.parametrize("where", FOLLOWERS)
def test_an_event_is_parked_alone(where: str, what: str) -> None:
    async def test() -> None:
        async with running() as (runtime, _):
            with capture_logs() as lines:
                await runtime.send(Say("bad", where, what), timeout_s=5)
                await until(lambda: len(parked(runtime)) == 1)
            (letter,) = runtime.dead_letters.list()
            assert letter.stream.id == "bad"
            assert 0 < len(letter.error) <= 1_000
            assert "fail_at" in letter.traceback
            (line,) = [one for one in lines if one["event"] == "event_parked"]
            assert line["traceback"] == letter.traceback
            assert await runtime.dead_letters.retry(letter) == 0  # by hand it fails in the same way

    run_virtual(test())


@ALL_KINDS
@pytest.mark.parametrize("where", STEPS)
def test_a_saga_fails_or_compensates_alone(where: str, what: str) -> None:
    async def test() -> None:
        async with running() as (runtime, _):
            with capture_logs() as lines:
                await runtime.send(Say("bad", where, what), timeout_s=5)
                saga = Free if where == "on_rejected" else Errand
                view = await runtime.sagas.get(saga, "bad", ended_within_s=60)
            assert view.status == ("undone" if where == "effect" else "failed")
            assert 0 < len(view.reason) <= 1_200
            said = [one for one in lines if one["event"] in ("attempt_failed", "saga_method_failed")]
            assert len(said) == (2 if where == "effect" else 1)
            assert all("fail_at" in one["traceback"] for one in said)
            assert parked(runtime) == []

    run_virtual(test())


@ALL_KINDS
@virtual
async def test_a_sink_is_offered_its_event_again(what: str) -> None:
    async with running() as (runtime, sink):
        await runtime.send(Say("bad", "sink", what), timeout_s=5)
        await until(lambda: sink.taken == ["bad"])
        assert sink.offers == 2


@ALL_KINDS
@virtual
async def test_a_query_fails_alone(what: str) -> None:
    async with running() as (runtime, _):
        if what == "closed":  # an error of ours goes to the caller as it is
            with pytest.raises(RuntimeClosed):
                await runtime.query(Words.failing, what)
            return
        for query in (Words.failing, Words.failing_later, Table.failing):
            with capture_logs() as lines, pytest.raises(QueryFailed) as failed:
                await runtime.query(query, what)
            assert failed.value.__cause__ is not None
            (line,) = lines
            assert "failing" in line["traceback"]


@ALL_KINDS
@pytest.mark.parametrize("where", ["middleware", "middleware after"])
def test_middleware_fails_its_command(where: str, what: str) -> None:
    raised = KINDS[what]()

    async def test() -> None:
        async with running(middleware=[raising.middleware]) as (runtime, _):
            if isinstance(raised, Exception):  # the application's own refusals go to the caller as they are
                with pytest.raises(Exception) as failed:  # noqa: PT011
                    await runtime.send(Say("bad", where, what), timeout_s=5)
                assert type(failed.value) in (type(raised), RuntimeError)  # a coroutine raises no StopIteration
                return
            with pytest.raises(CommandFailed, match="failed in middleware") as contained:
                await runtime.send(Say("bad", where, what), timeout_s=5)
            assert isinstance(contained.value.__cause__, type(raised))

    run_virtual(test())


@ALL_KINDS
@virtual
async def test_an_instrument_is_removed(what: str) -> None:
    with capture_logs() as lines:
        async with running(instruments=[Meter(what)]):
            pass
    (line,) = [one for one in lines if one["event"] == "instrument_removed"]
    assert line["traceback"]


@ALL_KINDS
@virtual
async def test_snapshots_are_given_up(what: str) -> None:
    async with running() as (runtime, _):
        with capture_logs() as lines:
            assert (await runtime.send(Say("bad", "snapshots", what), timeout_s=5)).version == 1
        (line,) = [one for one in lines if one["event"] == "snapshots_not_taken"]
        assert "fail_at" in line["traceback"]


@ALL_KINDS
@virtual
async def test_an_actor_that_cannot_be_hydrated_fails_alone(what: str) -> None:
    store = await log_of(("Speaker", "bad"), raising.Said("evolve", what))
    async with running(store=store) as (runtime, _):
        with capture_logs() as lines, pytest.raises(HydrationFailed):
            await runtime.send(Say("bad"), timeout_s=5)
        (line,) = [one for one in lines if one["event"] == "actor_failed"]
        assert "fail_at" in line["traceback"]


class Spoken(Event):
    schema_version = 2
    what: str

    @upcast(1)
    def from_1(payload: dict[str, Any]) -> dict[str, Any]:  # type: ignore[misc]
        if UPCASTER.fails and payload["what"]:
            raise KINDS[payload["what"]]()
        return payload


class UPCASTER:
    fails = True


class OldSpeaker(Aggregate):
    @evolve
    def spoken(self, event: Spoken) -> None: ...


def old_event(what: str) -> Event:
    old: type[Event] = type("Spoken", (Event,), {"__annotations__": {"what": str}})
    return old(what)


@ALL_KINDS
@virtual
async def test_an_upcaster_fails_its_event(what: str) -> None:
    store = await log_of(("OldSpeaker", "bad"), old_event(what))
    async with Runtime([OldSpeaker, Speaker], store=store) as runtime:
        with pytest.raises(HydrationFailed, match="from_1"):
            await runtime.get(OldSpeaker, "bad")
        assert (await runtime.send(Say("good"))).version == 1


@ALL_KINDS
@virtual
async def test_an_error_of_a_sink_is_wrapped_for_an_operator_who_retries(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = KINDS[what]()

    async def sink(event: CloudEvent) -> None:
        if event.subject == "bad":
            raise KINDS[what]()

    outlet = Outlet("words", types=[Spoken], sink=sink, source="/words", start="beginning")
    store = await log_of(("OldSpeaker", "bad"), old_event(what))
    async with Runtime([OldSpeaker, outlet], store=store) as runtime:
        await until(lambda: len(parked(runtime)) == 1)  # its upcaster fails
        monkeypatch.setattr(UPCASTER, "fails", False)
        expected = RuntimeClosed if isinstance(raised, RuntimeClosed) else HandlerFailed
        with pytest.raises(expected):
            await runtime.processors[outlet].retry()
        await until(lambda: runtime.processors[outlet].statistics().state == "running")


@virtual
async def test_our_own_cancellation_still_ends_a_handler_and_a_caller() -> None:
    begun, cleaned = asyncio.Event(), []

    async def slow(context: Any, following: Any) -> Any:
        begun.set()
        try:
            await asyncio.sleep(1_000)
        finally:
            cleaned.append(True)

    async with Runtime([Speaker], store="memory://", middleware=[slow]) as runtime:
        sending = asyncio.ensure_future(runtime.send(Say("a")))
        await begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert cleaned == [True]


@pytest.mark.parametrize(
    ("where", "ended"),
    [("decide", "KeyboardInterrupt"), ("memory", "KeyboardInterrupt"), ("effect", "CancelledError")],
)
def test_keyboard_interrupt_ends_the_runtime_and_closes_its_log(where: str, ended: str) -> None:
    """As asyncio has it: the program ends. The log is closed, and `ended` returns what reached the runtime.

    Where a task of its own raises it, asyncio leaves the loop at once, and cancels every task.
    """
    program = [sys.executable, "-m", "support.interrupted", where]
    child = subprocess.run(program, cwd=TESTS, capture_output=True, text=True, timeout=60, check=True)
    said = [line for line in child.stdout.splitlines() if not line.startswith("20")]
    assert said[-3:] == [f"ended by {ended}", "interrupted", "closed"], child.stdout
