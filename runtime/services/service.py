"""`Service` and `RemoteService`: what a runtime offers to other services, and what it uses of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

from actorium.actors.annotations import is_proper_subclass, shown
from actorium.actors.commands import Command, command_type_of
from actorium.runtime.bus.bus import Bus
from actorium.runtime.bus.urls import open_bus
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, event_type_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IN_FLIGHT_MAX = 4_096


class Service:
    """Makes a runtime reachable for other services: `Runtime([…], service=Service("orders", bus="nats://…"), …)`.

    name: the name by which others know it: up to 64 letters, digits, `-` and `_`.
    bus: a URL (`nats://host:4222`, `tls://host`, `memory://NAME`) or a Bus.
    accepts: the commands that others may send; with a mapping, each command from the services named only.
    publishes: the events that others may follow.
    rate_limit: how many commands each other service may send per second; None for no limit.
    max_in_flight: how many commands of each other service are carried out at the same time.

    Raises ConfigurationError for an invalid argument.
    """

    def __init__(
        self,
        name: str,
        *,
        bus: str | Bus,
        accepts: Collection[type[Command]] | Mapping[type[Command], Collection[str]] = (),
        publishes: Collection[type[Event]] = (),
        rate_limit: float | None = None,
        max_in_flight: int = _IN_FLIGHT_MAX,
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
        if rate_limit is not None and rate_limit <= 0:
            raise ConfigurationError(f"Service({name!r}, rate_limit={rate_limit!r}): must be above 0, or None")
        if max_in_flight < 1:
            raise ConfigurationError(f"Service({name!r}, max_in_flight={max_in_flight!r}): must be 1 or more")
        self.rate_limit = rate_limit
        self.max_in_flight = max_in_flight

    def __repr__(self) -> str:
        return f"<Service {self.name}>"


class RemoteService:
    """Another service, as a part of a runtime: its commands can be sent, and its events can be handled, as at home.

    name: the name of its `Service`.
    commands: the commands that are sent to it, by `send`, by `submit` and by steps of sagas.
    events: its events that projections, reactions and sagas of this runtime handle.
    start: where to begin with its events: at the "beginning", or "now", after those that exist.

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
