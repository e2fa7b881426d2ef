"""`Catalog`: the classes and functions that a runtime was given, sorted by kind and checked for conflicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, command_type_of
from actorium.correction_case import CorrectionCase
from actorium.operators import OperatorStream
from actorium.personal.forgetting import ForgottenSubject
from actorium.runtime.processors.outlet import Outlet
from actorium.runtime.processors.reactions import Reaction, reaction_of
from actorium.runtime.projections.projection import Projection
from actorium.runtime.services.events.inbox import inbox_stream_of
from actorium.runtime.services.service import RemoteService, Service
from actorium.runtime.services.voided import VoidedCommand
from actorium.sagas.model.events import SAGA_EVENTS
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.stream import SagaStream, saga_stream_of
from actorium.sagas.model.submissions import Submission
from actorium.sagas.schedules.schedule import Schedule
from actorium.sagas.schedules.stream import ScheduleStream
from actorium.store.codec import EventCodec
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, event_type_of
from actorium.store.names import NAME_BYTES_MAX, is_storable_name
from actorium.store.personal.fields import holds_personal, subject_reader

Part = type[Aggregate] | type[Projection] | type[Saga] | Outlet | RemoteService | Schedule | Callable[..., Any]
"""A part of a runtime: a class of aggregates, projections or sagas, a `@react` function, an outlet, another
service, or a schedule."""


class Catalog:
    """The parts of a runtime, by kind.

    aggregates, projections, sagas: the classes.
    reactions: the `@react` functions.
    outlets: the outlets.
    remotes: the other services.
    inbox_streams: the class of actors that keeps the events of each other service.
    schedules: the schedules.
    saga_streams: the class of actors that keeps each saga class.
    own_aggregates: the runtime's own classes of actors; users do not send their commands.
    events: the event classes that the parts decide or handle.
    codec: reads and writes these, and the runtime's own events.
    personal: the event and command classes that hold personal data, each with the function that gives its subject;
        None: the subject is the aggregate.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.aggregates: list[type[Aggregate]] = []
        self.projections: list[type[Projection]] = []
        self.reactions: list[Reaction] = []
        self.outlets: list[Outlet] = []
        self.remotes: list[RemoteService] = []
        self.schedules: list[Schedule] = []
        self.saga_streams: dict[type[Saga], type[SagaStream]] = {}
        self._names: dict[tuple[str, str], object] = {}
        self._commands: dict[type[Command], type[Aggregate] | RemoteService] = {}
        events: dict[type[Event], None] = {}
        for index, part in enumerate(parts):
            if any(part is other for other in parts[:index]):
                raise ConfigurationError(f"{_shown(part)} is passed twice: pass each part to a runtime once")
            events.update(dict.fromkeys(self._add(part)))
        if not self.aggregates:
            raise ConfigurationError("a runtime needs at least one aggregate class: Runtime([Account], store=…)")
        self.events: Sequence[type[Event]] = [*events]
        # The events of sagas' own streams are always included: without a registered saga, the agenda would skip them.
        events.update(dict.fromkeys(SAGA_EVENTS))
        self.inbox_streams = {remote: inbox_stream_of(remote) for remote in self.remotes if remote.events}
        own: list[type[Aggregate]] = [
            Submission,
            OperatorStream,
            VoidedCommand,
            CorrectionCase,
            ScheduleStream,
            ForgottenSubject,
        ]
        self.own_aggregates = [*own, *self.inbox_streams.values(), *self.saga_streams.values()]
        for aggregate in self.own_aggregates:
            self._name("streams", aggregate.__definition__.stream_type, aggregate, "another name")
            events.update(dict.fromkeys(aggregate.__definition__.evolvers))
        for event in self.events:
            _require_storable(event_type_of(event), event)
        self._require_emitters()
        self._require_handlers()
        self.codec = EventCodec(events)
        commands = (command for aggregate in self.aggregates for command in aggregate.__definition__.handlers)
        self.personal = {one: subject_reader(one) for one in (*events, *commands) if holds_personal(one)}

    @property
    def sagas(self) -> tuple[type[Saga], ...]:
        """The saga classes."""
        return tuple(self.saga_streams)

    def require_accepted(self, service: Service | None) -> None:
        """Raise ConfigurationError unless this is a service whose commands the aggregates handle."""
        if service is not None and not isinstance(service, Service):
            raise ConfigurationError(
                f"Runtime(service={service!r}): must be a Service, such as Service('orders', bus=…)"
            )
        for command in service.accepts if service is not None else ():
            if not isinstance(self._commands.get(command), type):
                raise ConfigurationError(
                    f"{service!r} accepts {command.__name__}, which no aggregate of this runtime handles: pass its "
                    "aggregate to Runtime([…]), or leave it out of accepts"
                )

    def _add(self, part: object) -> Iterable[type[Event]]:
        """Add a part to its kind; return the events that it decides or handles."""
        for kind in _KINDS:
            known = kind.recognised(part)
            if known is not None:
                return kind.add(self, known)
        raise ConfigurationError(
            f"{part!r} is not an Aggregate, Projection or Saga class, a @react function, an Outlet, a RemoteService or "
            "a Schedule: Runtime takes classes, not instances"
        )

    def _add_aggregate(self, aggregate: type[Aggregate]) -> Iterable[type[Event]]:
        definition = aggregate.__definition__
        definition.require_defaults()
        self._name("streams", definition.stream_type, aggregate, 'its own stream_type = "…"')
        for command in definition.handlers:
            self._add_command(command, aggregate)
        self.aggregates.append(aggregate)
        return definition.evolvers

    def _add_command(self, command: type[Command], holder: type[Aggregate] | RemoteService) -> None:
        other = self._commands.setdefault(command, holder)
        if other is not holder:
            raise ConfigurationError(
                f"{_shown(other)} and {_shown(holder)} both handle {command.__name__}: a command has one handler"
            )
        self._name_command(command)

    def _add_remote(self, remote: RemoteService) -> Iterable[type[Event]]:
        if any(remote.name == other.name for other in self.remotes):
            raise ConfigurationError(f"the service {remote.name!r} is passed twice: put what is used of it in one")
        for command in remote.commands.values():
            self._add_command(command, remote)
        self.remotes.append(remote)
        return remote.events.values()

    def _add_projection(self, projection: type[Projection]) -> Iterable[type[Event]]:
        definition = projection.__definition__
        definition.require_state()
        # SQLite's table names are case-insensitive.
        self._name("projections", definition.name.lower(), projection, 'its own projection_name = "…"')
        self.projections.append(projection)
        return definition.handlers

    def _add_reaction(self, reaction: Reaction) -> Iterable[type[Event]]:
        self._name("reactions", reaction.name, reaction.handler.method, 'its own name: @react(…, name="…")')
        self.reactions.append(reaction)
        return reaction.handler.event_classes

    def _add_saga(self, saga: type[Saga]) -> Iterable[type[Event]]:
        for step in saga.__definition__.steps:
            _require_storable(step, saga)
        self.saga_streams[saga] = saga_stream_of(saga.__definition__)
        return saga.__definition__.event_classes

    def _add_outlet(self, outlet: Outlet) -> Iterable[type[Event]]:
        if any(outlet.name == other.name for other in self.outlets):
            raise ConfigurationError(f"two outlets of this runtime have the name {outlet.name!r}: rename one")
        _require_storable(outlet.name, outlet)
        self.outlets.append(outlet)
        return outlet.types

    def _add_schedule(self, schedule: Schedule) -> Iterable[type[Event]]:
        self._name("schedules", schedule.name, schedule, "another name")
        self.schedules.append(schedule)
        return ()

    def _require_emitters(self) -> None:
        """Reject a saga that follows an event which nothing here emits: it would wait forever."""
        emitted = {event for aggregate in self.aggregates for event in aggregate.__definition__.evolvers}
        emitted.update(event for remote in self.remotes for event in remote.events.values())
        for saga in self.saga_streams:
            for event in sorted(saga.__definition__.event_classes, key=lambda one: one.__name__):
                if any(issubclass(one, event) for one in emitted):
                    continue
                raise ConfigurationError(
                    f"{saga.__definition__.reader_of(event)} follows {event.__name__}, which no aggregate of this "
                    "runtime emits: add the aggregate that emits it to Runtime([…])"
                )

    def _require_handlers(self) -> None:
        """Reject a saga with a step whose command nothing here handles: each such saga would fail at that step."""
        for saga in self.saga_streams:
            for command, name in saga.__definition__.issued.items():
                is_handled = ("commands", command_type_of(command)) in self._names  # sagas look it up by its name
                if not is_handled and not any(issubclass(one, command) for one in self._commands):
                    raise ConfigurationError(
                        f"{name} returns {command.__name__}, which no aggregate of this runtime handles: add the "
                        "aggregate, or the RemoteService that takes this command, to Runtime([…])"
                    )

    def _name_command(self, command: type[Command]) -> None:
        """Check that no two commands share a stored name: sagas and submissions look up the class by it."""
        name = command_type_of(command)
        _require_storable(name, command)
        other = self._names.setdefault(("commands", name), command)
        if other is not command:
            raise ConfigurationError(
                f"{_shown(other)} and {_shown(command)} are both stored as {name!r}: give one of them its own "
                'command_type = "…"'
            )

    def _name(self, what: str, name: str, part: object, remedy: str) -> None:
        """Check that no two parts keep the same kind of data under the same name."""
        _require_storable(name, part)
        other = self._names.setdefault((what, name), part)
        if other is not part:
            raise ConfigurationError(
                f"{_shown(other)} and {_shown(part)} both keep {what} under the name {name!r}: give one of "
                f"them {remedy}"
            )


class _Kind(NamedTuple):
    """A kind of part: how to recognise one (None for others), and how a catalog adds it."""

    recognised: Callable[[object], Any]
    add: Callable[[Catalog, Any], Iterable[type[Event]]]


def _subclass_of(base: type) -> Callable[[object], Any]:
    def recognised(part: object) -> Any:
        return part if isinstance(part, type) and issubclass(part, base) and part is not base else None

    return recognised


_KINDS = (
    _Kind(_subclass_of(Saga), Catalog._add_saga),
    _Kind(_subclass_of(Projection), Catalog._add_projection),
    _Kind(_subclass_of(Aggregate), Catalog._add_aggregate),
    _Kind(lambda part: part if isinstance(part, Outlet) else None, Catalog._add_outlet),
    _Kind(lambda part: part if isinstance(part, RemoteService) else None, Catalog._add_remote),
    _Kind(lambda part: part if isinstance(part, Schedule) else None, Catalog._add_schedule),
    _Kind(reaction_of, Catalog._add_reaction),
)


def _require_storable(name: str, part: object) -> None:
    if not is_storable_name(name):
        raise ConfigurationError(
            f"{_shown(part)} is stored under the name {name!r:.100}, which must have at most {NAME_BYTES_MAX} bytes "
            "and no NUL"
        )


def _shown(part: object) -> str:
    return str(getattr(part, "__qualname__", part))
