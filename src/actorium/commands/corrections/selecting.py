"""The options of a command line that select events."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from actorium.commands.json_report import STANDARD_STREAM
from actorium.commands.problem import WrongUse
from actorium.console.cases.forms import SelectionQuery
from actorium.corrections.impact.selection import Selection, Where
from actorium.store.names import StreamName
from actorium.user_code.imports import blamed, look_here


@Parameter(name="*")
@dataclass(frozen=True)
class SelectionOptions:
    """Which events; every option that is given must hold.

    Parameters
    ----------
    event
        The id of an event, TYPE/ID/VERSION of its stream. Can be repeated.
    cause
        The id of an event that caused them directly; SERVICE:ID for an event of another service. Can be repeated.
    stream
        The stream that holds the events, as TYPE/ID.
    type
        The stored name of a type of event. Can be repeated.
    after
        The events after this position.
    until
        The events up to this position.
    since
        The events recorded at this time or later, such as 1993-01-31T12:00:00+00:00.
    before
        The events recorded before this time.
    header
        A header of the events, as name=value. Can be repeated.
    where
        A function of a recorded event that returns whether it is selected, as module:name.
    """

    event: Annotated[Sequence[str], Parameter(negative="")] = ()
    cause: Annotated[Sequence[str], Parameter(negative="")] = ()
    stream: str | None = None
    type: Annotated[Sequence[str], Parameter(negative="")] = ()
    after: int = 0
    until: int | None = None
    since: datetime | None = None
    before: datetime | None = None
    header: Annotated[Sequence[str], Parameter(negative="")] = ()
    where: str | None = None

    def selection(self) -> Selection:
        """Return what the options select."""
        return Selection(
            events=tuple(self.event),
            causes=tuple(self.cause),
            stream=None if self.stream is None else _stream(self.stream),
            types=tuple(self.type),
            after=self.after,
            until=self.until,
            since=self.since,
            before=self.before,
            headers=dict(_header(one) for one in self.header),
            where=None if self.where is None else _function(self.where),
        )


class _ImpactEvent(msgspec.Struct, frozen=True):
    id: str
    cause: str


class _ImpactReport(msgspec.Struct, frozen=True):
    events: list[_ImpactEvent]


def chosen_events(options: SelectionOptions, events: Path | None) -> SelectionQuery:
    """Return what the options and a file select, for the API of a running application.

    events: a file with ids, one on each line, or with the JSON report of `actorium impact`; `-` is standard input.
    """
    if options.where is not None:
        raise WrongUse(
            "--where cannot be asked of a running application: write the ids with `actorium impact --json FILE`, and "
            "give --events FILE"
        )
    stream = None if options.stream is None else _stream(options.stream)
    return SelectionQuery(
        events=(*options.event, *(() if events is None else _ids(events))),
        causes=tuple(options.cause),
        stream_type=stream.type if stream is not None else "",
        stream_id=stream.id if stream is not None else "",
        types=tuple(options.type),
        after=options.after,
        until=options.until or 0,
        since=options.since.isoformat() if options.since is not None else "",
        before=options.before.isoformat() if options.before is not None else "",
        headers=tuple(options.header),
    )


def _ids(file: Path) -> Sequence[str]:
    try:
        text = sys.stdin.read() if file == STANDARD_STREAM else file.read_text(encoding="utf-8")
        if text.lstrip().startswith("{"):
            return [one.id for one in msgspec.json.decode(text, type=_ImpactReport).events if not one.cause]
        return [line for line in text.splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise WrongUse(f"--events {file}: {error}") from error


def _stream(text: str) -> StreamName:
    type, slash, id = text.partition("/")
    if not (type and slash and id):
        raise WrongUse(f"--stream {text}: write <stream type>/<stream id>")
    return StreamName(type, id)


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise WrongUse(f"--header {text}: write name=value")
    return name, value


def _function(reference: str) -> Where:
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise WrongUse(f"--where {reference}: write module:name")
    look_here()
    with blamed(f"--where {reference} cannot be imported"):
        function: Where = getattr(importlib.import_module(module), name)
    return function


def with_object(option: str, text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the JSON object of an option's value, `NAME={"field": value}`."""
    name, _, fields = text.partition("=")
    try:
        return name, msgspec.json.decode(fields.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise WrongUse(f'{option} {text}: write NAME={{"field": value}}: {error}') from error
