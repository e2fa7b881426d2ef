"""An aggregate with snapshots, whose state is rich enough to reveal errors in the JSON round trip."""

from __future__ import annotations

from typing import Any

import msgspec

from actorium import Aggregate, Command, Event, Runtime, Snapshots, decide, evolve
from actorium.actors.snapshots import fingerprint_of
from actorium.store.event_store import EventStore, Snapshot, StreamRead
from actorium.store.names import StreamName


class Add(Command):
    amount: int = 1
    events: int = 1


class Added(Event):
    amount: int


class Line(msgspec.Struct):
    amount: int
    note: str = ""


class Tally(Aggregate):
    """Its state is larger than its total, so that a wrong way through JSON would show."""

    snapshots = Snapshots(every=5)

    total: int = 0
    lines: list[Line] = []
    seen: dict[int, set[str]] = {}

    @decide
    def add(self, command: Add) -> list[Added]:
        return [Added(command.amount) for _ in range(command.events)]

    @evolve
    def added(self, event: Added) -> None:
        self.total += event.amount
        self.lines.append(Line(event.amount, f"n{len(self.lines)}"))
        self.seen.setdefault(event.amount, set()).add("x")


STREAM = StreamName("Tally", "t")


async def add(runtime: Runtime, count: int, *, to: str = "t") -> None:
    for n in range(count):
        await runtime.send(Add(to, n))


async def saved(store: EventStore, kind: type[Aggregate] = Tally) -> Snapshot | None:
    """Return the snapshot of the stream that the current code would use."""
    fingerprint = fingerprint_of(kind.__definition__)
    return (await store.read_streams([StreamRead(STREAM, 0, 1, fingerprint)]))[0].snapshot


async def hydrated(runtime: Runtime, kind: type[Aggregate] = Tally) -> Any:
    return await runtime.get(kind, "t")


def changed(**body: Any) -> type[Aggregate]:
    """Return Tally with something changed."""
    annotations = body.pop("annotations", {})
    namespace = {"__module__": __name__, "__qualname__": "Tally", "__annotations__": annotations, **body}
    return type(Aggregate)("Tally", (Tally,), {"stream_type": "Tally", **namespace})
