"""Reads exported events into a log: a new one, or one that holds a part of them already.

Invariant: whether an event is written is decided by the log alone, so an import that was killed continues when it is
started again, and a second import writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

import msgspec

from actorium.backup.event_lines import LogEvent, WrongEvent, decoded_line, same_event
from actorium.store.codec import decode_metadata
from actorium.store.event_store import Append, AppendBatch, CommandMark, EventStore, StreamRead
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import StreamName

_PAGE_EVENTS = 1_000
_READS = 200  # so many streams are read at once
_STREAMS_KNOWN = 100_000


class WrongLine(Exception):
    """A line that cannot be imported; the events of the lines before it are in the log."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line


class Imported(msgspec.Struct, frozen=True):
    """The result of an import.

    read: the events in the file.
    written: those that were not in the log yet.
    moved: those of them that are older than the end of the log was. They got its time, because times never decrease
        along a log.
    """

    read: int
    written: int
    moved: int = 0


class _Group(msgspec.Struct, frozen=True):
    """The events of one command, or one event; `line` is where they begin."""

    line: int
    events: list[LogEvent]

    @property
    def stream(self) -> StreamName:
        return self.events[0].stream

    @property
    def version(self) -> int:
        return self.events[0].version

    @property
    def command_id(self) -> str:
        return decode_metadata(self.events[0].event.metadata).command_id

    def require_same(self, there: list[EncodedEvent]) -> None:
        """Raise WrongLine unless the log, or an earlier line, has the same events at these versions."""
        if len(there) != len(self.events) or not all(map(same_event, [one.event for one in self.events], there)):
            raise WrongLine(self.line, f"{self.stream} has other events from version {self.version} on in the log")

    def append(self, expected_version: int) -> Append:
        first = self.events[0]
        mark = None if first.fingerprint is None else CommandMark(self.command_id, first.fingerprint)
        return Append(first.stream, expected_version, tuple(one.event for one in self.events), mark)


async def import_events(
    store: EventStore, lines: Iterable[bytes], told: Callable[[int], None], *, stream_type: str = ""
) -> Imported:
    """Write events to a log with their streams, versions, times, metadata and command ids.

    store: open; nobody else writes to it.
    lines: the lines of a file, each with its end.
    told: called with the number of events read, after each page.
    stream_type: the type of the streams of CloudEvents from other systems; their `subject` is the id.

    An event that the log holds already is compared and left. Raises WrongLine for a line that is not an event, that
    differs from the log, or whose stream lacks earlier events.
    """
    importing = _Importing(store, (await store.head()).recorded_us)
    read = 0
    for page, wrong in _pages(lines, stream_type):
        await importing.take(page)
        if wrong is not None:
            raise wrong
        read += sum(len(group.events) for group in page)
        told(read)
    return Imported(read, importing.written, importing.moved)


class _Importing:
    def __init__(self, store: EventStore, recorded_us: int) -> None:
        self._store = store
        self._recorded_us = recorded_us  # the time at the end of the log
        self._ends: dict[StreamName, int] = {}  # versions of streams, as far as they are known
        self.written = self.moved = 0

    async def take(self, groups: list[_Group]) -> None:
        """Write the groups that the log does not hold yet; if one is wrong, those before it, and raise WrongLine."""
        try:
            await self._write_new(groups)
        except WrongLine as wrong:
            self._ends.clear()  # they count events that were not written
            await self.take([group for group in groups if group.line < wrong.line])
            raise

    async def _write_new(self, groups: list[_Group]) -> None:
        known = await self._known(groups)
        waiting: list[tuple[_Group, Append]] = []
        taken: dict[tuple[StreamName, int], _Group] = {}
        for n, group in enumerate(groups):
            if n in known:
                continue
            end = self._ends[group.stream]
            version = group.version or end + 1
            if (earlier := taken.get((group.stream, version))) is not None:
                group.require_same([one.event for one in earlier.events])
                continue
            if version != end + 1:
                raise WrongLine(
                    group.line,
                    f"{group.stream} ends at version {end} in the log, so {end + 1} must come before version {version}",
                )
            taken[group.stream, version] = group
            waiting.append((group, group.append(end)))
            self._ends[group.stream] = end + len(group.events)
        for recorded_us, some in groupby(waiting, key=lambda one: self._time(one[0])):
            await self._append(recorded_us, list(some))

    def _time(self, group: _Group) -> int:
        recorded_us = group.events[0].recorded_us
        if recorded_us < self._recorded_us:
            self.moved += len(group.events)
        self._recorded_us = max(self._recorded_us, recorded_us)
        return self._recorded_us

    async def _append(self, recorded_us: int, waiting: list[tuple[_Group, Append]]) -> None:
        outcomes = (await self._store.append(AppendBatch(recorded_us, [append for _, append in waiting]))).outcomes
        for (group, append), outcome in zip(waiting, outcomes, strict=True):
            if not isinstance(outcome, int):
                raise WrongLine(group.line, str(outcome))
            self.written += len(append.events)

    async def _known(self, groups: list[_Group]) -> set[int]:
        """Return which groups the log holds, by index; raise WrongLine for one that differs."""
        if len(self._ends) > _STREAMS_KNOWN:
            self._ends.clear()
        found: set[int] = set()
        foreign = {n: group.command_id for n, group in enumerate(groups) if not group.version}
        commands = await self._store.find_commands(sorted(set(foreign.values()))) if foreign else {}
        new: set[str] = set()
        for n, id in foreign.items():
            if id in commands or id in new:
                found.add(n)
            new.add(id)
        own = [n for n, group in enumerate(groups) if group.version]
        asked = [n for n in own if groups[n].version <= self._ends.get(groups[n].stream, groups[n].version)]
        reads = [StreamRead(groups[n].stream, groups[n].version - 1, len(groups[n].events)) for n in asked]
        for n, records in zip(asked, await self._read(reads), strict=True):
            if records:
                groups[n].require_same(
                    [EncodedEvent(one.type, one.schema_version, one.payload, one.metadata) for one in records]
                )
                found.add(n)
                self._ends[groups[n].stream] = max(self._ends.get(groups[n].stream, 0), records[-1].version)
        await self._learn_ends([groups[n] for n in range(len(groups)) if n not in found])
        return found

    async def _learn_ends(self, groups: Iterable[_Group]) -> None:
        """Learn the versions of the streams that are to be written to; the log does not hold these events."""
        first: dict[StreamName, int] = {}
        for group in groups:
            if group.stream not in self._ends:
                first.setdefault(group.stream, group.version)
        self._ends |= {stream: 0 for stream, version in first.items() if version == 1}
        later = [(stream, version) for stream, version in first.items() if version > 1]
        before = await self._read([StreamRead(stream, version - 2, 1) for stream, version in later])
        for (stream, version), records in zip(later, before, strict=True):
            if records:
                self._ends[stream] = version - 1
        for stream in first:
            if stream not in self._ends:  # of another system, or the line before is missing
                self._ends[stream] = await self._version(stream)

    async def _version(self, stream: StreamName) -> int:
        version = 0
        while True:
            (records,) = await self._read([StreamRead(stream, version, _PAGE_EVENTS)])
            if not records:
                return version
            version = records[-1].version

    async def _read(self, reads: list[StreamRead]) -> list[list[EncodedRecord]]:
        """Return the events of each read, up to its limit."""
        found: list[list[EncodedRecord]] = []
        for start in range(0, len(reads), _READS):
            some = reads[start : start + _READS]
            for read, page in zip(some, await self._store.read_streams(some), strict=True):
                records, is_last = list(page.events), page.is_last
                while not is_last and len(records) < read.limit:
                    after = records[-1].version if records else read.after_version
                    (more,) = await self._store.read_streams(
                        [StreamRead(read.stream, after, read.limit - len(records))]
                    )
                    records += more.events
                    is_last = more.is_last
                found.append(records)
        return found


def _pages(lines: Iterable[bytes], stream_type: str) -> Iterator[tuple[list[_Group], WrongLine | None]]:
    """Yield all groups, some at a time, and the error of the line after them if that is wrong."""
    page: list[_Group] = []
    size = 0
    try:
        for group in _groups(lines, stream_type):
            page.append(group)
            size += len(group.events)
            if size >= _PAGE_EVENTS:
                yield page, None
                page, size = [], 0
    except WrongLine as wrong:
        yield page, wrong
    else:
        yield page, None


def _groups(lines: Iterable[bytes], stream_type: str) -> Iterator[_Group]:
    numbered = _events(lines, stream_type)
    for line, first in numbered:
        events = [first]
        for n in range(1, first.events):
            number, event = next(numbered, (line, None))
            if event is None or (event.stream, event.version) != (first.stream, first.version + n):
                raise WrongLine(
                    number, f"the command at line {line} has {first.events} events, and this is not the next"
                )
            events.append(event)
        yield _Group(line, events)


def _events(lines: Iterable[bytes], stream_type: str) -> Iterator[tuple[int, LogEvent]]:
    """Yield the events of JSON lines, or of a JSON array of CloudEvents, with the number of their line or place."""
    for number, line in enumerate(lines, 1):
        if number == 1 and line.lstrip().startswith(b"["):
            yield from _batch([line, *lines], stream_type)
            return
        if not line.strip():
            continue
        if not line.endswith(b"\n"):
            raise WrongLine(number, "the file is cut off here: the line has no end")
        try:
            yield number, decoded_line(line, stream_type)
        except WrongEvent as wrong:
            raise WrongLine(number, str(wrong)) from wrong


def _batch(lines: list[bytes], stream_type: str) -> Iterator[tuple[int, LogEvent]]:
    try:
        events = msgspec.json.decode(b"".join(lines), type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WrongLine(1, f"the batch of CloudEvents is cut off or not JSON: {error}") from error
    for number, event in enumerate(events, 1):
        try:
            yield number, decoded_line(event, stream_type)
        except WrongEvent as wrong:
            raise WrongLine(number, f"event {number} of the batch: {wrong}") from wrong
