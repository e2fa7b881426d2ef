"""`EventStore`: the seam between the runtime and a log, and what crosses it.

Everything that becomes durable goes through one door, `commit`, as one batch: so that a checkpoint can move together
with what it stands for, and one disk flush serves many commands. Reads come in pages, never everything at once.

What holds for every adapter (and is checked by `actorium.testing.EventStoreContract`):

- versions of a stream are 1, 2, 3 …; positions of the log are 1, 2, 3 …; both without a gap, in commit order;
- a command id takes effect at most once, for ever, over the whole log;
- when `commit` returns, what it reports is durable to the degree that the adapter promises; when it raises
  StoreUnavailable, nothing was written; when it raises anything else, nothing is known, and the next read tells;
- `commit` is called by one task at a time and is never cancelled; reads may run beside it and see whole batches only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from actorium.store.errors import DuplicateCommand, StatementFailed, WrongExpectedVersion
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import CommandRecord, StoredEventType, StreamName
from actorium.store.tables.dialect import Dialect
from actorium.store.tables.own_rows import Row, TableChange, TableRead

PAGE_BYTES = 8_388_608
"""How many bytes of payload a page holds at most; what reads it needs a few times as much memory."""


class CommandMark(msgspec.Struct, frozen=True, gc=False):
    """The identity of the command whose events are appended, stored with them.

    `fingerprint`, a signed number of 64 bits, is a hash of the command's content, by which a second use of the id for
    something else is found. `fresh` says that the id was made just now and cannot be in the log: no look-up is needed.
    """

    command_id: str
    fingerprint: int
    fresh: bool = False


class Append(msgspec.Struct, frozen=True, gc=False):
    """At least one event for one stream, written only if the stream is at `expected_version` (0: empty)."""

    stream: StreamName
    expected_version: int
    events: tuple[EncodedEvent, ...]
    command: CommandMark | None = None


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """An aggregate's state as JSON after the event with `version`.

    `fingerprint` names the code that wrote it; a reader that asks for another fingerprint does not get it. One that
    is later than its stream, because the append it stood on failed, is dropped.
    """

    stream: StreamName
    version: int
    fingerprint: str
    state: bytes


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that a processor could not handle after its retries, parked so that only its stream waits.

    `position` is the event's; later events of the same stream wait behind it, until a person retries or discards it.
    `discarded` is the reason for which it was given up, empty while it is parked.
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
    """How far a named processor has handled the log, and what it did on the way, in one step.

    `changes` are made in order to the runtime's own tables, then `statements`, the SQL of a projection, are run in
    order; `parked` are new or changed dead letters; `settled` are the positions of those that are over. If one of the
    statements fails, nothing of this checkpoint is written, and the rest of the batch is.
    """

    name: str
    position: int
    statements: Sequence[Statement] = ()
    parked: Sequence[DeadLetter] = ()
    settled: Sequence[int] = ()
    changes: Sequence[TableChange] = ()


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What becomes durable together, in one transaction.

    `recorded_us` is the time of acceptance of its events; the store raises it to the time of the log's last event
    where the clock stepped back. Appends fail one by one, the rest of the batch is written all the same.
    """

    recorded_us: int
    appends: Sequence[Append] = ()
    checkpoints: Sequence[SaveCheckpoint] = ()
    snapshots: Sequence[Snapshot] = ()


def require_events(batch: Batch) -> None:
    """Raise ValueError for an append without events; an adapter asks this before it writes anything of a batch."""
    for append in batch.appends:
        if not append.events:
            raise ValueError(f"an append to {append.stream} holds no events: leave it out of the batch")


AppendOutcome = int | WrongExpectedVersion | DuplicateCommand
"""The position of an append's first event (the others follow without a gap), or why it was not written."""


class Committed(msgspec.Struct, frozen=True):
    """What became of a batch: one outcome per append, in order, and the time its events carry.

    `failed_checkpoints` holds the index of each checkpoint that was not written, with the reason.
    """

    outcomes: Sequence[AppendOutcome]
    recorded_us: int
    failed_checkpoints: Mapping[int, StatementFailed] = {}


class StreamRead(msgspec.Struct, frozen=True, gc=False):
    """A wish for the events of one stream after a version, at most `limit` of them.

    With `snapshot_fingerprint` set, the newest snapshot of that fingerprint that is later than `after_version` comes
    first, and the events are those after it.
    """

    stream: StreamName
    after_version: int = 0
    limit: int = 1000
    snapshot_fingerprint: str | None = None


class StreamPage(msgspec.Struct, frozen=True):
    """One stream's answer to a `StreamRead`.

    `is_last` says that the stream ends here. Where it is False there may be more events behind these, and there may be
    none here: the next read goes on behind the last one that was read.
    """

    events: list[EncodedRecord]
    is_last: bool
    snapshot: Snapshot | None = None


class Head(msgspec.Struct, frozen=True, gc=False):
    """The end of the log: the last position (0: empty) and the time of its event."""

    position: int
    recorded_us: int


Link = Literal["causation_id", "correlation_id"]
"""What of an event's metadata leads to other events."""


class EventStore(Protocol):
    """The log. An adapter implements these operations and passes `actorium.testing.EventStoreContract`."""

    async def open(self) -> None:
        """Make the store ready, creating or migrating it; raise StoreInUse, UnsupportedSchema or StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Give everything back; a second call does nothing. Later calls raise StoreUnavailable, save `open`."""
        ...

    async def commit(self, batch: Batch) -> Committed:
        """Make a batch durable in one transaction and say what became of each append.

        Each append is checked in order against the log and the appends before it in the batch: first its command id
        (`DuplicateCommand`), then its expected version (`WrongExpectedVersion`). Once one was refused, the later ones
        of its stream in the batch are refused too: they were decided on events that are not there.

        Raises StoreUnavailable where certainly nothing of the batch was written, and CommitUnknown where it may be in
        the log; the store still serves later calls if it can. Anything else that comes out is taken for CommitUnknown.
        """
        ...

    async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
        """Return one page per read, in order; an unknown stream is an empty page.

        The payloads of all pages hold at most `max_bytes`, or they are those of one event; what is beyond comes with
        the next call.

        Raises CorruptEvent or VersionGap for a page that cannot be trusted; when several reads are asked for
        together, the error concerns one of them, and the caller asks for them one by one.
        """
        ...

    async def read_log(self, after_position: int, limit: int, max_bytes: int = PAGE_BYTES) -> list[EncodedRecord]:
        """Return the events after a position in order, none at its end; raise CorruptEvent for a damaged one.

        There are at most `limit`, and their payloads hold at most `max_bytes`, or there is one event.
        """
        ...

    async def head(self) -> Head:
        """Return the end of the log."""
        ...

    async def find_command(self, command_id: str) -> CommandRecord | None:
        """Return where a command took effect, or None if it never did."""
        ...

    async def read_linked(self, link: Link, id: str, after_position: int, limit: int) -> list[EncodedRecord]:
        """Return events after a position whose metadata names this id, in order, at most `limit`; none at the end.

        By "causation_id" they are what the event with the id caused. By "correlation_id" they are a flow but for its
        first command, whose id the flow has: that one names no flow.
        """
        ...

    async def load_checkpoint(self, name: str) -> int:
        """Return the saved position of a subscription, 0 if there is none."""
        ...

    async def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        """Return the dead letters of a processor, or of all, discarded ones included, in the order of the log."""
        ...

    async def read_rows(self, read: TableRead[Row]) -> list[Row]:
        """Return the rows of one of the runtime's own tables that a read asks for, as committed."""
        ...

    async def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a query over the tables of projections, as committed; raise StatementFailed.

        However long it takes, no other operation waits for it. It is interrupted where the caller is cancelled.
        """
        ...

    async def event_types(self, *, counted: bool = False) -> list[StoredEventType]:
        """Return the shapes of event in the log, by name and schema version, each with the place of its first event.

        Not counted it is quick, whatever the size of the log; counted it reads the whole log.
        """
        ...

    @property
    def dialect(self) -> Dialect:
        """How the SQL of projections is written for this store."""
        ...

    def describe(self) -> str:
        """Return what the store is and how durable, in one line for a person: kind, place, settings."""
        ...


@runtime_checkable
class Examinable(EventStore, Protocol):
    """A store that tools can look at from outside: beside a running process, or when it is damaged."""

    def exists(self) -> bool:
        """Say whether there is a log that holds anything; nothing is opened or made."""
        ...

    async def open(self, *, verified: bool = True, read_only: bool = False) -> None:
        """Open as `EventStore.open` says; StoreUnavailable where the log is damaged, unless `verified` is False.

        With `read_only` nothing is changed, and the log may be open elsewhere; UnsupportedSchema where it would have to
        be migrated.
        """
        ...

    async def damage(self) -> list[str]:
        """Return what is wrong in the whole log beside its events, a line for each; the store is open."""
        ...

    def repair(self) -> list[str]:
        """Repair what can be made again from the events of a log that nobody has open; return what stays damaged.

        Raises StoreUnavailable, and changes nothing, where only a copy of the log helps.
        """
        ...
