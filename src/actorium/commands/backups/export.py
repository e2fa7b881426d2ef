"""`actorium export`: events of a log as text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from actorium.backup.event_lines import Form
from actorium.backup.exporting import Wanted, export_events
from actorium.commands.json_report import STANDARD_STREAM
from actorium.commands.problem import Interrupted, Problem, WrongUse, require_place_for_report
from actorium.commands.reading import log_to_read
from actorium.commands.screen import Screen
from actorium.commands.streams import standard_output
from actorium.store.event_store import EventStore
from actorium.store.names import StreamName
from actorium.store.urls import open_store
from actorium.store.wording import counted

Several = Annotated[Sequence[str], Parameter(negative="")]


def export(
    log: str,
    /,
    *,
    out: Annotated[Path, Parameter(allow_leading_hyphen=True)] = STANDARD_STREAM,
    from_position: int = 1,
    to_position: int | None = None,
    stream: Several = (),
    type: Several = (),
    format: Form = "jsonl",
    source: str = "/actorium",
) -> None:
    """Write the events of a log as text, one on each line, while its application runs.

    Parameters
    ----------
    log
        The URL of the log, such as sqlite:///bank.db. It is opened read-only.
    out
        The file to write. It gets its name when it is complete. With -, the events go to standard output.
    from_position
        Begin with the event at this position.
    to_position
        End with the event at this position.
    stream
        Only the events of this stream, as TYPE/ID. Can be repeated.
    type
        Only events with this stored name. Can be repeated.
    format
        jsonl for JSON lines, cloudevents for a CloudEvent on each line, cloudevents-batch for a JSON array of them.
    source
        The source of CloudEvents: what names this log to others.
    """
    if out != STANDARD_STREAM:
        require_place_for_report(out)
    if from_position < 1:
        raise WrongUse(f"--from-position {from_position}: the first position is 1")
    if to_position is not None and to_position < from_position:
        raise WrongUse(f"--to-position {to_position} comes before --from-position {from_position}")
    if not source:
        raise WrongUse("--source is empty: name this log, such as /bank")
    wanted = Wanted(
        from_position=from_position,
        to_position=to_position,
        streams=frozenset(_stream(text) for text in stream),
        types=frozenset(type),
    )
    store, screen = open_store(log), Screen(aside=out == STANDARD_STREAM)
    with _written(out) as file:
        number = asyncio.run(_export(store, file, wanted, format, source, screen))
    screen.say(f"{counted(number, 'event')} exported")


async def _export(store: EventStore, file: BinaryIO, wanted: Wanted, form: Form, source: str, screen: Screen) -> int:
    async with log_to_read(store):
        head = (await store.head()).position
        with screen.progress("exporting", min(head, wanted.to_position or head)) as told:
            return await export_events(store, file, wanted, form, source, told)


@contextmanager
def _written(out: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when the block ends without an error, or standard output."""
    if out == STANDARD_STREAM:
        with standard_output("the export") as file:
            yield file
        return
    part = out.with_name(f"{out.name}.part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    except OSError as error:
        raise Problem(f"cannot write {part}: {error.strerror or error}; nothing was exported") from None
    except KeyboardInterrupt:
        raise Interrupted("interrupted: nothing was exported") from None
    finally:
        with suppress(OSError):  # that it cannot be removed says less than why it cannot be written
            part.unlink(missing_ok=True)


def _stream(text: str) -> StreamName:
    type, slash, id = text.partition("/")
    if not (type and slash and id):
        raise WrongUse(f"--stream {text}: write <stream type>/<stream id>")
    return StreamName(type, id)
