"""`Deployment`: reads what is around an application: nodes, services, outlets, inboxes and schedules."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby

from actorium.actors.commands import command_type_of
from actorium.actors.errors import NotFound
from actorium.console.api.deployment import (
    ChannelsView,
    ChannelView,
    GuestView,
    NodesView,
    NodeView,
    PeerView,
    ScheduleRow,
    SchedulesView,
    ServicesView,
    ShardsView,
)
from actorium.console.api.queries import EventsQuery, HeldQuery
from actorium.console.api.views import EventPage
from actorium.console.log_view import LogView
from actorium.console.runtime_view import RuntimeView, kind_of
from actorium.runtime.processors.outlet import Outlet
from actorium.runtime.processors.reactions import reaction_of
from actorium.runtime.services.service import RemoteService, Service
from actorium.runtime.services.statistics import PeerStatistics
from actorium.sagas.schedules.schedule import Schedule
from actorium.store.event_store import EventStore
from actorium.store.events import Event, event_type_of
from actorium.store.shared import ClusterStore, Member, Placement

_NO_SERVICES = ServicesView("", "", False, [], [], 0, 0, [], [], "")


class Deployment:
    """Reads what is around an application."""

    def __init__(self, store: EventStore, view: RuntimeView, log: LogView) -> None:
        self._store = store
        self._view = view
        self._log = log

    async def nodes(self) -> NodesView:
        """Return the nodes of a cluster and what they own, as the log says."""
        if not isinstance(self._store, ClusterStore):
            return NodesView([], [])
        members, placement = await self._store.cluster_state()
        names = {one.number: one.name for one in members.nodes}
        owners = [names.get(owner, "") for owner in placement.shards]
        runs = [(name, [*numbers]) for name, numbers in groupby(range(len(owners)), key=owners.__getitem__)]
        shards = [ShardsView(run[0], run[-1], name) for name, run in runs]
        return NodesView([_node(one, placement) for one in members.nodes], shards)

    async def services(self) -> ServicesView:
        """Return what the application offers to other services and uses of them, and the state of the connections."""
        running = self._view.running
        statistics, offered = running.statistics().service, running.service
        if statistics is None:
            return _NO_SERVICES
        remotes = {remote.name: remote for remote in running.catalog.remotes}
        return ServicesView(
            statistics.name,
            statistics.bus,
            statistics.is_connected,
            sorted(command_type_of(one) for one in offered.accepts) if offered is not None else [],
            sorted(event_type_of(one) for one in offered.publishes) if offered is not None else [],
            statistics.asked,
            statistics.refused,
            [_peer(one, remotes[one.name]) for one in statistics.peers],
            [GuestView(one.name, one.in_flight, [*one.problems]) for one in statistics.guests],
            statistics.problem,
        )

    async def channels(self) -> ChannelsView:
        """Return the ways of events out and in: outlets, reactions that hold events, publishers and inboxes."""
        return ChannelsView([*self._channels()])

    def _channels(self) -> Iterator[ChannelView]:
        for handler, processor in self._view.running.processors.items():
            hold_s, classes = _hands_out(handler)
            kind = kind_of(handler)
            if kind not in ("outlet", "publisher", "inbox") and not hold_s:
                continue
            now = processor.statistics()
            yield ChannelView(
                now.name,
                processor.plain_name,
                kind,
                now.state,
                now.lag_events,
                now.lag_s,
                now.handled,
                now.parked,
                hold_s,
                self._types_of(classes),
                now.error,
            )

    def _types_of(self, classes: Collection[type[Event]]) -> list[str]:
        known = self._view.running.catalog.events
        return sorted(event_type_of(one) for one in known if issubclass(one, tuple(classes)))

    async def held(self, query: HeldQuery) -> EventPage:
        """Return the events that a processor has not handed out, the oldest first; they can be recalled."""
        for handler, processor in self._view.running.processors.items():
            hold_s, classes = _hands_out(handler)
            if processor.name == query.processor and hold_s:
                types, after = self._types_of(classes), max(query.after, processor.position)
                return await self._log.events(EventsQuery(types=tuple(types), after=after, limit=query.limit))
        raise NotFound(f"this application has no processor {query.processor!r} that holds events: give it hold_s")

    async def schedules(self) -> SchedulesView:
        """Return the schedules."""
        running = self._view.running
        plans = {one.name: one for one in running.catalog.schedules}
        return SchedulesView(
            [
                ScheduleRow(
                    one.name,
                    _every(plans[one.name]),
                    str(plans[one.name].zone),
                    one.next_due,
                    one.last_fired,
                    one.paused,
                    one.reason,
                    one.error,
                )
                async for one in running.schedules.list()
            ]
        )


def _hands_out(handler: object) -> tuple[float, Collection[type[Event]]]:
    """Return for how many seconds a handler's events are held, and their classes."""
    if isinstance(handler, Outlet):
        return handler.hold_s, handler.types
    if isinstance(handler, RemoteService):
        return 0.0, handler.events.values()
    if isinstance(handler, Service):
        return 0.0, handler.publishes
    reaction = reaction_of(handler)
    return (0.0, ()) if reaction is None else (reaction.hold_s, reaction.handler.event_classes)


def _node(one: Member, placement: Placement) -> NodeView:
    state = "starting or leaving" if one.is_passive else "serving"
    if not one.has_session:
        state = "lost"
    if not one.has_lease:
        state = "expired"
    owned = placement.shards.count(one.number)
    followers = sorted(name for name, owner in placement.followers.items() if owner == one.number)
    return NodeView(one.name, one.number, state, one.code, owned, followers)


def _peer(one: PeerStatistics, remote: RemoteService) -> PeerView:
    return PeerView(
        one.name,
        one.is_known,
        one.circuit,
        one.unanswered,
        one.waiting,
        one.refused,
        sorted(remote.commands),
        sorted(remote.events),
        one.problems,
    )


def _every(schedule: Schedule) -> str:
    return schedule.cron if schedule.cron is not None else f"every {schedule.every_s:g} s"
