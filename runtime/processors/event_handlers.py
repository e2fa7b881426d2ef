"""Handlers of events: `@on` in projections and sagas, and the annotations of their parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

import msgspec

from actorium.actors.annotations import alternatives, hints_of, is_proper_subclass, shown
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, RecordedEvent

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
_HANDLES = "__actorium_on__"


Correlate = str | Callable[[Any], str | None] | None
"""How to find the saga for an event: the name of an event field, or a function of the recorded event."""


@overload
def on(method: F, /) -> F: ...
@overload
def on(*, correlate: Correlate) -> Callable[[F], F]: ...
def on(method: Any = None, /, *, correlate: Correlate = None) -> Any:
    """Mark an event handler; the annotation of its first parameter gives the event type, or several types (`A | B`).

    The handler also gets events of subclasses that the runtime knows, unless a more specific handler exists. Further
    parameters are filled by annotation: `RecordedEvent` is the event as recorded; in a projection, `Transaction`
    records its statements.

    correlate: in a saga, how to find the saga for the event: an event field, or a function of the recorded event.
    """

    def marked(function: F) -> F:
        if not inspect.isfunction(function):
            raise ConfigurationError(f"@on goes on a method, not on {function!r}")
        setattr(function, _HANDLES, (correlate,))
        return function

    return marked if method is None else marked(method)


def correlation_of(method: object) -> Correlate:
    """Return the `correlate=` argument of `@on`."""
    correlate: Correlate = getattr(method, _HANDLES)[0]
    return correlate


def marked_handlers(owner: type) -> Iterable[Callable[..., Any]]:
    """Yield the `@on` methods of a class and its bases; an overriding method replaces the overridden one."""
    methods: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        methods.update(base.__dict__)
    for value in methods.values():
        if inspect.isfunction(value) and hasattr(value, _HANDLES):
            yield value


class EventHandler(msgspec.Struct, frozen=True):
    """A method that handles events, and the types of its further parameters, in order."""

    method: Callable[..., Any]
    event_classes: tuple[type[Event], ...]
    extras: tuple[type, ...]


def read_handler(
    method: Callable[..., Any], name: str, names: Mapping[str, Any], *, extras: Sequence[type], skip_self: bool = True
) -> EventHandler:
    """Return the handler that a method's annotations describe; `extras` are the types of parameters it may have."""
    hints = hints_of(method, name, names)
    parameters = list(inspect.signature(method).parameters.values())[1 if skip_self else 0 :]
    if not parameters or parameters[0].name not in hints:
        raise ConfigurationError(f"{name}: annotate its first parameter with the type of event that it handles")
    classes = alternatives(hints[parameters[0].name])
    for event_class in classes:
        if not is_proper_subclass(event_class, Event):
            raise ConfigurationError(f"{name} handles {shown(event_class)}, which is not an Event")
    taken: list[Any] = []
    for parameter in parameters[1:]:
        kind = hints.get(parameter.name)
        kind = getattr(kind, "__origin__", kind)
        if kind not in extras:
            allowed = ", ".join(extra.__name__ for extra in extras)
            raise ConfigurationError(
                f"{name}: the parameter {parameter.name!r} is annotated {shown(kind)}; after the event, the handler "
                f"may take {allowed}"
            )
        taken.append(kind)
    return EventHandler(method, tuple(classes), tuple(taken))


def by_event_class(owner: str, handlers: Iterable[EventHandler]) -> dict[type[Event], EventHandler]:
    """Return the handlers by event class; raise ConfigurationError if two handle the same class."""
    table: dict[type[Event], EventHandler] = {}
    for handler in handlers:
        for event_class in handler.event_classes:
            other = table.setdefault(event_class, handler)
            if other is not handler:
                raise ConfigurationError(
                    f"{owner}.{other.method.__name__} and {owner}.{handler.method.__name__} both handle "
                    f"{event_class.__name__}: keep one"
                )
    return table


def nearest(table: Mapping[type[Event], T], event_class: type[Event]) -> T | None:
    """Return the entry of an event class or of its nearest base that has one; None if there is none."""
    for base in event_class.__mro__:
        found = table.get(base)
        if found is not None:
            return found
    return None


def arguments(handler: EventHandler, recorded: RecordedEvent[Event], given: Mapping[type, Any]) -> tuple[Any, ...]:
    """Return the arguments for one call: the event, and the values that the handler's annotations request."""
    extras = handler.extras
    if not extras:
        return (recorded.event,)
    return (recorded.event, *[recorded if kind is RecordedEvent else given[kind] for kind in extras])
