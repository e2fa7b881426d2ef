"""Upcasters: convert an event that was stored in an older shape into current events.

The log is never rewritten. An event class numbers the shapes of its fields (`schema_version`). For each older shape it
has one function that converts its payload to the next shape. Reading an old record runs a chain of them; the stored
record does not change.
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
    """Mark a function in an event class that converts a payload from an older shape to the next one.

    The function takes the payload as a dict of JSON values. It returns one of:
    - a dict in the shape of `from_version + 1`;
    - a list of such dicts and of events of any registered class: the record becomes several events;
    - None: the record becomes no event.

    The result must depend on the payload alone.

    from_version: the schema version that it converts, from 1 and below the class's `schema_version`.
    type: the stored name of the event at that version, if the class has been renamed since.

    Raises:
        ConfigurationError: `from_version` is not an integer of at least 1, or the decorated object is not a function.

        class AccountOpened(Event):
            schema_version = 2
            owner: str
            currency: str

            @upcast(1, type="Opened")
            @staticmethod
            def add_currency(payload: dict[str, Any]) -> dict[str, Any]:
                return payload | {"currency": "EUR"}

    `@staticmethod` is for type checkers; the function works the same without it. All events that a record becomes share
    its version, position and metadata.
    """
    if not is_version(from_version):
        raise ConfigurationError(
            f"@upcast({from_version!r}): give the schema version that the function takes, an integer, 1 or more"
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
    """Return whether a value is an integer, 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class Upcaster(msgspec.Struct, frozen=True):
    """A function marked with `@upcast`, and the name and version that it converts; `label` is its name for a person."""

    type: str
    from_version: int
    function: Callable[[dict[str, Any]], Any]
    label: str


def read_upcasters(event_class: type, stored_name: str, schema_version: object) -> tuple[Upcaster, ...]:
    """Return the upcasters of a class itself, oldest first; raise ConfigurationError if they do not fit together."""
    name = event_class.__qualname__
    if not is_version(schema_version):
        raise ConfigurationError(
            f"{name}.schema_version is {schema_version!r}: give the number of the current shape, an integer, 1 or more"
        )
    found: dict[int, Upcaster] = {}
    for upcaster in sorted(_marked(event_class, stored_name), key=lambda one: one.from_version):
        version = upcaster.from_version
        if version in found:
            raise ConfigurationError(
                f"{found[version].label} and {upcaster.label} both convert schema version {version}: merge them into "
                "one"
            )
        if version >= schema_version:
            raise ConfigurationError(
                f"{upcaster.label} converts schema version {version}, but {name} is at {schema_version}: set "
                f"schema_version = {version + 1} once the fields have changed"
            )
        found[version] = upcaster
    for version in range(min(found, default=schema_version), schema_version):
        if version not in found:
            raise ConfigurationError(
                f"{name} has upcasters from schema version {min(found)}, but none converts version {version} to "
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
    """An upcaster raised, or returned something that is not a payload; the message names it."""


class Chain(Generic[E]):
    """The path of one older shape to the newest one: its upcasters in order."""

    __slots__ = ("_steps", "event_class")

    def __init__(self, event_class: type[E], steps: tuple[Upcaster, ...]) -> None:
        self.event_class = event_class
        self._steps = steps

    @property
    def label(self) -> str:
        """The names of these upcasters, for a person."""
        return " → ".join(step.label for step in self._steps)

    def run(self, payload: dict[str, Any]) -> list[dict[str, Any] | E]:
        """Return payloads of the newest shape and finished events made from a payload; raise UpcastError."""
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
                f"its upcaster {step.label} returned {repr_of(part)}: it must return a dict, an Event, a list of "
                "these, or None"
            )
    return parts
