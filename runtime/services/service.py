"""`Service` and `RemoteService`: what a runtime offers to other services, and what it uses of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from math import isfinite
from typing import Literal, TypeVar

from actorium.actors.annotations import is_proper_subclass, shown
from actorium.actors.commands import Command, command_type_of
from actorium.runtime.bus.bus import Bus
from actorium.runtime.bus.urls import open_bus
from actorium.runtime.messages.window import ASKS_MAX
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, event_type_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IN_FLIGHT_MAX = 4_096
_ALL = ""
L = TypeVar("L")


def _is_number(value: object, kind: type[int] | type[float]) -> bool:
    """Return whether a limit is a finite number, and a whole one if `kind` is int."""
    kinds = int if kind is int else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and isfinite(value)


class Service:
    """Makes a runtime reachable for other services: `Runtime([…], service=Service("orders", bus="nats://…"), …)`.

    name: the name by which others know it: up to 64 letters, digits, `-` and `_`.
    bus: a URL (`nats://host:4222`, `tls://host`, `memory://NAME`) or a Bus.
    accepts: the commands that others may send; with a mapping, each command from the services named only.
    publishes: the events that others may follow.
    rate_limit: how many commands each other service may send per second; None for no limit. With a mapping, a rate for
        each service named, and no limit for the others.
    max_in_flight: how many commands of each other service are carried out at the same time. With a mapping, its own
        number for each service named, and 4,096 for the others.

    Raises ConfigurationError for an invalid argument.
    """

    def __init__(
        self,
        name: str,
        *,
        bus: str | Bus,
        accepts: Collection[type[Command]] | Mapping[type[Command], Collection[str]] = (),
        publishes: Collection[type[Event]] = (),
        rate_limit: float | Mapping[str, float] | None = None,
        max_in_flight: int | Mapping[str, int] = _IN_FLIGHT_MAX,
    ) -> None:
        self.name = checked_name(name, f"Service({name!r})")
        self.bus = open_bus(bus)
        senders = accepts if isinstance(accepts, Mapping) else dict.fromkeys(accepts)
        self.accepts: dict[type[Command], frozenset[str] | None] = {}
        for command, names in senders.items():
            if not is_proper_subclass(command, Command):
                raise ConfigurationError(f"Service({name!r}): accepts={shown(command)}, which is not a Command")
            self.accepts[command] = _checked_names(name, command, names)
        for event in publishes:
            if not is_proper_subclass(event, Event):
                raise ConfigurationError(f"Service({name!r}): publishes={shown(event)}, which is not an Event")
        self.publishes = frozenset(publishes)
        self._rate_limits = _by_service(name, "rate_limit", rate_limit)
        for one in self._rate_limits.values():
            if one is not None and not (_is_number(one, float) and one > 0):
                raise ConfigurationError(f"Service({name!r}, rate_limit={rate_limit!r}): must be above 0, or None")
        self._in_flight_limits = _by_service(name, "max_in_flight", max_in_flight)
        if not all(_is_number(one, int) and one >= 1 for one in self._in_flight_limits.values()):
            raise ConfigurationError(f"Service({name!r}, max_in_flight={max_in_flight!r}): must be 1 or more")

    def rate_limit_of(self, service: str) -> float | None:
        """Return how many commands another service may send per second; None for no limit."""
        return self._rate_limits.get(service, self._rate_limits.get(_ALL))

    def max_in_flight_of(self, service: str) -> int:
        """Return how many commands of another service are carried out at the same time."""
        return self._in_flight_limits.get(service) or self._in_flight_limits.get(_ALL, _IN_FLIGHT_MAX)

    def __repr__(self) -> str:
        return f"<Service {self.name}>"


class RemoteService:
    """Another service, as a part of a runtime: its commands can be sent, and its events can be handled, as at home.

    name: the name of its `Service`.
    commands: the commands that are sent to it, by `send`, by `submit` and by steps of sagas.
    events: its events that projections, reactions and sagas of this runtime handle.
    start: where to begin with its events: at the "beginning", or "now", after those that exist.
    max_unanswered: how many commands to it may be without an answer; more wait for room, then raise Overloaded.

    `runtime.processors[customers]` is the processor that takes its events in. Raises ConfigurationError for an invalid
    argument.
    """

    def __init__(
        self,
        name: str,
        *,
        commands: Collection[type[Command]] = (),
        events: Collection[type[Event]] = (),
        start: Literal["beginning", "now"] = "beginning",
        max_unanswered: int = ASKS_MAX,
    ) -> None:
        self.name = checked_name(name, f"RemoteService({name!r})")
        for command in commands:
            if not is_proper_subclass(command, Command):
                raise ConfigurationError(f"RemoteService({name!r}): {shown(command)} is not a Command")
        for event in events:
            if not is_proper_subclass(event, Event):
                raise ConfigurationError(f"RemoteService({name!r}): {shown(event)} is not an Event")
        if start not in ("beginning", "now"):
            raise ConfigurationError(f'RemoteService({name!r}, start={start!r}): must be "beginning" or "now"')
        if not (_is_number(max_unanswered, int) and max_unanswered >= 1):
            raise ConfigurationError(f"RemoteService({name!r}, max_unanswered={max_unanswered!r}): must be 1 or more")
        self.max_unanswered = max_unanswered
        self.commands = {command_type_of(command): command for command in commands}
        self.events = {event_type_of(event): event for event in events}
        self.start = start

    def __repr__(self) -> str:
        return f"<RemoteService {self.name}>"


def is_service_name(name: str) -> bool:
    """Return whether a text can be the name of a service."""
    return _NAME.fullmatch(name) is not None


def checked_name(name: object, what: str) -> str:
    """Return a valid name of a service; raise ConfigurationError for anything else."""
    if isinstance(name, str) and is_service_name(name):
        return name
    raise ConfigurationError(f"{what}: a service's name has 1 to 64 letters, digits, - and _")


def _checked_names(service: str, command: type[Command], names: Collection[str] | None) -> frozenset[str] | None:
    if names is None:
        return None
    if isinstance(names, str):
        raise ConfigurationError(
            f"Service({service!r}): accepts={{{command.__name__}: {names!r}}}: give a list of services"
        )
    return frozenset(checked_name(one, f"Service({service!r}): accepts={{{command.__name__}: …}}") for one in names)


def _by_service(service: str, option: str, value: L | Mapping[str, L]) -> Mapping[str, L]:
    """Return a limit by the name of the service that it applies to; `_ALL` for all others."""
    if not isinstance(value, Mapping):
        return {_ALL: value}
    return {checked_name(one, f"Service({service!r}): {option}={{…}}"): limit for one, limit in value.items()}
