"""Projections against a model: the rows always match the log up to the checkpoint, without parked or discarded events.

Hypothesis drives appends, crashes, restarts, resets, poison, repairs and a store that fails before or after it writes.
The rows are compared with the log at every single commit, from the store's side.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.bank import Add, Added, Tally
from support.read_models import AT_ONCE, Sums, Switch, Totals
from support.stores import FaultyStore, append
from support.virtual_time import VirtualLoop, steps

from actorium import ActoriumError, Runtime
from actorium.store.event_store import AppendBatch, Appended, SaveCheckpoint, SaveFailure
from actorium.store.memory import MemoryStore
from actorium.store.source import SeededSource
from actorium.store.sql import checkpoints
from actorium.types import DeadLetter

IDS = ["a", "b"]
AMOUNTS = st.lists(st.sampled_from([1, 2, 7, 8]), min_size=2, max_size=5)
ROUNDS = st.sampled_from([0, 0, 0, 1, 2, 3, 5])
FAULTS = st.lists(st.sampled_from(["before", "after"]), max_size=2)
KEEPING: Any = type("Keeping", (Sums,), {"snapshot_every": 3})
PROJECTIONS: list[Any] = [Totals, Sums, KEEPING]
NAME = "projection Totals version 1"


class WatchedStore(FaultyStore):
    """Compares the rows of the projection with the log after each commit."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.memory = inner
        self.wrong = ""  # kept until a step is over: an error here would be one of the store

    async def _write(self, batch: AppendBatch) -> Appended:
        return await self.inner.append(batch)  # the faults are for those who follow

    async def _save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        try:
            return await super()._save(checkpoints)
        finally:
            self.check()

    def check(self) -> None:
        db = self.memory._tables
        rows = db.execute("SELECT position FROM checkpoints WHERE name = ?", (NAME,)).fetchall()
        checkpoint = rows[0][0] if rows else 0
        found: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            found = {id: total for id, total in db.execute('SELECT id, total FROM "Totals__v1__totals"')}
        letters = checkpoints.dead_letters(db, NAME)
        wanted = self.fold(checkpoint, letters)
        if found != wanted or checkpoint > len(self.memory._log):
            self.wrong = f"at checkpoint {checkpoint} with {letters}: {found}, not {wanted}"

    def fold(self, position: int, letters: list[DeadLetter]) -> dict[str, int]:
        """The model: all events up to a position, in order, without those that are parked, held back or discarded."""
        parked = {letter.stream.id: letter.position for letter in letters if not letter.discarded}
        discarded = {letter.position for letter in letters if letter.discarded}
        totals: dict[str, int] = {}
        for record in self.memory._log[:position]:
            id = record.stream.id
            if record.position in discarded or record.position >= parked.get(id, record.position + 1):
                continue
            totals[id] = totals.get(id, 0) + int(record.payload.split(b":")[1].rstrip(b"}"))
        return totals


class ReadSide(RuleBasedStateMachine):
    """A runtime with two kinds of projections over one log, and everything that can happen to it."""

    @initialize()
    def start(self) -> None:
        Switch.off()
        self.loop = VirtualLoop()
        self.store = WatchedStore(MemoryStore())
        self.runtime: Runtime | None = None
        self.source = SeededSource(1)
        Switch.raises.add(7)
        self.run(self.restart_runtime())
        for id in IDS:
            self.run(self.append_to(id, [1, 7, 2, 7, 1], True))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def restart_runtime(self) -> None:
        while True:
            runtime = Runtime([Tally, Totals, Sums, KEEPING], store=self.store, settings=AT_ONCE, source=self.source)
            try:
                await runtime.start()
            except ActoriumError:
                continue  # a fault that was planned; the next start has one less
            self.runtime = runtime
            return

    async def end(self, *, gently: bool) -> None:
        assert self.runtime is not None
        if gently:
            await self.runtime.stop()
        dying = [task for task in asyncio.all_tasks() if task.get_name() == "actorium"]
        for task in dying:
            task.cancel()
        await asyncio.gather(*dying, return_exceptions=True)

    @rule(id=st.sampled_from(IDS), amounts=AMOUNTS, is_noticed=st.booleans())
    def append(self, id: str, amounts: list[int], is_noticed: bool) -> None:
        self.run(self.append_to(id, amounts, is_noticed))

    async def append_to(self, id: str, amounts: list[int], is_noticed: bool) -> None:
        assert self.runtime is not None
        if is_noticed:
            for amount in amounts:
                await self.runtime.send(Add(id, amount))
        else:  # past the runtime, as a commit whose outcome nobody learned
            written = self.runtime.statistics().position
            stream = [record for record in self.store.memory._log if record.stream.id == f"{id} unnoticed"]
            await append(self.store.memory, ("Tally", f"{id} unnoticed"), len(stream), *map(Added, amounts))
            assert len(self.store.memory._log) > written
        await asyncio.sleep(0.3 if is_noticed else 1.5)

    @rule(gently=st.booleans(), rounds=st.integers(0, 8))
    def restart(self, gently: bool, rounds: int) -> None:
        async def work() -> None:
            await steps(rounds)
            await self.end(gently=gently)
            await self.restart_runtime()

        self.run(work())

    @rule(raises=st.booleans(), breaks_sql=st.booleans())
    def poison_or_mend(self, raises: bool, breaks_sql: bool) -> None:
        Switch.off()
        Switch.raises |= {7} if raises else set()
        Switch.breaks_sql |= {8} if breaks_sql else set()

    @rule(what=st.sampled_from(["reset", "retry", "discard"]), faults=FAULTS, rounds=ROUNDS)
    def have_done(self, what: str, faults: list[Any], rounds: int) -> None:
        async def discard(processor: Any) -> None:
            for letter in processor.dead_letters():
                await processor.discard(letter.position, "a reason")

        self.store.faults.extend(faults)
        self.errand(discard if what == "discard" else lambda processor: getattr(processor, what)(), rounds)

    def errand(self, work: Any, crash_after: int) -> None:
        """Let all of them do something; if rounds are left, the process dies in the middle of it."""

        async def done() -> None:
            assert self.runtime is not None
            errands = [asyncio.ensure_future(work(self.runtime.processors[one])) for one in PROJECTIONS]
            if crash_after:
                await steps(crash_after)
                await self.end(gently=False)
                await self.restart_runtime()
            await asyncio.gather(*errands, return_exceptions=True)
            await asyncio.sleep(0.5)

        self.run(done())

    @invariant()
    def what_queries_see_is_the_log_up_to_the_position(self) -> None:
        if getattr(self, "runtime", None) is not None:
            self.run(self.compare())
            assert not self.store.wrong

    async def compare(self) -> None:
        assert self.runtime is not None
        for projection in (Sums, KEEPING):
            processor = self.runtime.processors[projection]
            if not processor.checkpoint.ready.is_set():
                continue
            found = await self.runtime.query(projection.all)
            letters = [*processor.dead_letters(), *processor.dead_letters(discarded=True)]
            assert found == self.store.fold(processor.checkpoint.position, letters), projection.__name__

    @precondition(lambda self: not Switch.raises and not Switch.breaks_sql)
    @rule()
    def everything_comes_right_in_the_end(self) -> None:
        async def work() -> None:
            assert self.runtime is not None
            self.store.faults.clear()
            head = len(self.store.memory._log)
            for projection in PROJECTIONS:
                await self.runtime.query(projection.all, after=head, stale=True)
                await self.runtime.processors[projection].retry()
                assert self.runtime.processors[projection].dead_letters() == []
                letters = self.runtime.processors[projection].dead_letters(discarded=True)
                found = await self.runtime.query(projection.all)
                totals = {id: row[0] for id, row in found.items()} if projection is Totals else found
                assert totals == self.store.fold(head, letters)

        self.run(work())

    def teardown(self) -> None:
        if getattr(self, "runtime", None) is not None:
            self.run(self.end(gently=False))
            self.loop.close()
        Switch.off()


about_memory = pytest.mark.about("memory", "it reads the tables of the store between the statements of a commit")
TestReadSide = about_memory(ReadSide.TestCase)
TestReadSide.settings = settings(max_examples=60, stateful_step_count=20, deadline=None, derandomize=True)
