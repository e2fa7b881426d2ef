"""`Aggregate`: the pure model of one thing with a history, and the three decorators that define its behaviour."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import msgspec

from actorium.actors.annotations import HandlerMeta, refuse_reserved
from actorium.actors.definition import AggregateDefinition, Role, mark
from actorium.actors.snapshots import Snapshots
from actorium.store.errors import ConfigurationError
from actorium.store.upcasting import is_version

F = TypeVar("F", bound=Callable[..., Any])
_RESERVED = ("id", "stream_type", "snapshots", "state_version")


def create(method: F) -> F:
    """Mark the handler of a command that creates the aggregate; it is called only while the stream is empty.

    If a class has any `@create` method, all its other commands require an existing stream.

    Raises:
        ConfigurationError: the decorated object is not a plain function, or it is async.
    """
    return mark(method, Role.CREATE)


def decide(method: F) -> F:
    """Mark a pure command handler, which returns one event, several events or None, or raises `Rejected`.

    The annotation of the first parameter selects the command. A second parameter annotated `Metadata` receives the
    metadata of the command.

    Raises:
        ConfigurationError: the decorated object is not a plain function, or it is async.
    """
    return mark(method, Role.DECIDE)


def evolve(method: F) -> F:
    """Mark the method that applies one type of event to the state; the state changes nowhere else.

    The annotation of the first parameter selects the event. A parameter annotated `RecordedEvent` is not allowed: the
    state must depend only on the events.

    Raises:
        ConfigurationError: the decorated object is not a plain function, or it is async.
    """
    return mark(method, Role.EVOLVE)


def correct(method: F) -> F:
    """Mark the pure method that corrects a wrong event: it returns correcting events, or a command of the aggregate.

    The annotation of the first parameter selects the wrong event. A second parameter receives the event that should
    have been recorded, or None if there should be none. The method decides on the present state, and may return None
    if there is nothing to correct.

    Raises:
        ConfigurationError: the decorated object is not a plain function, or it is async.
    """
    return mark(method, Role.CORRECT)


class Aggregate(msgspec.Struct, metaclass=HandlerMeta):
    """Base class for aggregates: the state of one aggregate and the rules that change it; every field needs a default.

    When the class is defined, it is checked: each command has one handler, each event that a handler may return has an
    `@evolve` method, and every parameter is annotated.

    id: the id of the aggregate, part of its stream's name.
    stream_type: the stored type of the stream; the name of the class if it is not set.
    snapshots: when the state is saved for faster hydration; None saves no snapshots.
    state_version: an integer, 1 or more. Raise it when the same events give a different state for a reason that
        snapshots cannot detect, such as a change in a function that an `@evolve` method calls. Snapshots with a
        different number are ignored.

    Raises:
        ConfigurationError: the class is wrong; the message names the class and the method, and says how to fix it.
    """

    stream_type: ClassVar[str] = ""
    snapshots: ClassVar[Snapshots | None] = None
    state_version: ClassVar[int] = 1
    __definition__: ClassVar[AggregateDefinition[Aggregate]]

    id: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_reserved(cls.__name__, inspect.get_annotations(cls), _RESERVED)
        # A class defined inside a function can refer to names that exist only in that function's frame.
        cls.__definition__ = AggregateDefinition(cls, sys._getframe(1).f_locals)
        _check_snapshots(cls)


def _check_snapshots(aggregate_class: type[Aggregate]) -> None:
    """Raise ConfigurationError if `snapshots` or `state_version` is invalid."""
    name, namespace = aggregate_class.__name__, aggregate_class.__dict__
    policy, state_version = namespace.get("snapshots"), namespace.get("state_version", 1)
    if policy is not None and not isinstance(policy, Snapshots):
        raise ConfigurationError(
            f"{name}.snapshots is {policy!r}, but the name is reserved for the policy: Snapshots(every=…) or "
            "Snapshots(when=…); give a field another name"
        )
    if not is_version(state_version):
        raise ConfigurationError(f"{name}.state_version is {state_version!r}: must be an integer, 1 or more")
