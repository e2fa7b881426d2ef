"""The options of a command line that select events."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter

from actorium.commands.problem import WrongUse
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
        The id of an event, <stream type>/<stream id>/<version>. Can be repeated.
    stream
        The stream that holds the events, as <stream type>/<stream id>.
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
            stream=None if self.stream is None else _stream(self.stream),
            types=tuple(self.type),
            after=self.after,
            until=self.until,
            since=self.since,
            before=self.before,
            headers=dict(_header(one) for one in self.header),
            where=None if self.where is None else _function(self.where),
        )


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
