"""`EventStore`: the interface between the runtime and a log, and the values that cross it.

Everything that becomes durable goes through two operations, each of which takes many requests at once. `append` writes
events and snapshots. `save` writes checkpoints, each with its results: so a projection neither delays an
acknowledgement nor waits for one. Reads return pages, never the whole log at once.

Every adapter guarantees the following (`actorium.testing.EventStoreContract` checks it):
- versions of a stream are 1, 2, 3 …; positions of the log are 1, 2, 3 …; both without a gap, in commit order;
- a command id takes effect at most once in the whole log, permanently;
- when `append` or `save` returns, what it reports is durable to the degree that the adapter promises. When it raises
  StoreUnavailable, nothing was written. When it raises anything else, the outcome is unknown until the next read;
- `append` and `save` are each called again only when the last call has ended, and are cancelled only when the runtime
  gives up a store that hangs. They may run beside each other, and reads beside both; a read sees the whole of a batch
  or nothing of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from actorium.store.errors import DuplicateCommand, Fenced, StatementFailed, WrongExpectedVersion
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import CommandRecord, StoredEventType, StreamName
from actorium.store.tables.dialect import Dialect
from actorium.store.tables.own_rows import Row, TableChange, TableRead
from actorium.store.tables.row_tables import RowChanges

PAGE_BYTES = 8_388_608
"""The largest number of payload bytes in a page; a reader needs a few times as much memory."""


class Mark(Protocol):
    """The identity of the command whose events are appended, stored with them.

    fingerprint: a hash of the command's content, a signed 64-bit number. It detects an id reused for another command.
    fresh: the id was just created and cannot be in the log, so no look-up is needed.
    kept: returns a mark with the same id and fingerprint that may be kept as long as the log: it holds nothing else.
    """

    @property
    def command_id(self) -> str: ...

    @property
    def fingerprint(self) -> int: ...

    @property
    def fresh(self) -> bool: ...

    def kept(self) -> Mark: ...


class CommandMark(msgspec.Struct, frozen=True, gc=False):
    """A `Mark` on its own."""

    command_id: str
    fingerprint: int
    fresh: bool = False

    def kept(self) -> Mark:
        """Return the mark itself."""
        return self


class Append(msgspec.Struct, gc=False):
    """One or more events for one stream, written only if the stream is at `expected_version` (0: empty).

    Nobody changes it. It is not frozen because the runtime's appends derive from it, and have a state of their own.
    """

    stream: StreamName
    expected_version: int
    events: tuple[EncodedEvent, ...]
    command: Mark | None = None


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """An aggregate's state as JSON after the event with `version`.

    fingerprint: names the code that wrote it; a reader that asks for another fingerprint does not get it.

    A snapshot later than its stream, because the append before it failed, is dropped.
    """

    stream: StreamName
    version: int
    fingerprint: str
    state: bytes


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that a processor could not handle even after retries, parked so that only its own stream waits.

    position: the position of the event. Later events of the same stream wait until a person retries or discards it.
    discarded: the reason why it was discarded; empty while it is parked.
    """

    processor: str
    stream: StreamName
    version: int
    position: int
    event_type: str
    error: str
    traceback: str
    attempts: int
    parked_us: int
    discarded: str = ""


Statement = tuple[str, Sequence[Any]]
"""One SQL statement and its parameters."""


class SaveCheckpoint(msgspec.Struct, frozen=True, gc=False):
    """The position up to which a named processor has handled the log, and its results, written together.

    changes: changes of the runtime's own tables, made in order before the statements.
    statements: the SQL of a projection, run in order.
    rows: changes of a projection's rows, made after the statements; a table occurs once.
    follower: the follower that saves this, for a log with several nodes: see `Placement`. Empty: any node may save it.
    parked: dead letters that are new or have changed.
    settled: the positions of dead letters that are resolved.

    If a statement or a change of rows fails, nothing of this checkpoint is written; the others of the same `save` are.
    """

    name: str
    position: int
    statements: Sequence[Statement] = ()
    parked: Sequence[DeadLetter] = ()
    settled: Sequence[int] = ()
    changes: Sequence[TableChange] = ()
    rows: Sequence[RowChanges] = ()
    follower: str = ""


SaveFailure = StatementFailed | Fenced
"""Why a checkpoint was not saved: something of it failed, or its follower belongs to another node."""


# Tracked by the garbage collector, unlike the rest: the appends of a writer refer to their callers.
class AppendBatch(msgspec.Struct, frozen=True):
    """The appends and snapshots that become durable together, in one transaction.

    recorded_us: the time at which its events were accepted, in microseconds since the epoch. If the clock stepped back,
        the store uses the time of the log's last event instead.

    Appends fail one by one; the rest of the batch is still written.
    """

    recorded_us: int
    appends: Sequence[Append] = ()
    snapshots: Sequence[Snapshot] = ()


_events_of: Callable[[Append], Sequence[EncodedEvent]] = attrgetter("events")


def require_events(batch: AppendBatch) -> None:
    """Raise ValueError for an append without events; an adapter calls this before it writes anything of a batch."""
    if all(map(_events_of, batch.appends)):
        return
    for append in batch.appends:
        if not append.events:
            raise ValueError(f"an append to {append.stream} holds no events: leave it out of the batch")


AppendOutcome = int | WrongExpectedVersion | DuplicateCommand
"""The position of an append's first event (the others follow without a gap), or the error if it was not written."""


class Appended(msgspec.Struct, frozen=True):
    """The result of a batch: one outcome per append, in order, and the time that its events carry."""

    outcomes: Sequence[AppendOutcome]
    recorded_us: int


class StreamRead(msgspec.Struct, frozen=True, gc=False):
    """A request for the events of one stream after a version, at most `limit` of them.

    With `snapshot_fingerprint` set, the page starts with the newest snapshot of that fingerprint that is later than
    `after_version`, and the events after it follow.
    """

    stream: StreamName
    after_version: int = 0
    limit: int = 1000
    snapshot_fingerprint: str | None = None


class StreamPage(msgspec.Struct, frozen=True):
    """The page of one `StreamRead`.

    is_last: the stream ends here. If it is False there may be more events, even if this page is empty; the next read
        continues after the last one read.
    """

    events: list[EncodedRecord]
    is_last: bool
    snapshot: Snapshot | None = None


class Head(msgspec.Struct, frozen=True, gc=False):
    """The end of the log: the last position (0: empty) and the time of its event."""

    position: int
    recorded_us: int


Link = Literal["causation_id", "correlation_id"]
"""The fields of an event's metadata by which other events can be found."""


class EventStore(Protocol):
    """The interface between the runtime and a log. An adapter implements these operations and passes
    `actorium.testing.EventStoreContract`.
    """

    async def open(self) -> None:
        """Open the store, creating or migrating it; raise StoreInUse, UnsupportedSchema or StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Release everything; a second call does nothing. Later calls except `open` raise StoreUnavailable."""
        ...

    def append(self, batch: AppendBatch) -> Awaitable[Appended]:
        """Make a batch durable in one transaction and return the outcome of each append.

        Each append is checked in order against the log and the earlier appends of the batch: first its command id
        (`DuplicateCommand`), then its expected version (`WrongExpectedVersion`). After one is rejected, the later ones
        of its stream in the batch are rejected too: they were decided on events that were not written.

        It may be an `async def` or a method that returns a future; only the former costs the runtime a task per batch.

        Raises:
            StoreUnavailable: no part of the batch was written.
            CommitUnknown: the batch may be in the log. The caller treats any other exception in the same way.

        The store still serves later calls if it can.
        """
        ...

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        """Make checkpoints durable, each with everything that belongs to it; return by index why some were not written.

        They are written in order; several may have the same name.

        Raises:
            StoreUnavailable: none of them was written.
            CommitUnknown: each of them may have been written. The caller treats any other exception in the same way.
        """
        ...

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        """Return one page per read, in order; an unknown stream gives an empty page.

        The payloads of all pages hold at most `max_bytes`, or a single event; the next call returns the rest.

        Raises:
            CorruptEvent, VersionGap: a page cannot be trusted. If several reads are passed, the error concerns one of
                them, and the caller repeats them one by one.
        """
        ...

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        """Return the events after a position in order, none at the end; raise CorruptEvent for a damaged one.

        It returns at most `limit` events, with payloads of at most `max_bytes` or a single event.
        """
        ...

    async def head(self) -> Head:
        """Return the end of the log."""
        ...

    async def find_commands(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        """Return where commands took effect, by their ids; those that never did are left out."""
        ...

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        """Return events after a position whose metadata names this id, in order, at most `limit`; none at the end.

        With "causation_id", they are the events that the event with this id caused. With "correlation_id", they are the
        events of a flow, except those of its first command: that command's id is the id of the flow, and its own
        metadata names no flow.
        """
        ...

    async def load_checkpoint(self, name: str) -> int:
        """Return the saved position of a subscription, 0 if there is none."""
        ...

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        """Return the dead letters of one processor or of all, including discarded ones, in log order."""
        ...

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        """Return the committed rows of the runtime's own tables, or names in the log's indexes, that match a read."""
        ...

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the committed rows of a query over the tables of projections; raise StatementFailed.

        No other operation waits for it, however long it takes. Cancelling the caller interrupts it.
        """
        ...

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        """Return the stored shapes of events by name and schema version, each with the position of its first event.

        Without counts it is fast whatever the size of the log; with counts it reads the whole log.
        """
        ...

    @property
    def dialect(self) -> Dialect:
        """The SQL dialect of projections for this store."""
        ...

    def describe(self) -> str:
        """Return a one-line description for a person: kind, place, settings and durability."""
        ...


@runtime_checkable
class Examinable(EventStore, Protocol):
    """A store that tools can inspect from outside: beside a running process, or when it is damaged."""

    async def exists(self) -> bool:
        """Return whether a non-empty log exists; nothing is opened or created."""
        ...

    async def open(self, *, verified: bool = True, read_only: bool = False) -> None:
        """Open like `EventStore.open`; raise StoreUnavailable if the log is damaged, unless `verified` is False.

        With `read_only` nothing is changed, and another process may have the log open. Raises UnsupportedSchema if the
        log needs a migration.
        """
        ...

    async def damage(self) -> list[str]:
        """Return the damage in the whole log apart from its events, one line each; the store is open."""
        ...

    async def repair(self) -> list[str]:
        """Rebuild what can be rebuilt from the events of a log that nobody has open; return the remaining damage.

        Raises StoreUnavailable, and changes nothing, if only a copy of the log helps.
        """
        ...
