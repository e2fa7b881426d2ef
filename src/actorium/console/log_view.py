"""`LogView`: reads a log for a console, whether its application runs or not.

Invariant: no method reads more than a page, or a fixed number of pages, however large the log is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import datetime

import msgspec

from actorium.actors.errors import NotFound
from actorium.console.api.queries import EventsQuery, SagasQuery, StreamsQuery, SubmissionsQuery, TimersQuery
from actorium.console.api.views import (
    CauseTree,
    EventElsewhere,
    EventPage,
    EventView,
    SagaPage,
    SagaRowView,
    StreamPageView,
    SubmissionPage,
    SubmissionRowView,
    TimerPage,
    TimerView,
)
from actorium.console.masking import Masking
from actorium.operators import OPERATOR
from actorium.runtime.services.service import is_service_name
from actorium.store.codec import decode_metadata
from actorium.store.errors import InvalidCommand
from actorium.store.event_store import EventStore, StreamRead
from actorium.store.events import EncodedRecord, utc_of
from actorium.store.names import StreamName, event_id, stream_of_event
from actorium.store.source import Source
from actorium.store.tables.log_search import FindEvents, FindStreams, FindStreamTypes
from actorium.store.tables.own_rows import AgendaRow, CountSagas, ReadDue, ReadSagas, ReadSubmissions

STREAM_TYPES_MAX = 500
SAGAS_COUNTED_MAX = 10_000
SEARCHED_MAX = 100_000
"""Positions that one request searches for events of some types; the next request continues."""

_CAUSES_MAX = 100
_LATEST_US = 2**63 - 1


class LogView:
    """Reads the log of a store.

    masking: what is hidden.
    source: tells the time.
    """

    def __init__(self, store: EventStore, masking: Masking, source: Source) -> None:
        self._store = store
        self._masking = masking
        self._source = source

    # --- events ---------------------------------------------------------------------------------------------------

    def event(self, record: EncodedRecord, *, shown: bool = False) -> EventView:
        """Return a record as it is shown; `shown` shows hidden values too."""
        metadata = decode_metadata(record.metadata)
        payload, headers, is_masked = msgspec.json.decode(record.payload), dict(metadata.headers), False
        if not shown and record.stream.type != OPERATOR:
            payload, hides_payload = self._masking.masked(record.type, payload)
            headers, hides_headers = self._masking.masked("headers", headers)
            is_masked = hides_payload or hides_headers
        return EventView(
            id=event_id(record.stream, record.version),
            position=record.position,
            stream_type=record.stream.type,
            stream_id=record.stream.id,
            version=record.version,
            type=record.type,
            schema_version=record.schema_version,
            recorded_at=utc_of(record.recorded_us),
            command_id=metadata.command_id,
            correlation_id=metadata.correlation_id,
            causation_id=metadata.causation_id,
            headers=headers,
            payload=payload,
            is_masked=is_masked,
        )

    async def at(self, position: int) -> EncodedRecord:
        """Return the record at a position; raise NotFound if there is none."""
        records = await self._store.read_log(position - 1, 1)
        if not records:
            raise NotFound(f"the log has no event at position {position}")
        return records[0]

    async def events(self, query: EventsQuery) -> EventPage:
        """Return a page of events."""
        if query.correlation_id:
            return await self._of_flow(query)
        first = (query.after or 0) + 1
        end = (await self._store.head()).position + 1 if query.before is None else query.before
        if query.since:
            first = max(first, await self._first_at(query.since))
        if query.until:
            end = min(end, await self._first_at(query.until))
        if query.after is not None:
            return await self._forwards(query, first, end)
        return await self._backwards(query, first, end)

    async def _backwards(self, query: EventsQuery, first: int, end: int) -> EventPage:
        """Return the newest events of positions `first`..`end - 1`."""
        if not query.types:
            start = max(first, end - query.limit)
            records = await self._store.read_log(start - 1, end - start) if end > start else []
            return EventPage([self.event(one) for one in reversed(records)], start, start <= first)
        start = max(first, end - SEARCHED_MAX)
        positions = await self._store.read_rows(FindEvents(query.types, start - 1, end, query.limit))
        searched_to = positions[-1] if len(positions) == query.limit else start
        events = [self.event(await self.at(position)) for position in positions]
        return EventPage(events, searched_to, searched_to <= first)

    async def _forwards(self, query: EventsQuery, first: int, end: int) -> EventPage:
        """Return the oldest events of positions `first`..`end - 1`."""
        until = min(end, first + SEARCHED_MAX)
        if query.types:
            found = await self._store.read_rows(FindEvents(query.types, first - 1, until, SEARCHED_MAX))
            positions = found[::-1][: query.limit]
            records = [await self.at(position) for position in positions]
            searched_to = positions[-1] if len(positions) == query.limit else max(until, first) - 1
        else:
            records = await self._store.read_log(first - 1, min(query.limit, until - first)) if until > first else []
            searched_to = records[-1].position if records else first - 1
        return EventPage([self.event(one) for one in records], searched_to, searched_to >= end - 1)

    async def _of_flow(self, query: EventsQuery) -> EventPage:
        after = query.after or 0
        records = await self._store.read_linked("correlation_id", query.correlation_id, after, query.limit)
        if not after:
            first = (await self._store.find_commands([query.correlation_id])).get(query.correlation_id)
            if first is not None:
                read = StreamRead(first.stream, first.first_version - 1, first.version - first.first_version + 1)
                (page,) = await self._store.read_streams([read])
                records = [*page.events, *records]
        wanted = [one for one in records if not query.types or one.type in query.types]
        searched_to = records[-1].position if records else after
        return EventPage([self.event(one) for one in wanted], searched_to, len(records) < query.limit)

    async def _first_at(self, time: str) -> int:
        """Return the position of the first event recorded at or after a time; one beyond the end if there is none."""
        wanted_us = us_of(time)
        first, end = 1, (await self._store.head()).position + 1
        while first < end:
            middle = (first + end) // 2
            if (await self.at(middle)).recorded_us < wanted_us:
                first = middle + 1
            else:
                end = middle
        return first

    # --- streams --------------------------------------------------------------------------------------------------

    async def stream_types(self) -> list[str]:
        """Return the types of streams in the log."""
        return await self._store.read_rows(FindStreamTypes(STREAM_TYPES_MAX))

    async def streams(self, query: StreamsQuery) -> StreamPageView:
        """Return a page of streams."""
        found = await self._store.read_rows(FindStreams(query.type, query.limit, query.prefix, query.after))
        ids = [stream.id for stream in found]
        return StreamPageView(ids, ids[-1] if len(ids) == query.limit else "")

    async def version_of(self, stream: StreamName) -> int:
        """Return the version of a stream's last event; raise NotFound for an empty stream.

        A store reads a stream from a version on, so this doubles the version until it is beyond the end, and then
        halves the distance.
        """
        reached, beyond = 0, 1
        while await self._has(stream, beyond):
            reached, beyond = beyond, beyond * 2
        while beyond - reached > 1:
            middle = (reached + beyond) // 2
            if await self._has(stream, middle):
                reached = middle
            else:
                beyond = middle
        if not reached:
            raise NotFound(f"{stream} has no events")
        return reached

    async def _has(self, stream: StreamName, version: int) -> bool:
        return bool(await self.of_stream(stream, version - 1, 1))

    async def of_stream(self, stream: StreamName, after_version: int, limit: int) -> list[EncodedRecord]:
        """Return the records of a stream after a version."""
        (page,) = await self._store.read_streams([StreamRead(stream, after_version, limit)])
        return page.events

    # --- causes ---------------------------------------------------------------------------------------------------

    async def causes(self, id: str, limit: int) -> CauseTree:
        """Return what led to an event, and what it caused."""
        record = await self._named(id)
        if record is None:
            raise NotFound(f"the log has no event {id!r}: an id is <stream type>/<stream id>/<version>")
        event = self.event(record)
        causes: list[EventView] = []
        cause = event.causation_id
        while cause and len(causes) < _CAUSES_MAX and (found := await self._named(cause)) is not None:
            causes.insert(0, self.event(found))
            cause = causes[0].causation_id
        origin = _elsewhere(cause) if len(causes) < _CAUSES_MAX else None
        effects: list[EventView] = []
        is_complete = len(causes) < _CAUSES_MAX
        async for effect in self._effects(event):
            if len(effects) == limit:
                is_complete = False
                break
            effects.append(effect)
        known = {one.id for one in (*causes, event, *effects)}
        return CauseTree(causes, event, effects, is_complete, origin, await self._from_services(event, known))

    async def _from_services(self, event: EventView, known: Collection[str]) -> list[EventView]:
        """Return the events of an event's flow that came from other services, without the known ones."""
        flow = event.correlation_id or event.command_id
        records = await self._store.read_linked("correlation_id", flow, 0, _CAUSES_MAX) if flow else []
        found = [one for one in (self.event(record) for record in records) if one.id not in known]
        return [
            one
            for one in found
            if _elsewhere(one.causation_id) is not None and await self._named(one.causation_id) is None
        ]

    async def _effects(self, event: EventView) -> AsyncIterator[EventView]:
        waiting, seen = [event.id], {event.id}
        while waiting:
            cause, position = waiting.pop(0), 0
            while records := await self._store.read_linked("causation_id", cause, position, _CAUSES_MAX):
                for record in records:
                    effect = self.event(record)
                    if effect.id not in seen:
                        seen.add(effect.id)
                        waiting.append(effect.id)
                        yield effect
                position = records[-1].position

    async def _named(self, id: str) -> EncodedRecord | None:
        stream = stream_of_event(id)
        if stream is None:
            return None
        version = int(id.rpartition("/")[2].partition(".")[0])
        records = await self.of_stream(stream, version - 1, 1) if version else []
        return records[0] if records else None

    # --- sagas and submitted commands -----------------------------------------------------------------------------

    async def saga_counts(self) -> dict[str, int]:
        """Return the number of sagas by status; counting stops at `SAGAS_COUNTED_MAX`."""
        return {row.status: row.count for row in await self._store.read_rows(CountSagas(SAGAS_COUNTED_MAX))}

    async def sagas(self, query: SagasQuery) -> SagaPage:
        """Return a page of sagas."""
        idle_us = round(query.idle_s * 1_000_000)
        read = ReadSagas(
            query.limit,
            query.type or None,
            query.status or None,
            (query.after_type, query.after_id) if query.after_type else None,
            query.step or None,
            query.prefix,
            self._source.now_us() - idle_us if idle_us else None,
        )
        rows = await self._store.read_rows(read)
        sagas = [
            SagaRowView(
                row.type, row.id, row.status, row.step, row.reason, _known(row.started_us), _known(row.updated_us)
            )
            for row in rows
        ]
        last = rows[-1] if len(rows) == query.limit else None
        return SagaPage(sagas, last.type if last else "", last.id if last else "")

    async def submissions(self, query: SubmissionsQuery) -> SubmissionPage:
        """Return a page of submitted commands."""
        read = ReadSubmissions(query.limit, query.status or None, query.after or None, query.type or None)
        rows = await self._store.read_rows(read)
        submissions = [
            SubmissionRowView(
                row.id,
                row.type,
                row.status,
                row.reason,
                _known(row.due_us),
                _known(row.submitted_us),
                _known(row.ended_us),
            )
            for row in rows
        ]
        return SubmissionPage(submissions, rows[-1].id if len(rows) == query.limit else "")

    async def timers(self, query: TimersQuery) -> TimerPage:
        """Return a page of what is due."""
        try:
            after = msgspec.json.decode(query.after, type=AgendaRow) if query.after else None
        except msgspec.DecodeError as error:
            raise InvalidCommand(f"after={query.after!r} does not come from a page of timers") from error
        rows = await self._store.read_rows(ReadDue(_LATEST_US, query.limit, after))
        timers = [TimerView(row.owner, row.id, row.key, row.what, _known(row.due_us)) for row in rows]
        return TimerPage(timers, msgspec.json.encode(rows[-1]).decode() if len(rows) == query.limit else "")


def _elsewhere(id: str) -> EventElsewhere | None:
    """Return the event of another service that an id names; None if it names one of this log, or none."""
    service, colon, event = id.partition(":")
    return EventElsewhere(service, event) if colon and is_service_name(service) and stream_of_event(event) else None


def us_of(time: str) -> int:
    """Return a time as microseconds since the epoch; raise InvalidCommand unless it is ISO 8601 with a time zone."""
    try:
        parsed = datetime.fromisoformat(time)
    except ValueError as error:
        raise InvalidCommand(f"{time!r} is not a time: write it as 2026-11-30T12:00:00Z") from error
    if parsed.tzinfo is None:
        raise InvalidCommand(f"{time!r} has no time zone: write it as 2026-11-30T12:00:00Z")
    return round(parsed.timestamp() * 1_000_000)


def _known(us: int) -> datetime | None:
    return utc_of(us) if us else None
