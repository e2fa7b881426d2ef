"""Upcasters: how an event that was stored in an older shape becomes events of today.

The log is never rewritten. An event class counts the shapes that its fields have had (`schema_version`) and holds, for
each older shape, one function that turns its payload into the next shape. A chain of them runs when an old record is
read; what is stored stays as it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeGuard, TypeVar

import msgspec

from actorium.store.errors import ConfigurationError
from actorium.store.raised import error_text, let_through, repr_of

_MARK = "__actorium_upcast__"

E = TypeVar("E", bound=msgspec.Struct)
F = TypeVar("F", bound=Callable[..., Any])


def upcast(from_version: int, *, type: str = "") -> Callable[[F], F]:
    """Mark a function inside an event class that turns the payload of one older shape into the next one.

    It takes the payload as a dict, as JSON gives it, and returns the dict of `from_version + 1`; or a list of such
    dicts and of events of any registered class (the record becomes several events); or None (the record becomes none).
    It must follow from the payload alone, as `@evolve` follows from the event alone.

    from_version: the shape that it takes, below the class's `schema_version`. type: the name that the event was stored
    under at that version, where the class was renamed since.

        class AccountOpened(Event):
            schema_version = 2
            owner: str
            currency: str

            @upcast(1, type="Opened")
            @staticmethod
            def add_currency(payload: dict[str, Any]) -> dict[str, Any]:
                return payload | {"currency": "EUR"}

    `@staticmethod` is for type checkers: without it the function works the same. The version, position and metadata of
    a record are those of all events that it becomes.
    """
    if not is_version(from_version):
        raise ConfigurationError(
            f"@upcast({from_version!r}): give the schema version that the function takes, a whole number from 1"
        )

    def mark(function: F) -> F:
        plain = _plain(function)
        if not inspect.isfunction(plain):
            raise ConfigurationError(f"@upcast({from_version}) goes on a function, not on {function!r}")
        setattr(plain, _MARK, (from_version, type))
        return function

    return mark


def _plain(attribute: Any) -> Any:
    return attribute.__func__ if isinstance(attribute, staticmethod) else attribute


def is_version(value: object) -> TypeGuard[int]:
    """Say whether a value counts something from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class Upcaster(msgspec.Struct, frozen=True):
    """One function marked with `@upcast`: the name and version it takes; `label` is its name for a person."""

    type: str
    from_version: int
    function: Callable[[dict[str, Any]], Any]
    label: str


def read_upcasters(event_class: type, stored_name: str, schema_version: object) -> tuple[Upcaster, ...]:
    """Return the upcasters that a class holds itself, oldest first; raise ConfigurationError where they do not fit."""
    name = event_class.__qualname__
    if not is_version(schema_version):
        raise ConfigurationError(f"{name}.schema_version is {schema_version!r}: it counts the shapes, from 1")
    found: dict[int, Upcaster] = {}
    for upcaster in sorted(_marked(event_class, stored_name), key=lambda one: one.from_version):
        version = upcaster.from_version
        if version in found:
            raise ConfigurationError(
                f"{found[version].label} and {upcaster.label} both take schema version {version}: keep one, and let it "
                "do the work of both"
            )
        if version >= schema_version:
            raise ConfigurationError(
                f"{upcaster.label} takes schema version {version}, and {name} is at {schema_version}: set "
                f"schema_version = {version + 1} once the fields have changed"
            )
        found[version] = upcaster
    for version in range(min(found, default=schema_version), schema_version):
        if version not in found:
            raise ConfigurationError(
                f"{name} has upcasters from schema version {min(found)}, and none takes version {version} to "
                f"{version + 1}: add a function marked @upcast({version})"
            )
    return tuple(found.values())


def _marked(event_class: type, stored_name: str) -> Iterator[Upcaster]:
    for attribute, value in vars(event_class).items():
        function = _plain(value)
        mark = getattr(function, _MARK, None)
        if isinstance(mark, tuple):
            yield Upcaster(mark[1] or stored_name, mark[0], function, f"{event_class.__qualname__}.{attribute}")


class UpcastError(Exception):
    """An upcaster raised, or returned what is no payload; the message names it."""


class Chain(Generic[E]):
    """The way of one older shape to the newest one: its upcasters, one after the other."""

    __slots__ = ("_steps", "event_class")

    def __init__(self, event_class: type[E], steps: tuple[Upcaster, ...]) -> None:
        self.event_class = event_class
        self._steps = steps

    @property
    def label(self) -> str:
        """The upcasters of this way, for a person."""
        return " → ".join(step.label for step in self._steps)

    def run(self, payload: dict[str, Any]) -> list[dict[str, Any] | E]:
        """Return what a payload becomes: payloads of the newest shape, and events that are ready; raise UpcastError."""
        parts: list[Any] = [payload]
        for step in self._steps:
            parts = [new for part in parts for new in ([part] if _is_event(part) else _taken(step, part))]
        return parts


def _is_event(part: object) -> bool:
    return isinstance(part, msgspec.Struct)


def _taken(step: Upcaster, payload: Any) -> list[Any]:
    try:
        result = step.function(payload)
    except BaseException as raised:
        let_through(raised)
        raise UpcastError(f"its upcaster {step.label} raised {error_text(raised)}") from raised
    parts = [] if result is None else list(result) if isinstance(result, list | tuple) else [result]
    for part in parts:
        if not isinstance(part, dict) and not _is_event(part):
            raise UpcastError(
                f"its upcaster {step.label} returned {repr_of(part)}: it returns a dict, an Event, a list of these, or "
                "None"
            )
    return parts
