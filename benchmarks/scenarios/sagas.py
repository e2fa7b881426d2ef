"""Sagas of three steps, many in flight at once.

Each saga takes eight commits: its request, its start, and for each step the command and its answer. The clock stops
when every saga is completed. A saga that ended otherwise, or a step that was done twice, is a failure.
"""

from __future__ import annotations

import asyncio

from actorium import Aggregate, Command, Event, Runtime, Saga, decide, evolve, starts, step
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Wrong
from actorium.sagas.model.events import SagaCompleted

_ACCOUNTS = 500
_DESKS = 50


class Begin(Command):
    """Start a journey between three accounts."""

    number: int


class Begun(Event):
    """A journey was started."""

    number: int


class LeaveMark(Command):
    """Leave a mark on an account."""

    number: int


class Marked(Event):
    """A mark was left."""

    number: int


class TransferAccount(Aggregate):
    """Counts the marks left on it."""

    marks: int = 0

    @decide
    def begin(self, command: Begin) -> Begun:
        return Begun(command.number)

    @decide
    def mark(self, command: LeaveMark) -> Marked:
        return Marked(command.number)

    @evolve
    def begun(self, event: Begun) -> None:
        pass

    @evolve
    def marked(self, event: Marked) -> None:
        self.marks += 1


class Journey(Saga):
    """Leaves a mark on three accounts, one after the other."""

    number: int = 0

    @starts
    def begun(self, event: Begun) -> None:
        self.number = event.number

    @step(undo=None)
    def first(self) -> LeaveMark:
        return LeaveMark(f"account-{self.number % _ACCOUNTS}", self.number)

    @step(undo=None)
    def second(self) -> LeaveMark:
        return LeaveMark(f"account-{(self.number * 7 + 1) % _ACCOUNTS}", self.number)

    @step
    def third(self) -> LeaveMark:
        return LeaveMark(f"account-{(self.number * 13 + 2) % _ACCOUNTS}", self.number)


class _Tally:
    """Counts marks and completed sagas from the log, and starts the next saga for each completed one."""

    def __init__(self, sagas: int, in_flight: int) -> None:
        self._left = sagas
        self.marks = 0
        self.places = asyncio.Semaphore(in_flight)
        self.all_completed = asyncio.Event()

    async def follow(self, runtime: Runtime) -> None:
        async for recorded in runtime.events(types=[Marked, SagaCompleted]):
            if type(recorded.event) is Marked:
                self.marks += 1
                continue
            self.places.release()
            self._left -= 1
            if not self._left:
                self.all_completed.set()


async def measure(bench: Bench) -> Figures:
    """Return the rate of completed sagas."""
    sagas = bench.count("sagas")
    tally = _Tally(sagas, bench.count("in_flight"))
    async with Runtime([TransferAccount, Journey], store=bench.store()) as runtime:
        await bench.ask_durability(runtime.store)
        following = asyncio.create_task(tally.follow(runtime))
        with bench.clock() as clock:
            for number in range(sagas):
                await tally.places.acquire()
                await runtime.tell(Begin(f"desk-{number % _DESKS}", number))
            await tally.all_completed.wait()
        completed = sum([1 async for _ in runtime.sagas.list(Journey, status="completed")])
        following.cancel()
    if completed != sagas or tally.marks != 3 * sagas:
        raise Wrong(f"{completed} of {sagas} sagas completed, {tally.marks} marks left")
    return {"sagas_per_s": sagas / clock.wall_s, "cpu_us_per_saga": clock.cpu_s / sagas * 1e6}


SCENARIO = Scenario(
    name="sagas",
    question="How many sagas of three steps complete per second, with {in_flight} in flight?",
    headline="sagas_per_s",
    measure=measure,
    sizes={"sagas": 3_000, "in_flight": 200},
    quick={"sagas": 300, "in_flight": 200},
    also="CPU {cpu_us_per_saga} µs per saga",
)
