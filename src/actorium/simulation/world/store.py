"""`SimulatedStore`: one process's connection to a log that outlives the process, with the faults of the plan.

The log is any EventStore that keeps its content while it is closed: `MemoryStore` as the model, or SQLite on a
simulated disk. When the process dies, its pending calls never finish, and nothing of them is unwound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn, Protocol, TypeVar

import msgspec

from actorium.sagas.model.events import SAGA_EVENTS
from actorium.sagas.model.views import parts_of, text_of
from actorium.simulation.disk.disk import PowerCut
from actorium.simulation.record.witness import Loss, Witness
from actorium.simulation.words import without_addresses
from actorium.simulation.world.faults import FaultId, FaultPlan, Kind
from actorium.store.errors import (
    ActoriumError,
    CommitUnknown,
    Fenced,
    StoreUnavailable,
    WrongExpectedVersion,
)
from actorium.store.event_store import (
    PAGE_BYTES,
    AppendBatch,
    Appended,
    AppendOutcome,
    DeadLetter,
    EventStore,
    Head,
    Link,
    SaveCheckpoint,
    SaveFailure,
    StreamPage,
    StreamRead,
)
from actorium.store.events import EncodedEvent, EncodedRecord, event_type_of
from actorium.store.names import CommandRecord, StoredEventType
from actorium.store.personal.beside import keys_beside
from actorium.store.personal.keys import KeyStore
from actorium.store.shared import SharedStore
from actorium.store.tables.dialect import Dialect
from actorium.store.tables.own_rows import Row, TableRead

R = TypeVar("R")

_EVERYTHING = 1 << 40
_SAGA_EVENTS = {event_type_of(one): one for one in SAGA_EVENTS}
_TEXT_MAX = 200


class Trouble:
    """A problem of a node's log that lasts longer than one call and affects every incarnation."""

    def __init__(self) -> None:
        self.away_until_s = 0.0
        self.full_commits = 0


class Process(Protocol):
    """What a store needs from the process that uses it."""

    is_dead: bool
    name: str

    def crash(self, why: str, *, power: bool = False) -> None:
        """Kill the process now, with or without cutting the power of its machine."""

    def mark(self) -> None:
        """Record that something that outlives the process happens at this step."""

    def now_s(self) -> float:
        """Return the world's time in seconds."""

    def committed(self, text: Callable[[], str], streams: tuple[str, ...]) -> None:
        """Write a line of the trace for a commit; `text` returns it when the line is read."""

    def fault_happened(self, fault: FaultId) -> None:
        """Write a line of the trace for a fault."""

    def lost(self, why: str) -> None:
        """Report that the log lost or changed records."""

    def later(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something a little later, outside the process."""

    def after(self, delay_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something after a time, outside the process."""

    def pause(self, delay_s: float) -> Awaitable[None]:
        """Return an awaitable that takes this many seconds."""

    def latency_s(self, what: str) -> float:
        """Return how long the next operation takes without a fault, in seconds."""


class SimulatedStore:
    """An EventStore as one incarnation of a node sees it."""

    def __init__(self, log: EventStore, plan: FaultPlan, witness: Witness, process: Process, trouble: Trouble) -> None:
        self._log = log
        self._plan = plan
        self._witness = witness
        self._process = process
        self._trouble = trouble

    @property
    def personal_keys(self) -> KeyStore:
        return keys_beside(self._log)

    async def open(self) -> None:
        if self._process.is_dead:
            await self._hang()
        try:
            await self._log.open()
        except PowerCut:
            await self._power_gone()
        await self._compare(self._witness.compare, 0)

    async def close(self) -> None:
        if self._process.is_dead:
            await self._hang()
        try:
            await self._log.close()
        except PowerCut:
            await self._power_gone()

    async def append(self, batch: AppendBatch) -> Appended:
        streams = tuple([str(append.stream) for append in batch.appends])
        sites = [("commit", stream) for stream in streams]
        fault = await self._knock(sites, lambda: self._log.append(batch))
        refused = fault.site.removeprefix("commit ") if fault is not None and fault.kind is Kind.CONFLICT else None
        try:
            appended = await self._append(batch, refused)
        except PowerCut:
            await self._power_gone()
        await self._compare(self._witness.saw, self._witness.position)
        self._watched(self._witness.appended, batch, appended)
        self._process.committed(partial(_told, batch, appended), streams)
        await self._leave(fault)
        return appended

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        sites = [("save", one.name) for one in checkpoints]
        # A position alone never fails.
        sites += [("checkpoint", one.name) for one in checkpoints if one.statements or one.rows or one.changes]
        fault = await self._knock(sites, lambda: self._log.save(checkpoints))
        if fault is not None and fault.kind is Kind.CHECKPOINT_FAILED:
            name = fault.site.removeprefix("checkpoint ")
            checkpoints = [one if one.name != name or _makes_tables(one) else _broken(one) for one in checkpoints]
        try:
            failed = await self._log.save(checkpoints)
        except PowerCut:
            await self._power_gone()
        self._watched(self._witness.saved, checkpoints, failed)
        self._process.committed(partial(_told_of_save, checkpoints), ())
        await self._leave(fault)
        return failed

    async def _knock(self, sites: Sequence[tuple[str, str]], write: Callable[[], Awaitable[Any]]) -> FaultId | None:
        """Begin a write and return the fault it meets, the last one drawn; raise if the store does not take it."""
        if self._process.is_dead:
            await self._hang()
        self._process.mark()
        drawn = [self._plan.draw(family, what) for family, what in sites]
        fault = next((one for one in reversed(drawn) if one is not None), None)
        if fault is not None:
            self._process.fault_happened(fault)
            await self._before(fault, write)
        await self._wait(self._process.latency_s("commit"))
        if self._trouble.away_until_s:
            self._require_there()
        if self._trouble.full_commits and self._plan.is_active:
            self._trouble.full_commits -= 1
            raise StoreUnavailable("no space left on the disk (simulated)")
        self._process.mark()
        return fault

    async def _compare(self, take: Callable[[Sequence[EncodedRecord]], None], after_position: int) -> None:
        """Pass the events of the log after a position to the witness."""
        try:
            found = await self._log.read_log(after_position, _EVERYTHING, _EVERYTHING)
            self._watched(take, found)
        except PowerCut:
            await self._power_gone()
        except (Loss, ActoriumError) as error:
            self._process.lost(str(error))
            await self._hang()

    def _watched(self, look: Callable[..., None], *arguments: Any) -> None:
        """Let the world inspect the log; no call it makes meanwhile meets a fault."""
        self._plan.is_watching = True
        try:
            look(*arguments)
        finally:
            self._plan.is_watching = False

    async def _append(self, batch: AppendBatch, refused: str | None) -> Appended:
        """Write a batch; appends to the stream named `refused` fail as if another writer had been first."""
        if refused is None:
            return await self._log.append(batch)
        kept = [append for append in batch.appends if str(append.stream) != refused]
        appended = await self._log.append(msgspec.structs.replace(batch, appends=kept))
        written = iter(appended.outcomes)
        outcomes: list[AppendOutcome] = []
        for append in batch.appends:
            if str(append.stream) != refused:
                outcomes.append(next(written))
            else:
                actual = len(self._witness.streams.get(append.stream, ()))
                outcomes.append(WrongExpectedVersion(append.stream, expected=append.expected_version, actual=actual))
        return msgspec.structs.replace(appended, outcomes=outcomes)

    def _send_late(self, write: Callable[[], Awaitable[Any]]) -> None:
        """Let a statement of a process that is killed now arrive at a shared log, which outlives the process."""
        if not isinstance(self._log, SharedStore):
            return

        async def arrive() -> None:
            with suppress(ActoriumError):  # it is fenced
                await write()
                found = await self._log.read_log(self._witness.position, _EVERYTHING, _EVERYTHING)
                self._watched(self._witness.saw, found)

        self._process.later(arrive)

    async def _before(self, fault: FaultId, write: Callable[[], Awaitable[Any]]) -> None:
        match fault.kind:
            case Kind.CRASH_BEFORE_COMMIT:
                self._send_late(write)
                self._process.crash(str(fault))
                await self._hang()
            case Kind.STORE_FAILED:
                await self._wait(self._process.latency_s("failure"))
                raise StoreUnavailable("the store failed and wrote nothing (simulated)")
            case Kind.STORE_OUTAGE:
                self._trouble.away_until_s = self._process.now_s() + self._plan.amount(fault, 0.01, 8.0)
                raise StoreUnavailable("the store is unavailable for a while (simulated)")
            case Kind.STORE_SLOW:
                await self._wait(self._plan.amount(fault, 0.05, 20.0))
            case Kind.DISK_FULL:
                self._trouble.full_commits = 1 + int(self._plan.amount(fault, 0.0, 8.0))

    async def _leave(self, fault: FaultId | None) -> None:
        """End a write with the fault that it meets after it."""
        match fault and fault.kind:
            case Kind.CRASH_AFTER_COMMIT:
                self._process.crash(str(fault))
                await self._hang()
            case Kind.ANSWER_OF_STORE_LOST:
                raise CommitUnknown("the store wrote, but its answer was lost (simulated)")

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        what = str(reads[0].stream) if reads else "nothing"
        return await self._read(what, lambda: self._log.read_streams(reads, max_bytes))

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        return await self._read("of the log", lambda: self._log.read_log(after_position, limit, max_bytes))

    async def head(self) -> Head:
        return await self._read("of the head", self._log.head)

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        return await self._read("of commands", lambda: self._log.find_commands(command_ids))

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        return await self._read(f"of {link} {id}", lambda: self._log.read_linked(link, id, after_position, limit))

    async def load_checkpoint(self, name: str) -> int:
        return await self._read(f"of checkpoint {name}", lambda: self._log.load_checkpoint(name))

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        return await self._read(f"of dead letters {processor}", lambda: self._log.dead_letters(processor))

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        return await self._read("of rows", lambda: self._log.read_rows(read))

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return await self._read("by query", lambda: self._log.query(sql, parameters))

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        return await self._read("of event types", lambda: self._log.event_types(counted=counted))

    @property
    def dialect(self) -> Dialect:
        return self._log.dialect

    def describe(self) -> str:
        return f"simulated, on {self._log.describe()}"

    async def _read(self, what: str, read: Callable[[], Awaitable[R]]) -> R:
        if self._process.is_dead:
            await self._hang()
        fault = self._plan.draw("read", what)
        if fault is not None:
            self._process.fault_happened(fault)
            if fault.kind is Kind.READ_SLOW:
                await self._wait(self._plan.amount(fault, 0.05, 20.0))
        delay_s = self._process.latency_s("read")
        if delay_s > 0:
            await self._wait(delay_s)
        if self._trouble.away_until_s:
            self._require_there()
        if fault is not None and fault.kind is Kind.READ_FAILED:
            raise StoreUnavailable("the store cannot be read (simulated)")
        try:
            return await read()
        except PowerCut:
            await self._power_gone()

    async def _power_gone(self) -> NoReturn:
        """Crash together with the machine."""
        self._process.crash("power lost", power=True)
        await self._hang()

    def _require_there(self) -> None:
        if self._trouble.away_until_s > self._process.now_s() and self._plan.is_active:
            raise StoreUnavailable("the store is unavailable for a while (simulated)")

    async def _wait(self, delay_s: float) -> None:
        if delay_s > 0:
            await self._process.pause(delay_s)
            if self._process.is_dead:
                await self._hang()

    async def _hang(self) -> NoReturn:
        """Wait forever, as a killed process does in the middle of a call."""
        while True:
            await asyncio.get_running_loop().create_future()


class SimulatedSharedStore(SimulatedStore):
    """A SharedStore as one incarnation of a node sees it."""

    def __init__(self, log: SharedStore, *others: Any) -> None:
        super().__init__(log, *others)
        self._shared_log = log

    async def until_lost(self) -> Fenced:
        reason = await self._shared_log.until_lost()
        if self._process.is_dead:
            await self._hang()
        return reason

    @property
    def holds_lease(self) -> bool:
        return self._shared_log.holds_lease

    async def confirm_lease(self) -> None:
        await self._shared_log.confirm_lease()
        if self._process.is_dead:
            await self._hang()

    async def watch(self, position: int, poll_s: float) -> Head:
        end = await self._read("of growth", lambda: self._shared_log.watch(position, poll_s))
        if self._process.is_dead:
            await self._hang()
        return end


def _makes_tables(checkpoint: SaveCheckpoint) -> bool:
    """Return whether a checkpoint creates or drops tables: that fails for a wrong schema only, not for some events."""
    return any(sql.startswith(("CREATE", "DROP")) for sql, _ in checkpoint.statements)


def _broken(checkpoint: SaveCheckpoint) -> SaveCheckpoint:
    return msgspec.structs.replace(
        checkpoint, statements=[*checkpoint.statements, ("INSERT INTO a_table_that_is_not_there VALUES (1)", ())]
    )


def _told(batch: AppendBatch, appended: Appended) -> str:
    """Describe a commit for the trace."""
    parts = []
    for append, outcome in zip(batch.appends, appended.outcomes, strict=True):
        names = ", ".join(map(_named, append.events))
        where = f"at {outcome}" if isinstance(outcome, int) else type(outcome).__name__
        parts.append(f"{append.stream} v{append.expected_version} + {names} {where}")
    parts += [f"snapshot {one.stream} v{one.version}" for one in batch.snapshots]
    return "commit " + "; ".join(parts)


def _told_of_save(checkpoints: Sequence[SaveCheckpoint]) -> str:
    return "save " + "; ".join(f"{one.name} at {one.position}" for one in checkpoints)


def _named(event: EncodedEvent) -> str:
    """Return the name of an event; for a saga's own event its content: the step and command, or the reason."""
    said_by = _SAGA_EVENTS.get(event.type)
    if said_by is None:
        return event.type
    texts = [without_addresses(text_of(part)) for part in parts_of(msgspec.json.decode(event.payload, type=said_by))]
    return ", ".join(f"saga {text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + '…'}" for text in texts)
