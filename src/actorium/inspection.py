"""Examines an application's log without running the application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from actorium.application import Runtime
from actorium.catalog import Catalog
from actorium.personal.proof import keys_left
from actorium.runtime.log.readability import unreadable_shapes
from actorium.sagas.execution.missing_classes import lost_sagas
from actorium.sagas.model.due_times import LATEST_US, recorded_due_us
from actorium.store.chain import CHAIN
from actorium.store.codec import EventCodec
from actorium.store.errors import ConfigurationError, CorruptEvent, UnreadableEvent, VersionGap
from actorium.store.event_store import EventStore, Examinable
from actorium.store.events import EncodedRecord
from actorium.store.tables.own_rows import AgendaRow, ReadDue
from actorium.verification import verify

_PAGE_EVENTS = 1_000
_NO_DATE = "it is due after the year 9999, that is, never: cancel the submission, or repair the saga"


async def require_log(store: EventStore) -> None:
    """Raise ConfigurationError if a store has no log yet: opening it would create the log."""
    if isinstance(store, Examinable) and not await store.exists():
        raise ConfigurationError(f"there is no log: {store.describe()}")


async def still_known(runtime: Runtime) -> AsyncIterator[str]:
    """Open a log and its keys read-only, and yield a line for each forgotten subject whose key still exists."""
    ring, store = runtime.key_ring, runtime.store
    if ring is None:
        return
    await (store.open(read_only=True) if isinstance(store, Examinable) else store.open())
    try:
        ring.keys.open(read_only=True)
        async for line in keys_left(store, runtime.catalog.codec, ring.keys):
            yield line
    finally:
        ring.keys.close()
        await store.close()


async def unreadable(
    store: EventStore, catalog: Catalog, *, deep: bool, told: Callable[[int, int], None] = lambda position, end: None
) -> AsyncIterator[str]:
    """Open a log read-only, and yield a line for each thing in it that an application cannot read.

    That is one line per type and version of event that no class reads in full, per missing class or step of sagas, and
    per intent whose due time is out of range. With `deep`, every event is read: one more line for each that is damaged
    or that an upcaster fails on, and for each problem that SQLite finds in its file.

    told: called after each page of events with the position reached and the end of the log, with `deep`.
    """
    codec = catalog.codec
    # A damaged file would not open normally, but here the damage is to be reported.
    await (store.open(verified=not deep, read_only=True) if isinstance(store, Examinable) else store.open())
    try:
        found = await unreadable_shapes(store, codec)
        for one in found:
            yield str(one)
        lost = await lost_sagas(store, [saga.__definition__ for saga in catalog.sagas])
        for line in (*lost.live, *lost.over):
            yield line
        for row in await store.read_rows(ReadDue(LATEST_US, _PAGE_EVENTS, AgendaRow("", "", "", "", LATEST_US - 1))):
            yield f"{row.owner}<{row.id}> {row.key}: {_NO_DATE}"
        if deep:
            known = {(one.shape.type, one.shape.schema_version) for one in found}

            def error_of(record: EncodedRecord) -> UnreadableEvent | None:
                return None if (record.type, record.schema_version) in known else _error_of(codec, record)

            is_whole = True
            async for error in damaged_events(store, error_of, told):
                is_whole = False
                yield str(error)
            if is_whole and await store.load_checkpoint(CHAIN):
                verification = await verify(store)
                if verification.problem:
                    yield verification.describe()
            if isinstance(store, Examinable):
                for line in await store.damage():
                    yield line
    finally:
        await store.close()


async def damaged_events(
    store: EventStore,
    error_of: Callable[[EncodedRecord], UnreadableEvent | None] = lambda record: None,
    told: Callable[[int, int], None] = lambda position, end: None,
) -> AsyncIterator[UnreadableEvent]:
    """Yield the error of each event that cannot be read, or for which `error_of` returns an error.

    told: called after each page and each damaged event with the position reached and the end of the log.
    """
    end = (await store.head()).position
    position, limit = 0, _PAGE_EVENTS
    while position < end:
        try:
            records = await store.read_log(position, limit)
        except UnreadableEvent as error:
            if limit > 1:
                limit = 1  # read events one by one to find the damaged one and those after it
                continue
            yield error
            if isinstance(error, VersionGap) and error.position:
                position = error.position - 1  # the log continues with the event that revealed it, however far away
            else:
                position += 1
                told(position, end)
            continue
        for error_of_it in filter(None, map(error_of, records)):
            yield error_of_it
        if not records:
            break
        position += len(records)
        told(position, end)
        if position % _PAGE_EVENTS == 0:
            limit = _PAGE_EVENTS


def _error_of(codec: EventCodec, record: EncodedRecord) -> UnreadableEvent | None:
    try:
        events = codec.recorded(record)
    except UnreadableEvent as error:
        return error
    if (lossy := codec.why_lossy(record, [recorded.event for recorded in events])) is not None:
        return CorruptEvent(lossy, stream=record.stream, version=record.version, event_type=record.type)
    if any(recorded_due_us(recorded.event) > LATEST_US for recorded in events):
        return CorruptEvent(_NO_DATE, stream=record.stream, version=record.version, event_type=record.type)
    return None
