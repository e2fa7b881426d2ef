"""What Actorium adds to a Jupyter notebook: states, sagas and streams are shown as tables.

    %load_ext actorium.contrib.notebook
    from actorium.contrib.notebook import stream

    runtime = Runtime([Account], store="sqlite:///bank.db")
    await runtime.start()
    await stream(runtime, Account, "alice")

A notebook's event loop runs between the cells, so a runtime that one cell starts serves the next ones. No extra is
needed; `pip install notebook` brings IPython.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.application import Runtime
from actorium.errors import InvalidCommand
from actorium.store.events import Event, RecordedEvent
from actorium.types import Change, SagaView

A = TypeVar("A", bound=Aggregate)

_TEXT_MAX = 200


class StreamView(NamedTuple, Generic[A]):
    """The newest events of an aggregate, each with what it changed; a notebook shows it as a table.

    changes: the events, oldest first.
    before: the number of older events that were left out.
    """

    name: str
    changes: Sequence[Change[A]]
    before: int

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.before + len(self.changes)} events"]
        lines += (f"{one.version:6}  {one.recorded_at:%Y-%m-%d %H:%M:%S}  {one.event}" for one in self.changes)
        return "\n".join(lines)


async def stream(runtime: Runtime, aggregate: type[A], id: str, *, last: int = 50) -> StreamView[A]:
    """Return the newest events of an aggregate.

    last: how many of them; the older ones are read, but not kept.

    Raises:
        InvalidCommand: `last` is below 1.
        NotFound: the aggregate has no events.
    """
    if last < 1:
        raise InvalidCommand(f"stream(last={last!r}): must be 1 or more")
    newest: deque[Change[A]] = deque(maxlen=last)
    count = 0
    async for change in runtime.history(aggregate, id):
        newest.append(change)
        count += 1
    return StreamView(f"{aggregate.__name__}<{id}>", tuple(newest), count - len(newest))


def load_ipython_extension(shell: Any) -> None:
    """Register the tables: IPython calls this for `%load_ext actorium.contrib.notebook`."""
    html = shell.display_formatter.formatters["text/html"]
    html.for_type(Aggregate, _state)
    html.for_type(SagaView, _saga)
    html.for_type(StreamView, _stream)
    html.for_type(RecordedEvent, _recorded)


def unload_ipython_extension(shell: Any) -> None:
    """Remove the tables again: `%unload_ext actorium.contrib.notebook`."""
    html = shell.display_formatter.formatters["text/html"]
    for shown in (Aggregate, SagaView, StreamView, RecordedEvent):
        html.pop(shown, None)


def _state(state: Aggregate) -> str:
    rows = ((name, _text(getattr(state, name))) for name in state.__struct_fields__ if name != "id")
    return _table(f"{type(state).__name__}<{state.id}>", ("field", "value"), rows)


def _saga(saga: SagaView) -> str:
    rows = (
        (str(line.version), f"{line.at:%Y-%m-%d %H:%M:%S}", line.text, f"{line.took_s:.3g} s" if line.took_s else "")
        for line in saga.history
    )
    return _table(saga.title, ("version", "time", "what happened", "took"), rows)


def _stream(view: StreamView[Any]) -> str:
    title = f"{view.name}: {view.before + len(view.changes)} events"
    rows = (
        (
            str(change.version),
            f"{change.recorded_at:%Y-%m-%d %H:%M:%S}",
            type(change.event).__name__,
            _fields(change.event),
            _changed(change),
        )
        for change in view.changes
    )
    return _table(title, ("version", "time", "event", "fields", "changed"), rows)


def _recorded(recorded: RecordedEvent[Event]) -> str:
    metadata = recorded.metadata
    rows = [
        ("position", str(recorded.position)),
        ("time", f"{recorded.recorded_at:%Y-%m-%d %H:%M:%S}"),
        ("event", f"{type(recorded.event).__name__} {_fields(recorded.event)}"),
        ("command", metadata.command_id),
        ("flow", metadata.flow_id),
        ("cause", metadata.causation_id),
        *((f"header {name}", value) for name, value in metadata.headers.items()),
    ]
    title = f"{recorded.stream_type}<{recorded.stream_id}> version {recorded.version}"
    return _table(title, ("", ""), (row for row in rows if row[1]))


def _changed(change: Change[Any]) -> str:
    before, after = change.before, change.after
    names = (name for name in after.__struct_fields__ if getattr(before, name) != getattr(after, name))
    return ", ".join(f"{name}: {_text(getattr(before, name))} → {_text(getattr(after, name))}" for name in names)


def _fields(event: msgspec.Struct) -> str:
    return ", ".join(f"{name}={_text(getattr(event, name))}" for name in event.__struct_fields__)


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Iterable[str], mark: str) -> str:
        return "<tr>" + "".join(f"<{mark} style='text-align: left'>{escape(cell)}</{mark}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"
