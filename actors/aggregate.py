"""`Aggregate`: the pure model of one thing that has a history, and the three decorators that give it behaviour."""

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
    """Mark the handler of a command that begins a stream; it is called only while the stream is empty.

    With any `@create` in a class, every other command of the class needs a stream that exists.
    """
    return mark(method, Role.CREATE)


def decide(method: F) -> F:
    """Mark a command handler: pure, it returns an event, several or None, or says no by raising `Rejected`.

    The first annotated parameter says which command it handles; a second one annotated `Metadata` gets the command's
    metadata.
    """
    return mark(method, Role.DECIDE)


def evolve(method: F) -> F:
    """Mark the method that applies one type of event: the only place where state changes.

    The first annotated parameter says which event; a second one annotated `RecordedEvent` is not given: state must
    follow from events alone.
    """
    return mark(method, Role.EVOLVE)


class Aggregate(msgspec.Struct, metaclass=HandlerMeta):
    """The state of one aggregate and how it changes; its fields are the state, all with defaults, `id` is its id.

    Everything that can be checked is checked when the class is defined: one handler per command, an `@evolve` for
    each event that a handler may return, annotations everywhere. What is wrong raises ConfigurationError with the
    class, the method and the mend. The stream's stored kind is the class's name unless `stream_type` is set.

    `snapshots` says when its state is saved for quicker hydration. `state_version` is a number to raise when the same
    events give another state than before for a reason that no snapshot can see, such as a function that an `@evolve`
    calls; snapshots of another number are not used.
    """

    stream_type: ClassVar[str] = ""
    snapshots: ClassVar[Snapshots | None] = None
    state_version: ClassVar[int] = 1
    __definition__: ClassVar[AggregateDefinition[Aggregate]]

    id: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # The names of a class defined inside a function are found only in that function's frame.
        refuse_reserved(cls.__name__, inspect.get_annotations(cls), _RESERVED)
        cls.__definition__ = AggregateDefinition(cls, sys._getframe(1).f_locals)
        _check_snapshots(cls)


def _check_snapshots(aggregate_class: type[Aggregate]) -> None:
    """Raise ConfigurationError where what a class says of its snapshots cannot be."""
    name, namespace = aggregate_class.__name__, aggregate_class.__dict__
    policy, state_version = namespace.get("snapshots"), namespace.get("state_version", 1)
    if policy is not None and not isinstance(policy, Snapshots):
        raise ConfigurationError(
            f"{name}.snapshots is {policy!r}: it is the policy, Snapshots(every=…) or Snapshots(when=…); give a "
            "field another name"
        )
    if not is_version(state_version):
        raise ConfigurationError(f"{name}.state_version is {state_version!r}: it is a whole number from 1")
