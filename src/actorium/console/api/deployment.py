"""What a console answers about what is around an application: nodes, services, outlets, inboxes and schedules."""

from __future__ import annotations

from datetime import datetime

import msgspec


class NodeView(msgspec.Struct, frozen=True):
    """A node of a cluster.

    state: "serving", "starting or leaving", "lost" (its connection is gone) or "expired" (its lease has run out).
    """

    name: str
    number: int
    state: str
    code: str
    shards: int
    followers: list[str]


class ShardsView(msgspec.Struct, frozen=True):
    """A run of shards with one owner; `node` is empty if nobody owns them."""

    first: int
    last: int
    node: str


class NodesView(msgspec.Struct, frozen=True):
    """The nodes of a cluster and what they own; none if the log belongs to one process."""

    nodes: list[NodeView]
    shards: list[ShardsView]


class PeerView(msgspec.Struct, frozen=True):
    """Another service that this one uses, as `PeerStatistics` describes it."""

    name: str
    is_known: bool
    circuit: str
    unanswered: int
    waiting: int
    refused: int
    commands: list[str]
    events: list[str]
    problems: dict[str, str]


class GuestView(msgspec.Struct, frozen=True):
    """Another service that uses this one: its commands here now, and what does not fit."""

    name: str
    in_flight: int
    problems: list[str]


class ServicesView(msgspec.Struct, frozen=True):
    """What this application offers to other services and uses of them; `name` is empty without any.

    asked, refused: commands of other services since the start, and those among them that were not let in.
    problem: another log is on the bus under this name; empty if not.
    """

    name: str
    bus: str
    is_connected: bool
    accepts: list[str]
    publishes: list[str]
    asked: int
    refused: int
    peers: list[PeerView]
    guests: list[GuestView]
    problem: str


class ChannelView(msgspec.Struct, frozen=True):
    """A way of events out of this application, or in.

    kind: "outlet", "reaction", "publisher" (to other services) or "inbox" (from another service).
    hold_s: how many seconds an event waits before it is handed out; until then it can be recalled.
    types: the types of its events.
    """

    processor: str
    name: str
    kind: str
    state: str
    lag_events: int
    lag_s: float
    handled: int
    parked: int
    hold_s: float
    types: list[str]
    error: str


class ChannelsView(msgspec.Struct, frozen=True):
    """The ways of events out and in."""

    channels: list[ChannelView]


class ScheduleRow(msgspec.Struct, frozen=True):
    """A schedule and its progress.

    every: its cron expression, or the seconds between its firings.
    reason: why an operator paused it.
    error: why the last firing submitted nothing.
    """

    name: str
    every: str
    time_zone: str
    next_due: datetime | None
    last_fired: datetime | None
    paused: bool
    reason: str
    error: str


class SchedulesView(msgspec.Struct, frozen=True):
    """The schedules of an application."""

    schedules: list[ScheduleRow]
