"""`SagaDefinition`: the declarations of a saga class, read and checked once, when the class is defined."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from actorium.actors.annotations import hints_of, is_proper_subclass, leaves, shown
from actorium.actors.commands import Command
from actorium.runtime.processors.event_handlers import (
    Correlate,
    EventHandler,
    correlation_of,
    marked_handlers,
    nearest,
    read_handler,
)
from actorium.runtime.processors.reactions import IdempotencyKey
from actorium.sagas.model.events import FREE
from actorium.sagas.model.state import SagaState
from actorium.sagas.model.steps import Step, handles_rejection, starts_of
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event, RecordedEvent

_ALARM_MAX_S = 1e9  # some 30 years


class SagaHandler(msgspec.Struct, frozen=True):
    """A `@starts` or `@on` method: the events it handles, and how to find the saga for each."""

    handler: EventHandler
    correlate: Correlate
    is_start: bool


class SagaDefinition:
    """The steps and handlers of one saga class."""

    __slots__ = (
        "_next",
        "handlers",
        "issued",
        "rejections",
        "saga_class",
        "saga_type",
        "steps",
        "stream_class",
        "untils",
    )

    def __init__(self, saga_class: type[SagaState], names: Mapping[str, Any]) -> None:
        own = saga_class.__dict__.get("saga_type")
        self.saga_class = saga_class
        self.stream_class: type[Any] | None = None  # stored here so that it is freed with the saga's class
        self.saga_type: str = own if isinstance(own, str) and own else saga_class.__name__
        self.steps: dict[str, Step] = {step.name: step for step in _steps_of(saga_class)}
        self._next: dict[str, Step | None] = dict(zip(["", *self.steps], [*self.steps.values(), None], strict=True))
        self.handlers: dict[type[Event], SagaHandler] = {}
        self.untils: dict[type[Event], list[Step]] = {}
        self.rejections: dict[type[Command], Callable[..., Any]] = {}
        self.issued: dict[type[Command], str] = {}  # what steps and undos are annotated to return, and a name of one
        for method in _methods_of(saga_class):
            self._read(method, names)
        self._check(names)

    def handler_of(self, event_class: type[Event]) -> SagaHandler | None:
        """Return the handler of an event class: its own, or that of its nearest base."""
        return nearest(self.handlers, event_class)

    def waiting_for(self, event_class: type[Event]) -> list[Step]:
        """Return the steps that wait for an event class or a base of it."""
        return [step for base in event_class.__mro__ for step in self.untils.get(base, ())]

    @property
    def alarm_after_s(self) -> float | None:
        """How many seconds a saga may run before an operator is told; None for no limit."""
        return self.saga_class.alarm_after_s

    @property
    def event_classes(self) -> frozenset[type[Event]]:
        """Every event that this saga follows, each with its subclasses."""
        return frozenset((*self.handlers, *self.untils))

    def reader_of(self, event_class: type[Event]) -> str:
        """Return the name of the method that handles an event class."""
        known = self.handlers.get(event_class)
        name = known.handler.method.__name__ if known is not None else self.untils[event_class][0].name
        return f"{self.saga_class.__name__}.{name}"

    def today(self, step: str) -> str:
        """Return the current name of a recorded step."""
        return self.saga_class.renamed_steps.get(step, step)

    def next_step(self, after: str) -> Step | None:
        """Return the step after this one, or the first for ""; None after the last."""
        return self._next[after]

    def can_be_undone(self, at: str) -> bool:
        """Return whether a saga at this step may still be undone: no pivot lies before it."""
        for step in self.steps.values():
            if step.name == at:
                return True
            if step.pivot:
                return False
        return True

    def _read(self, method: Callable[..., Any], names: Mapping[str, Any]) -> None:
        name = f"{self.saga_class.__name__}.{method.__name__}"
        if inspect.iscoroutinefunction(method):
            raise ConfigurationError(f"{name} is async: only a @step may be async; make the handler synchronous")
        starts = starts_of(method)
        if handles_rejection(method):
            command = next(iter(hints_of(method, name, names).values()), None)
            if not is_proper_subclass(command, Command):
                raise ConfigurationError(f"{name}: @on_rejected handles {shown(command)}, which is not a Command")
            if len(inspect.signature(method).parameters) > 3:
                raise ConfigurationError(
                    f"{name} has too many parameters: it takes the command and, optionally, the Rejected"
                )
            other_method = self.rejections.setdefault(command, method)  # type: ignore[arg-type]
            if other_method is not method:
                raise ConfigurationError(f"{name} and {other_method.__name__} both handle a rejected {shown(command)}")
            return
        handler = read_handler(method, name, names, extras=(RecordedEvent,))
        correlate = starts[0] if starts is not None else correlation_of(method)
        if starts is None and correlate is None:
            raise ConfigurationError(
                f'{name}: nothing says which saga its event belongs to: write @on(correlate="field"), with the event '
                "field that holds the saga's id, or a function of the recorded event"
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
            raise ConfigurationError(f"{owner} has no @starts method: mark the handler of its first event with @starts")
        steps = list(self.steps.values())
        pivots = [index for index, step in enumerate(steps) if step.pivot]
        if len(pivots) > 1:
            raise ConfigurationError(f"{owner} has {len(pivots)} pivots: a saga can have at most one")
        # Nothing after the last step can fail, so that step needs no undo; nor do the pivot and the steps after it.
        for step in steps[: pivots[0] if pivots else len(steps) - 1]:
            if not step.says_undo:
                raise ConfigurationError(
                    f"{owner}.{step.name} declares no undo, but a later step can fail: add "
                    f"`@{step.name}.undo`, or write @step(undo=None) if it needs none"
                )
        for step in steps[pivots[0] + 1 :] if pivots else ():
            if step.undo_method is not None:
                raise ConfigurationError(
                    f"{owner}.{step.name} comes after the pivot, so it is never undone: remove its undo"
                )
        for step in steps:
            self._check_step(owner, step, names)
        self._check_names(owner)
        if self.rejections and steps and not any(not handler.is_start for handler in self.handlers.values()):
            method = next(iter(self.rejections.values())).__name__
            raise ConfigurationError(
                f"{owner}.{method} is never called: if a step's command is rejected, the saga compensates; read "
                "self.reason in an undo method instead"
            )

    def _check_names(self, owner: str) -> None:
        again = self.saga_class.on_start_again
        if again not in ("ignore", "refuse"):
            raise ConfigurationError(f'{owner}.on_start_again = {again!r}: must be "ignore" or "refuse"')
        after_s = self.saga_class.alarm_after_s
        if after_s is not None and not 0 < after_s <= _ALARM_MAX_S:
            raise ConfigurationError(
                f"{owner}.alarm_after_s = {after_s!r}: must be a number of seconds above 0 and at most {_ALARM_MAX_S:g}"
            )
        if set(self.saga_type) & set("/<>"):
            raise ConfigurationError(f"{owner}: saga_type={self.saga_type!r} must not contain / < or >")
        if FREE in self.steps:
            raise ConfigurationError(f"{owner}.{FREE} is reserved for commands that handlers issue: rename the step")
        for before, today in self.saga_class.renamed_steps.items():
            if before in self.steps or today not in self.steps:
                raise ConfigurationError(
                    f"{owner}.renamed_steps maps {before!r} to {today!r}: map a name that no longer exists to an "
                    "existing step"
                )

    def _read_return(self, name: str, hints: Mapping[str, Any]) -> None:
        """Note the commands of a return annotation; raise ConfigurationError if it names anything but commands."""
        for part in leaves(hints.get("return", type(None))):
            if not inspect.isclass(part) or part is type(None):
                continue
            if not issubclass(part, Command):
                raise ConfigurationError(
                    f"{name} is annotated to return {shown(part)}: return a Command, several Commands, or None"
                )
            self.issued.setdefault(part, name)

    def _check_step(self, owner: str, step: Step, names: Mapping[str, Any]) -> None:
        name = f"{owner}.{step.name}"
        parameters = list(inspect.signature(step.method).parameters.values())[1:]
        hints = hints_of(step.method, name, names)
        if not step.is_effect:
            self._read_return(name, hints)
        if step.undo_method is not None:
            self._read_return(f"{name}'s undo", hints_of(step.undo_method, f"{name}'s undo", names))
        if step.is_effect:
            if step.until is not None:
                raise ConfigurationError(f"{name} is async, so it is done when it returns: remove until=")
            if step.correlate is not None:
                raise ConfigurationError(
                    f"{name}: correlate= belongs to until=, which an async step cannot have: remove it"
                )
            kinds = [hints.get(parameter.name) for parameter in parameters]
            if kinds not in ([], [IdempotencyKey]):
                raise ConfigurationError(f"{name}: an async step takes no parameters, or one annotated IdempotencyKey")
        elif parameters:
            raise ConfigurationError(f"{name} has parameters: a step reads only the saga's fields")
        if step.undo_method is not None and inspect.iscoroutinefunction(step.undo_method):
            raise ConfigurationError(
                f"{name}'s undo is async: make it synchronous, and return the command that undoes the step"
            )
        if step.undo_method is not None and len(inspect.signature(step.undo_method).parameters) > 2:
            raise ConfigurationError(
                f"{name}'s undo has too many parameters: it may take one, the commands that took effect"
            )
        if step.until is None and step.correlate is not None:
            raise ConfigurationError(f"{name}: correlate= says how to find the saga of an until= event: add until=")
        if step.until is not None:
            if not is_proper_subclass(step.until, Event):
                raise ConfigurationError(f"{name}: until={shown(step.until)} is not an Event")
            _check_field(name, step.until, step.correlate)
            related = [one for one in self.untils if _may_be_one(one, step.until)]
            ways = [other.correlate for one in related for other in self.untils[one]]
            ways += [known.correlate for one, known in self.handlers.items() if _may_be_one(one, step.until)]
            if any(way != step.correlate for way in ways):
                raise ConfigurationError(
                    f"{name} waits for {step.until.__name__}, which another step or handler of {owner} correlates "
                    "differently: give all of them the same correlate="
                )
            self.untils.setdefault(step.until, []).append(step)


def _check_field(name: str, event_class: type[Event], correlate: Correlate) -> None:
    if isinstance(correlate, str) and correlate not in getattr(event_class, "__struct_fields__", ()):
        raise ConfigurationError(f"{name}: correlate={correlate!r}, but {event_class.__name__} has no such field")


def _may_be_one(first: type[Event], second: type[Event]) -> bool:
    """Return whether an event can be an instance of both classes."""
    return issubclass(first, second) or issubclass(second, first)


def _members(saga_class: type) -> Iterator[Any]:
    members: dict[str, Any] = {}
    for base in reversed(saga_class.__mro__):
        for name, value in base.__dict__.items():
            members[name] = value  # an overriding step keeps the position of the overridden one
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
