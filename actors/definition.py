"""`AggregateDefinition`: the handlers of an aggregate class, read and checked once when the class is defined."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from actorium.actors.annotations import alternatives, hints_of, is_proper_subclass, leaves, shown
from actorium.actors.commands import Command, CommandCodec, CommandHandler
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, Metadata, RecordedEvent
from actorium.store.shapes.storable import decoders_of

A = TypeVar("A", bound=msgspec.Struct)
F = TypeVar("F", bound=Callable[..., Any])
_ROLE = "__actorium_role__"
_RESERVED = frozenset({"id"})


class Role(Enum):
    """The role of a decorated method of an aggregate."""

    CREATE = "create"
    DECIDE = "decide"
    EVOLVE = "evolve"
    CORRECT = "correct"


def mark(method: F, role: Role) -> F:
    """Give a method its role; its class reads the role when the class is defined."""
    if not inspect.isfunction(method):
        raise ConfigurationError(f"@{role.value} goes on a method, not on {method!r}")
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        raise ConfigurationError(
            f"{method.__qualname__} is async: @{role.value} is pure and cannot await; move the awaiting to the "
            "caller, a projection or a saga"
        )
    setattr(method, _ROLE, role)
    return method


class Corrector(NamedTuple):
    """A `@correct` method, and whether it takes the event that should have been recorded."""

    method: Callable[..., Any]
    wants_right: bool


class AggregateDefinition(Generic[A]):
    """The handlers of one aggregate class, keyed by the type they handle.

    correctors: the `@correct` methods by the class of the wrong event.
    """

    __slots__ = ("aggregate_class", "correctors", "evolvers", "handlers", "has_create", "stream_type")

    def __init__(self, aggregate_class: type[A], names: Mapping[str, Any]) -> None:
        self.aggregate_class = aggregate_class
        own = aggregate_class.__dict__.get("stream_type")
        self.stream_type: str = own if isinstance(own, str) and own else aggregate_class.__name__
        self.handlers: dict[type[Command], CommandHandler] = {}
        self.evolvers: dict[type[Event], Callable[..., Any]] = {}
        self.correctors: dict[type[Event], Corrector] = {}
        for method, role in _marked(aggregate_class):
            _Reader(aggregate_class, method, role, names).read_into(self)
        self.has_create = any(handler.creates for handler in self.handlers.values())
        self._check_every_event_evolves()

    def _check_every_event_evolves(self) -> None:
        for handler in self.handlers.values():
            for event_class in handler.returns:
                if event_class not in self.evolvers:
                    raise ConfigurationError(
                        f"{handler.method.__qualname__} returns {event_class.__name__}, which has no @evolve method: "
                        f"add one to {self.aggregate_class.__name__} (its body may be `pass`)"
                    )

    def require_defaults(self) -> None:
        """Raise ConfigurationError for a field without a default, or with a mutable default that all instances share.

        A struct knows its defaults only when its class is complete, so a runtime calls this when it is created.
        """
        names, defaults = self.aggregate_class.__struct_fields__, self.aggregate_class.__struct_defaults__
        without = names[: len(names) - len(defaults)]
        for name, default in [(name, msgspec.NODEFAULT) for name in without] + list(
            zip(names[len(without) :], defaults, strict=True)
        ):
            field = f"{self.aggregate_class.__name__}.{name}"
            if default is msgspec.NODEFAULT and name not in _RESERVED:
                raise ConfigurationError(
                    f"{field} has no default: an aggregate starts empty, with only its id, so give the field a default "
                    f"(`{name}: … = …`)"
                )
            if type(default).__hash__ is None:
                raise ConfigurationError(
                    f"{field} has a mutable default that all instances would share: give it "
                    f"`msgspec.field(default_factory={type(default).__name__})`"
                )


def _marked(aggregate_class: type) -> Iterable[tuple[Callable[..., Any], Role]]:
    """Yield the decorated methods of a class and its bases; an override replaces the method it overrides."""
    methods: dict[str, Any] = {}
    for base in reversed(aggregate_class.__mro__):
        methods.update(base.__dict__)
    for value in methods.values():
        role = getattr(value, _ROLE, None)
        if isinstance(role, Role):
            yield value, role


class _Reader:
    """Reads the annotations of one decorated method into a definition."""

    def __init__(self, aggregate_class: type, method: Callable[..., Any], role: Role, names: Mapping[str, Any]) -> None:
        self._class = aggregate_class
        self._method = method
        self._role = role
        self._name = f"{aggregate_class.__name__}.{method.__name__}"
        self._hints = hints_of(method, self._name, names)

    def read_into(self, definition: AggregateDefinition[Any]) -> None:
        first, second = self._parameters()
        if self._role is Role.EVOLVE:
            self._read_evolver(definition, first, second)
        elif self._role is Role.CORRECT:
            self._read_corrector(definition, first)
        else:
            self._read_handler(definition, first, second)

    def _parameters(self) -> tuple[Any, Any]:
        parameters = list(inspect.signature(self._method).parameters.values())[1:]
        wanted = "command" if self._role in (Role.CREATE, Role.DECIDE) else "event"
        if not parameters or len(parameters) > 2:
            more = "the right event" if self._role is Role.CORRECT else "Metadata"
            raise ConfigurationError(
                f"{self._name} takes {len(parameters)} parameters after self: @{self._role.value} must take the "
                f"{wanted}, and may take {more} after it"
            )
        hints = [self._hints.get(parameter.name) for parameter in parameters]
        if hints[0] is None:
            raise ConfigurationError(
                f"{self._name}: the parameter {parameters[0].name!r} has no annotation: write the type of the {wanted} "
                "that it handles"
            )
        return hints[0], hints[1] if len(hints) > 1 else None

    def _read_evolver(self, definition: AggregateDefinition[Any], first: Any, second: Any) -> None:
        if second is not None or len(inspect.signature(self._method).parameters) > 2:
            taken = f"{RecordedEvent.__name__} is for projections" if second is RecordedEvent else "it takes one event"
            raise ConfigurationError(
                f"{self._name}: @evolve must depend on the event alone ({taken}): put the data that it needs "
                "into the event"
            )
        for event_class in alternatives(first):
            if not is_proper_subclass(event_class, Event):
                raise ConfigurationError(f"{self._name} evolves {shown(event_class)}, which is not an Event")
            decoders_of(event_class)
            if event_class in definition.evolvers:
                raise ConfigurationError(
                    f"{self._name} and {self._class.__name__}.{definition.evolvers[event_class].__name__} both evolve "
                    f"{event_class.__name__}: keep one"
                )
            definition.evolvers[event_class] = self._method

    def _read_corrector(self, definition: AggregateDefinition[Any], first: Any) -> None:
        returned = [part for part in leaves(self._hints.get("return")) if part is not type(None)]
        for part in returned:
            if not is_proper_subclass(part, Event) and not is_proper_subclass(part, Command):
                raise ConfigurationError(
                    f"{self._name} is annotated to return {shown(part)}: @correct must return events, a command of "
                    "the same aggregate, or None"
                )
        wants_right = len(inspect.signature(self._method).parameters) > 2
        for event_class in alternatives(first):
            if not is_proper_subclass(event_class, Event):
                raise ConfigurationError(f"{self._name} corrects {shown(event_class)}, which is not an Event")
            if event_class in definition.correctors:
                raise ConfigurationError(f"{self._name}: another method corrects {event_class.__name__}: keep one")
            definition.correctors[event_class] = Corrector(self._method, wants_right)

    def _read_handler(self, definition: AggregateDefinition[Any], first: Any, second: Any) -> None:
        if second is None and len(inspect.signature(self._method).parameters) > 2:
            raise ConfigurationError(f"{self._name}: the second parameter has no annotation: it must be Metadata")
        if second not in (None, Metadata):
            raise ConfigurationError(
                f"{self._name}: the second parameter is annotated {shown(second)}: it must be Metadata"
            )
        if not is_proper_subclass(first, Command):
            raise ConfigurationError(f"{self._name} handles {shown(first)}, which is not a Command")
        if first in definition.handlers:
            raise ConfigurationError(
                f"{self._name} and {self._class.__name__}.{definition.handlers[first].method.__name__} both handle "
                f"{first.__name__}: a command has one handler"
            )
        creates = self._role is Role.CREATE
        definition.handlers[first] = CommandHandler(
            first,
            self._method,
            creates,
            second is Metadata,
            self._returned_events(),
            CommandCodec(first, definition.stream_type),
        )

    def _returned_events(self) -> tuple[type[Event], ...]:
        if "return" not in self._hints:
            raise ConfigurationError(
                f"{self._name} has no return annotation: declare the events that it returns (`-> Withdrawn`, `-> A | "
                "None`, `-> list[A | B]`)"
            )
        events: list[type[Event]] = []
        for part in leaves(self._hints["return"]):
            if part is type(None) or part is Ellipsis:
                continue
            if not is_proper_subclass(part, Event):
                if is_proper_subclass(typing.get_origin(part), Event):
                    raise ConfigurationError(
                        f"{self._name} returns {shown(part)}[…], a generic event: derive a class from it, such as "
                        f"`class Int{shown(part)}({shown(part)}[int])`, and return that"
                    )
                raise ConfigurationError(
                    f"{self._name} is annotated to return {shown(part)}: it must return an Event, several Events, or "
                    "None"
                )
            events.append(part)
        return tuple(events)
