"""Snapshots: saved states of an aggregate, so that hydration need not start at version 1.

A snapshot is only a shortcut: it may be missing, old or damaged at any time, because the state can be rebuilt from the
events. It is valid only for the code that wrote it. Its fingerprint names that code: the fields, the events and the
text of the functions that evolve them. A snapshot that does not match is ignored, and the events are replayed.
"""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from actorium.actors.definition import AggregateDefinition
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import Snapshot
from actorium.store.events import as_json, event_type_of
from actorium.store.log import logger
from actorium.store.names import StreamName
from actorium.store.raised import error_text, let_through
from actorium.store.shapes.sameness import first_change

log = logger("actorium.actors")

# 64 bits: two versions of one class do not collide by chance, and a row of the snapshots table stays short.
_FINGERPRINT_LENGTH = 16


class Snapshots(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot policy of an aggregate; set it in the class: `snapshots = Snapshots(every=200)`.

    every: take a snapshot when a command brings the version to or past a multiple of this number.
    when: take a snapshot when this function of the state and the version returns true; it is called after each command
        that has events. Give either `every` or `when`.

    A snapshot is also taken after a hydration that applied `every` events, or if `when` returns true then. Snapshots
    are written with later commits; a command never waits for one.

    Raises:
        ConfigurationError: both `every` and `when` are given, or neither, or `every` is below 1.
    """

    every: int | None = None
    when: Callable[[Any, int], bool] | None = None

    def __post_init__(self) -> None:
        if (self.every is None) == (self.when is None):
            raise ConfigurationError("Snapshots(…): give either every= or when=")
        if self.every is not None and self.every < 1:
            raise ConfigurationError(f"Snapshots(every={self.every!r}): must be a number of events, 1 or more")


class SnapshotKeeper:
    """Takes the snapshots of one aggregate class, and turns them back into states.

    Each state is read back before it is saved, and compared by equality and by its JSON. The first, second, fourth,
    eighth … of a class, or each with `every_time`, is also compared value by value, including types. If JSON changes
    a state of a class, this process takes no more snapshots of that class.
    """

    __slots__ = ("_decode", "_every_time", "_name", "_policy", "_taken", "_warned", "fingerprint", "takes")

    def __init__(self, definition: AggregateDefinition[Any], policy: Snapshots, *, every_time: bool = False) -> None:
        aggregate_class = definition.aggregate_class
        self._name = aggregate_class.__qualname__
        self._policy = policy
        self._warned = False
        self._taken = 0
        self._every_time = every_time
        self.takes = True
        self.fingerprint = fingerprint_of(definition)
        try:
            self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(aggregate_class).decode
        except (TypeError, NameError) as error:
            self._decode = _no_decoder
            self._give_up(f"a field has a type that JSON cannot represent: {error}")

    def is_due(self, state: msgspec.Struct, before: int, version: int) -> bool:
        """Return whether the policy wants a snapshot of a state that moved from version `before` to `version`."""
        every = self._policy.every
        if every is not None:
            return version // every > before // every
        return self._asked(state, version)

    def is_overdue(self, state: msgspec.Struct, begun_at: int, version: int) -> bool:
        """Return whether hydration from `begun_at` to `version` was long enough to justify a snapshot."""
        every = self._policy.every
        if every is not None:
            return version - begun_at >= every
        return version > begun_at and self._asked(state, version)

    def _asked(self, state: msgspec.Struct, version: int) -> bool:
        assert self._policy.when is not None
        if not self.takes:
            return False
        try:
            return bool(self._policy.when(state, version))
        except BaseException as raised:
            let_through(raised)
            self._give_up(f"Snapshots(when=…) raised {error_text(raised)}", raised)
            return False

    def take(self, stream: StreamName, state: msgspec.Struct, version: int) -> Snapshot | None:
        """Return a snapshot of the current state; None if JSON would not give the same state back."""
        if not self.takes:
            return None
        try:
            encoded = as_json(state)
            copy = self._decode(encoded)
            self._taken += 1
            is_checked = self._every_time or self._taken & (self._taken - 1) == 0
            change = None
            if is_checked or copy != state or as_json(copy) != encoded:
                change = _change(state, copy)
        except BaseException as raised:
            let_through(raised)
            change = error_text(raised)
        if change is not None:
            self._give_up(change)
            return None
        return Snapshot(stream, version, self.fingerprint, encoded)

    def restore(self, snapshot: Snapshot) -> Any:
        """Return the state in a snapshot; None if it is unreadable, so the events are replayed."""
        try:
            state = self._decode(snapshot.state)
        except BaseException as raised:
            let_through(raised)
            reason = error_text(raised)
        else:
            if state.id == snapshot.stream.id:
                return state
            reason = f"it is a snapshot of {state.id!r}"
        if not self._warned:
            self._warned = True
            log.warning("snapshot_unreadable", stream=str(snapshot.stream), version=snapshot.version, reason=reason)
        return None

    def _give_up(self, reason: str, raised: BaseException | None = None) -> None:
        self.takes = False
        log.warning("snapshots_not_taken", aggregate=self._name, reason=reason, traceback=raised)


def _no_decoder(encoded: bytes) -> Any:
    raise TypeError("the class has a field that JSON cannot represent")


def _change(state: msgspec.Struct, copy: msgspec.Struct) -> str | None:
    """Return the difference of a copy as text for a person; None if there is none."""
    change = first_change(state, copy)
    if change is not None:
        return (
            f"the field {change.name} changes when it is stored as JSON: {change.before} comes back as {change.after}"
        )
    if getattr(state, "__dict__", None):
        return f"it has attributes that are not fields: {', '.join(vars(state))}"
    return None


def fingerprint_of(definition: AggregateDefinition[Any]) -> str:
    """Return a short name for the code by which a state follows from events.

    It covers the stream's type, `state_version`, and the fields of the aggregate with their types and defaults, down to
    nested structs. For each event it also covers the fields, the upcasters' code and the evolver's code. It does not
    cover functions that these call: raise `state_version` when such a function changes.
    """
    aggregate_class = definition.aggregate_class
    parts = [definition.stream_type, str(aggregate_class.state_version), *shape_of(aggregate_class)]
    for event_class, evolver in sorted(definition.evolvers.items(), key=lambda item: event_type_of(item[0])):
        parts += (
            event_type_of(event_class),
            str(event_class.schema_version),
            *shape_of(event_class),
            *code_of(evolver),
        )
        for upcaster in event_class.__upcasters__:
            parts += (upcaster.type, str(upcaster.from_version), *code_of(upcaster.function))
    return sha256("\0".join(parts).encode()).hexdigest()[:_FINGERPRINT_LENGTH]


def shape_of(root: type) -> Sequence[str]:
    """Return every property of a type that affects the meaning of its JSON."""
    known = _SHAPES.get(root)
    if known is None:
        try:
            known = _SHAPES[root] = tuple(_described(msgspec.inspect.type_info(root), set()))
        except (TypeError, NameError) as error:
            return [f"not JSON: {error}"]
    return known


_SHAPES: WeakKeyDictionary[type, Sequence[str]] = WeakKeyDictionary()


def _described(node: Any, seen: set[type]) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for part in node:
            yield from _described(part, seen)
    elif isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field):
        yield type(node).__name__
        kind = getattr(node, "cls", None)
        if isinstance(kind, type):
            yield kind.__qualname__
            if kind in seen:
                return
            seen.add(kind)
            if issubclass(kind, enum.Enum):
                yield from (f"{member.name}={member.value!r}" for member in kind)
        for name in node.__struct_fields__:
            yield name
            yield from _described(getattr(node, name), seen)
    elif isinstance(node, type) or callable(node):
        yield getattr(node, "__qualname__", "")
    else:
        yield _plain(node)


def _plain(value: object) -> str:
    """Return a value (a default of a field, a constant in code) as text that is the same in every process."""
    if isinstance(value, frozenset | set):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    if isinstance(value, msgspec.Struct | enum.Enum | str | bytes | int | float | complex | tuple | list | dict | None):
        return repr(value)
    return type(value).__qualname__


def code_of(function: Any) -> Iterator[str]:
    """Yield text that changes with the code of a function; nothing for a function that is not written in Python."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if isinstance(code, types.CodeType):
        yield from _instructions(code)


def _instructions(code: types.CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield " ".join(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _instructions(constant)
        else:
            yield _plain(constant)
