"""`actorium import`: exported events into a log."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from actorium.backup.importing import Imported, WrongLine, import_events
from actorium.commands.json_report import STANDARD_STREAM, JsonFile, screen_beside, write_json
from actorium.commands.problem import Interrupted, Problem, WrongUse, require_file
from actorium.commands.screen import Screen
from actorium.store.event_store import EventStore, Examinable
from actorium.store.events import utc_of
from actorium.store.urls import open_store
from actorium.store.wording import counted

_TOLD_EVERY = 100_000  # events


def import_(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    log: str,
    /,
    *,
    stream_type: str = "",
    expect: int | None = None,
    json: JsonFile = None,
) -> None:
    """Write exported events to a log, which may be new or hold a part of them.

    Stop the application of the log first. Events keep their streams, versions, times, metadata and command ids. An
    event that the log holds already is compared and left, so after any failure, run the command again: it continues.

    Parameters
    ----------
    file
        The file of `actorium export`, or CloudEvents as JSON lines or as a JSON array. With -, standard input.
    log
        The URL of the log, such as sqlite:///copy.db.
    stream_type
        The type of the streams of CloudEvents from other systems. The subject of an event is the id of its stream.
    expect
        The number of events that the file must hold, as `actorium export` printed it.
    """
    screen, store = screen_beside(json), open_store(log)
    with _lines(file) as lines:
        try:
            done, end_us = asyncio.run(_import(screen, store, lines, stream_type))
        except WrongLine as wrong:
            name = "standard input" if file == STANDARD_STREAM else str(file)
            raise Problem(f"{name}, {wrong}; the events before it are in the log") from None
        except KeyboardInterrupt:
            raise Interrupted("interrupted: run the command again to continue") from None
    if json is not None:
        write_json(done, json)
    screen.say(
        f"{counted(done.read, 'event')} read, {done.written:,} written, {done.read - done.written:,} in the log already"
    )
    if done.moved:
        screen.note(
            f"{counted(done.moved, 'event')} got the time at the end of the log: times never decrease along a log"
        )
    if done.written and end_us > time.time_ns() // 1_000:
        screen.note(
            f"the log now ends at {utc_of(end_us).isoformat()}, which is later than this machine's clock: until then, "
            "every new event gets that time"
        )
    if expect is not None and done.read != expect:
        raise Problem(
            f"the file holds {counted(done.read, 'event')}, not {expect:,}: it is incomplete, or another file"
        )


async def _import(screen: Screen, store: EventStore, lines: BinaryIO, stream_type: str) -> tuple[Imported, int]:
    """Import events; return the result, and the time of the last event of the log in microseconds."""
    if not isinstance(store, Examinable):
        raise WrongUse(f"nothing would be left of the import: {store.describe()}")
    said = 0

    def told(read: int) -> None:
        nonlocal said
        if read - said >= _TOLD_EVERY:
            said = read
            screen.note(f"  {counted(read, 'event')} read")

    await store.open()
    try:
        done = await import_events(store, lines, told, stream_type=stream_type)
        return done, (await store.head()).recorded_us
    finally:
        await store.close()


@contextmanager
def _lines(file: Path) -> Iterator[BinaryIO]:
    if file == STANDARD_STREAM:
        yield sys.stdin.buffer
        return
    require_file(file, "a file of events")
    with open(file, "rb") as lines:
        yield lines
