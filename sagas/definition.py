"""`SagaDefinition`: what a saga class says of itself, read once and checked when the class is defined."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from actorium.actors.annotations import hints_of, is_proper_subclass, shown
from actorium.actors.commands import Command
from actorium.runtime.event_handlers import (
    Correlate,
    EventHandler,
    correlation_of,
    marked_handlers,
    read_handler,
)
from actorium.runtime.reactions import IdempotencyKey
from actorium.sagas.steps import Step, handles_rejection, starts_of
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, RecordedEvent

if TYPE_CHECKING:
    from actorium.sagas.saga import Saga

_OWN_FIELDS = frozenset({"id", "reason", "ended"})


class SagaHandler(msgspec.Struct, frozen=True):
    """A `@starts` or `@on` method: the events it handles, and how they find their saga."""

    handler: EventHandler
    correlate: Correlate
    is_start: bool


class SagaDefinition:
    """The steps and handlers of one saga class."""

    __slots__ = ("handlers", "rejections", "saga_class", "saga_type", "steps", "untils")

    def __init__(self, saga_class: type[Saga], names: Mapping[str, Any]) -> None:
        own = saga_class.__dict__.get("saga_type")
        self.saga_class = saga_class
        self.saga_type: str = own if isinstance(own, str) and own else saga_class.__name__
        self.steps: dict[str, Step] = {step.name: step for step in _steps_of(saga_class)}
        self.handlers: dict[type[Event], SagaHandler] = {}
        self.untils: dict[type[Event], list[Step]] = {}
        self.rejections: dict[type[Command], Callable[..., Any]] = {}
        for method in _methods_of(saga_class):
            self._read(method, names)
        self._check(names)

    @property
    def event_classes(self) -> frozenset[type[Event]]:
        """Every event that this saga follows."""
        return frozenset((*self.handlers, *self.untils))

    def next_step(self, after: str) -> Step | None:
        """Return the step after one (after "": the first), None after the last."""
        steps = list(self.steps.values())
        if not after:
            return steps[0] if steps else None
        index = steps.index(self.steps[after]) + 1
        return steps[index] if index < len(steps) else None

    def can_turn_round(self, at: str) -> bool:
        """Say whether a saga that stands at a step may still be undone: no pivot was passed before it."""
        for step in self.steps.values():
            if step.name == at:
                return True
            if step.pivot:
                return False
        return True

    def _read(self, method: Callable[..., Any], names: Mapping[str, Any]) -> None:
        name = f"{self.saga_class.__name__}.{method.__name__}"
        if inspect.iscoroutinefunction(method):
            raise ConfigurationError(f"{name} is async: only a @step may wait; a handler decides at once")
        starts = starts_of(method)
        if handles_rejection(method):
            command = next(iter(hints_of(method, name, names).values()), None)
            if not is_proper_subclass(command, Command):
                raise ConfigurationError(f"{name}: @on_rejected handles {shown(command)}, which is no Command")
            self.rejections[command] = method  # type: ignore[index]
            return
        handler = read_handler(method, name, names, extras=(RecordedEvent,))
        correlate = starts[0] if starts is not None else correlation_of(method)
        if starts is None and correlate is None:
            raise ConfigurationError(
                f'{name}: how does the event find its saga? Write @on(correlate="field"), the field of the event that '
                "holds the saga's id, or a function of the recorded event"
            )
        for event_class in handler.event_classes:
            _check_field(name, event_class, correlate)
            if event_class in self.handlers:
                other = self.handlers[event_class].handler.method.__name__
                raise ConfigurationError(
                    f"{name} and {self.saga_class.__name__}.{other} both handle {event_class.__name__}: keep one"
                )
            self.handlers[event_class] = SagaHandler(handler, correlate, starts is not None)

    def _check(self, names: Mapping[str, Any]) -> None:
        owner = self.saga_class.__name__
        if not any(handler.is_start for handler in self.handlers.values()):
            raise ConfigurationError(f"{owner} is started by nothing: mark the handler of its first event with @starts")
        steps = list(self.steps.values())
        pivots = [index for index, step in enumerate(steps) if step.pivot]
        if len(pivots) > 1:
            raise ConfigurationError(f"{owner} has {len(pivots)} pivots: a saga has one point of no return")
        # Nothing after the last step can fail, so it need not be undone; the same goes for the pivot and what follows.
        for step in steps[: pivots[0] if pivots else len(steps) - 1]:
            if not step.says_undo:
                raise ConfigurationError(
                    f"{owner}.{step.name} says nothing of its undo, and a later step can fail: add "
                    f"`@{step.name}.undo`, or write @step(undo=None) if it needs none"
                )
        for step in steps:
            self._check_step(owner, step, names)
        for field, annotation in inspect.get_annotations(self.saga_class).items():
            has_default = field in self.saga_class.__dict__ or field in _OWN_FIELDS
            if not has_default and "ClassVar" not in str(annotation):
                raise ConfigurationError(f"{owner}.{field} has no default: a saga begins empty; give the field one")

    def _check_step(self, owner: str, step: Step, names: Mapping[str, Any]) -> None:
        name = f"{owner}.{step.name}"
        parameters = list(inspect.signature(step.method).parameters.values())[1:]
        hints = hints_of(step.method, name, names)
        if step.is_effect:
            if step.until is not None:
                raise ConfigurationError(f"{name} is an effect: it is done when it returns; drop until=")
            kinds = [hints.get(parameter.name) for parameter in parameters]
            if kinds not in ([], [IdempotencyKey]):
                raise ConfigurationError(f"{name}: an async step takes nothing, or one parameter of IdempotencyKey")
        elif parameters:
            raise ConfigurationError(f"{name} takes parameters: a step has only the saga's fields to go by")
        if step.undo_method is not None and inspect.iscoroutinefunction(step.undo_method):
            raise ConfigurationError(f"{name}'s undo is async: it returns the command that undoes the step")
        if step.until is not None:
            if not is_proper_subclass(step.until, Event):
                raise ConfigurationError(f"{name}: until={shown(step.until)} is no Event")
            _check_field(name, step.until, step.correlate)
            self.untils.setdefault(step.until, []).append(step)


def _check_field(name: str, event_class: type[Event], correlate: Correlate) -> None:
    if isinstance(correlate, str) and correlate not in getattr(event_class, "__struct_fields__", ()):
        raise ConfigurationError(f"{name}: correlate={correlate!r}, but {event_class.__name__} has no such field")


def _members(saga_class: type) -> Iterator[Any]:
    members: dict[str, Any] = {}
    for base in reversed(saga_class.__mro__):
        for name, value in base.__dict__.items():
            members.pop(name, None)  # an overriding member takes its own place in the order
            members[name] = value
    yield from members.values()


def _steps_of(saga_class: type) -> Iterator[Step]:
    return (member for member in _members(saga_class) if isinstance(member, Step))


def _methods_of(saga_class: type) -> Iterator[Callable[..., Any]]:
    marked = set(map(id, marked_handlers(saga_class)))
    for member in _members(saga_class):
        if inspect.isfunction(member) and (
            id(member) in marked or starts_of(member) is not None or handles_rejection(member)
        ):
            yield member
