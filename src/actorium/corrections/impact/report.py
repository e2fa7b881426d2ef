"""`Impact`: what some events touched, as values that a program, a page or a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from actorium.store.wording import counted


class TouchedEvent(msgspec.Struct, frozen=True):
    """A selected event, or one that a selected event caused.

    id: its `RecordedEvent.event_id`.
    cause: the id of the event that caused it; empty if it was selected.
    recorded_us: when it was recorded, in microseconds since the epoch.
    """

    id: str
    type: str
    stream: str
    version: int
    position: int
    recorded_us: int
    cause: str = ""

    @property
    def is_selected(self) -> bool:
        """Whether it was selected, and not found through its cause."""
        return not self.cause


class TouchedStream(msgspec.Struct, frozen=True):
    """A stream with touched events.

    kind: "aggregate", "saga" or "submission"; "inbox" for the events of a stream of another service, whose name is
        `type`.
    events: the touched events in it.
    later: the other events after the first touched one. Their commands were decided on a state that includes it.
    status: for a saga or a submission, its present status.
    snapshot: the version of its newest snapshot, if that includes a touched event; else 0.
    """

    type: str
    id: str
    kind: Literal["aggregate", "saga", "submission", "inbox"]
    first_version: int
    events: int
    later: int
    status: str = ""
    snapshot: int = 0


class TouchedProjection(msgspec.Struct, frozen=True):
    """A projection that handles touched events.

    events: the touched events that it handles; `handled` are those that it has handled.
    rows: for each `Table`, the keys of the rows that its handlers write for these events.
    statements: how many SQL statements they record.
    keys: for a projection that declares `key`, the keys of the rows that these change; else this is not known.
    parked: touched events that its handlers fail on.
    """

    name: str
    version: int
    events: int
    handled: int
    rows: Mapping[str, Sequence[Sequence[Any]]] = {}
    statements: int = 0
    parked: int = 0
    keys: Sequence[str | int | bytes] = ()


class TouchedFollower(msgspec.Struct, frozen=True):
    """A follower of the log with effects outside: a reaction, an outlet, a durable subscription, or the publisher.

    The publisher makes events available to other services; its name is that of this service. What they did because of
    an event is in their logs: `Impact.services`.

    events: the touched events that it follows.
    handled: how many of them it is past: carried out, published or read.
    """

    kind: Literal["reaction", "outlet", "subscription", "publisher"]
    name: str
    events: int
    handled: int


class TouchedService(msgspec.Struct, frozen=True):
    """Another service in which touched events may have caused something, and its answer.

    asked: the number of event ids about which it was asked.
    problem: why it did not answer, or not about everything; empty if it did.
    counts: what it found in its log, by kind, without what is 0. What events of several questions touched counts once
        for each; a question is about 1,000 events.
    tree: the events that were caused there, as indented lines, each below its cause; at most 40, and
        one that says how many are left out.
    services: of the services that it asked in turn, those that found something or did not answer.
    """

    name: str
    asked: int
    problem: str = ""
    counts: Mapping[str, int] = {}
    tree: Sequence[str] = ()
    services: Sequence[TouchedService] = ()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Yield the answer as indented lines, with those of the services that it asked."""
        space = "  " * depth
        found = ", ".join(f"{number:,} {kind}" for kind, number in self.counts.items())
        if found or not self.problem:
            yield f"{space}service {self.name}: {found or 'nothing'}"
        if self.problem:
            yield f"{space}service {self.name} did not answer: {self.problem}"
        yield from (f"{space}  {line}" for line in self.tree)
        for one in self.services:
            yield from one.lines(depth + 1)

    def with_those_beyond(self) -> Iterator[TouchedService]:
        """Yield this service and those that it asked in turn."""
        yield self
        for one in self.services:
            yield from one.with_those_beyond()


class Impact(msgspec.Struct, frozen=True):
    """What some events touched: the events that they caused, and everything that these events reached.

    head: the end of the log when it was examined.
    events: the selected events and those that they caused, directly or not, in log order.
    services: the other services that were asked what these events caused in their logs. A log that is read while its
        application does not run asks nobody.
    """

    head: int
    events: Sequence[TouchedEvent] = ()
    streams: Sequence[TouchedStream] = ()
    projections: Sequence[TouchedProjection] = ()
    followers: Sequence[TouchedFollower] = ()
    services: Sequence[TouchedService] = ()

    @property
    def selected(self) -> int:
        """The number of selected events."""
        return sum(event.is_selected for event in self.events)

    @property
    def caused(self) -> int:
        """The number of events that the selected events caused."""
        return len(self.events) - self.selected

    def counts(self) -> Mapping[str, int]:
        """Return how much of each kind was touched."""
        kinds = [stream.kind for stream in self.streams]
        services = [one for asked in self.services for one in asked.with_those_beyond()]
        return {
            "selected events": self.selected,
            "caused events": self.caused,
            "aggregates": kinds.count("aggregate"),
            "later events of these streams": sum(stream.later for stream in self.streams),
            "sagas": kinds.count("saga"),
            "submissions": kinds.count("submission"),
            "snapshots": sum(stream.snapshot > 0 for stream in self.streams),
            "projections": len(self.projections),
            "rows": sum(len(keys) for one in self.projections for keys in one.rows.values()),
            "reactions carried out": self._past("reaction"),
            "events published": self._past("outlet"),
            "events read by subscriptions": self._past("subscription"),
            "events published to services": self._past("publisher"),
            "events of other services": sum(one.events for one in self.streams if one.kind == "inbox"),
            "other services touched": len({one.name for one in services if one.counts}),
            "services without a full answer": len({one.name for one in services if one.problem}),
        }

    def _past(self, kind: str) -> int:
        return sum(follower.handled for follower in self.followers if follower.kind == kind)

    def tree(self, lines_max: int = 1_000) -> Iterator[str]:
        """Yield the events as indented lines, each below its cause, `lines_max` lines at most."""
        below: dict[str, list[TouchedEvent]] = {}
        for event in self.events:
            below.setdefault(event.cause, []).append(event)
        waiting = [(0, event) for event in reversed(below.get("", []))]
        for _ in range(lines_max):
            if not waiting:
                return
            depth, event = waiting.pop()
            yield f"{'  ' * depth}{event.type} {event.id} at {event.position}"
            waiting += [(depth + 1, one) for one in reversed(below.get(event.id, []))]
        if waiting:
            yield f"… and {counted(len(self.events) - lines_max, 'event')} more"

    def as_json(self) -> bytes:
        """Return the report as JSON, with the counts."""
        return msgspec.json.format(msgspec.json.encode({"counts": self.counts(), **msgspec.to_builtins(self)}))
