"""Whatever is appended, in whatever batches, the log matches a plain model."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from actorium.store.errors import DuplicateCommand, WrongExpectedVersion
from actorium.store.event_store import (
    Append,
    AppendBatch,
    CommandMark,
    EventStore,
    Head,
    SaveCheckpoint,
    Snapshot,
    StreamRead,
)
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.memory import MemoryStore
from actorium.store.names import CommandRecord, StreamName
from actorium.store.sqlite import SQLiteStore

STREAMS = [StreamName(type_, name) for type_ in ("Account", "Tally") for name in ("a", "b", "ž\n'")]
FINGERPRINTS = ["f", "g"]

# An append as drawn: which stream, how far off its expected version is, how many events, of which command.
draws = st.tuples(
    st.sampled_from(STREAMS),
    st.sampled_from([0, 0, 0, 0, 0, 1, -1, 7]),
    st.integers(1, 4),
    st.none() | st.tuples(st.integers(0, 12), st.booleans()),
)
event_kinds = st.tuples(st.sampled_from(["Deposited", "Withdrawn"]), st.integers(1, 2))


class LogMachine(RuleBasedStateMachine):
    """A store beside a model of it: one list of records, and what follows from it."""

    def make_store(self) -> EventStore:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.store = self.make_store()
        self.log: list[EncodedRecord] = []
        self.commands: dict[str, CommandRecord] = {}
        self.checkpoints: dict[str, int] = {}
        self.snapshots: dict[tuple[StreamName, str], Snapshot] = {}
        self.count = 0
        self.run(self.store.open())

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def of(self, stream: StreamName) -> list[EncodedRecord]:
        return [record for record in self.log if record.stream == stream]

    @rule(
        drawn=st.lists(draws, max_size=8),
        kind=event_kinds,
        at_us=st.integers(0, 50),
        checkpoint=st.none() | st.tuples(st.sampled_from("pq"), st.integers(0, 99)),
        snapshot=st.none() | st.tuples(st.sampled_from(STREAMS), st.integers(1, 12), st.sampled_from(FINGERPRINTS)),
    )
    def commit(
        self,
        drawn: Sequence[tuple[StreamName, int, int, tuple[int, bool] | None]],
        kind: tuple[str, int],
        at_us: int,
        checkpoint: tuple[str, int] | None,
        snapshot: tuple[StreamName, int, str] | None,
    ) -> None:
        recorded_us = max(at_us, self.log[-1].recorded_us if self.log else 0)
        appends: list[Append] = []
        expected: list[object] = []
        refused: set[StreamName] = set()
        for stream, off, count, command in drawn:
            appends.append(self.drawn_append(stream, off, count, command, kind))
            expected.append(self.model_append(appends[-1], recorded_us, refused))
            if not isinstance(expected[-1], int):
                refused.add(stream)
        checkpoints = [SaveCheckpoint(*checkpoint)] if checkpoint else []
        self.checkpoints.update([checkpoint] if checkpoint else [])
        snapshots = [Snapshot(*snapshot, b'{"n":%d}' % snapshot[1])] if snapshot else []
        for one in snapshots:
            older = self.snapshots.get((one.stream, one.fingerprint))
            if one.version <= len(self.of(one.stream)) and (older is None or older.version <= one.version):
                self.snapshots[one.stream, one.fingerprint] = one

        appended, failed = self.run(self.write(AppendBatch(at_us, appends, snapshots), checkpoints))

        assert [plain(outcome) for outcome in appended.outcomes] == expected
        assert appended.recorded_us == recorded_us
        assert not failed

    async def write(self, batch: AppendBatch, checkpoints: Sequence[SaveCheckpoint]) -> tuple[Any, Any]:
        """Append and save at once."""
        return await asyncio.gather(self.store.append(batch), self.store.save(checkpoints))

    def drawn_append(
        self, stream: StreamName, off: int, count: int, command: tuple[int, bool] | None, kind: tuple[str, int]
    ) -> Append:
        events = []
        for _ in range(count):
            self.count += 1
            events.append(EncodedEvent(*kind, b'{"amount":%d}' % self.count, b'{"headers":{"n":"%d"}}' % self.count))
        mark = None
        if command is not None:
            command_id, may_be_fresh = f"c{command[0]}", command[1]
            mark = CommandMark(command_id, command[0], fresh=may_be_fresh and command_id not in self.commands)
        return Append(stream, max(0, len(self.of(stream)) + off), tuple(events), mark)

    def model_append(self, append: Append, recorded_us: int, refused: set[StreamName]) -> object:
        stream, mark, actual = append.stream, append.command, len(self.of(append.stream))
        if mark is not None and mark.command_id in self.commands:
            return self.commands[mark.command_id]
        if append.expected_version != actual or stream in refused:
            return (stream, append.expected_version, actual)
        first = len(self.log) + 1
        for event in append.events:
            place = (stream, len(self.of(stream)) + 1, len(self.log) + 1, recorded_us)
            self.log.append(EncodedRecord(*place, event.type, event.schema_version, event.payload, event.metadata))
        if mark is not None:
            versions = (actual + 1, actual + len(append.events))
            self.commands[mark.command_id] = CommandRecord(
                mark.command_id, mark.fingerprint, stream, *versions, len(self.log)
            )
        return first

    @rule(
        wishes=st.lists(
            st.tuples(
                st.sampled_from(STREAMS),
                st.integers(0, 12),
                st.integers(1, 6),
                st.none() | st.sampled_from([*FINGERPRINTS, "h"]),
            ),
            max_size=8,
        )
    )
    def read_streams(self, wishes: Sequence[tuple[StreamName, int, int, str | None]]) -> None:
        pages = self.run(self.store.read_streams([StreamRead(*wish) for wish in wishes]))
        for (stream, after, limit, fingerprint), page in zip(wishes, pages, strict=True):
            snapshot = self.snapshots.get((stream, fingerprint or ""))
            if snapshot is not None and snapshot.version <= after:
                snapshot = None
            begin = snapshot.version if snapshot is not None else after
            assert page.snapshot == snapshot
            assert page.events == self.of(stream)[begin : begin + limit]

    @rule(after=st.integers(0, 60), limit=st.integers(1, 20))
    def read_log(self, after: int, limit: int) -> None:
        assert self.run(self.store.read_log(after, limit)) == self.log[after : after + limit]

    @rule()
    def reopen(self) -> None:
        self.run(self.store.close())
        self.run(self.store.open())

    @rule(number=st.integers(0, 13))
    def find_command(self, number: int) -> None:
        ids = [f"c{number}", f"c{number + 1}"]
        known = {id: self.commands[id] for id in ids if id in self.commands}
        assert self.run(self.store.find_commands(ids)) == known

    @invariant()
    def head_and_checkpoints(self) -> None:
        last = (self.log[-1].position, self.log[-1].recorded_us) if self.log else (0, 0)
        assert self.run(self.store.head()) == Head(*last)
        for name in "pq":
            assert self.run(self.store.load_checkpoint(name)) == self.checkpoints.get(name, 0)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            assert self.run(self.store.read_log(0, 10_000)) == self.log
            self.run(self.store.close())
            self.runner.close()


class MemoryMachine(LogMachine):
    def make_store(self) -> EventStore:
        return MemoryStore()


class SQLiteMachine(LogMachine):
    def make_store(self) -> EventStore:
        self.folder = Path(tempfile.mkdtemp())
        # What is durable at a power cut is not the point here, and flushes are slow.
        return SQLiteStore(self.folder / "log.db", synchronous="OFF")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


def plain(outcome: object) -> object:
    """The model's outcome."""
    if isinstance(outcome, DuplicateCommand):
        return outcome.record
    if isinstance(outcome, WrongExpectedVersion):
        return (outcome.stream, outcome.expected, outcome.actual)
    return outcome


@pytest.mark.parametrize(("machine", "examples"), [(MemoryMachine, 60), (SQLiteMachine, 25)])
def test_the_log_matches_the_model(machine: type[LogMachine], examples: int) -> None:
    slow_is_fine = settings(
        max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=slow_is_fine)
