"""`PurityGuard`: checks that command handlers only read the state.

Only `@evolve` may change the state. A change made in `@decide` is lost when the actor is rebuilt from its events, which
do not contain it, or becomes permanent with a snapshot.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from actorium.actors.commands import Command, CommandHandler
from actorium.store.raised import let_through
from actorium.store.shapes.sameness import is_same

FIRST_DECISIONS = 8
"""Decisions of each command class that are checked in production. One catches a handler that always changes the
state; eight also catch most that do so on one branch."""

# Values of these types cannot be changed in place.
_ATOMS = frozenset({type(None), bool, int, float, str, bytes, Decimal, datetime, date, time, timedelta})
_CONTAINERS = frozenset({list, set, dict})


class ImpureDecision(TypeError):
    """A command handler changed the state. The state is as it was before."""


def guarded(handlers: Mapping[type[Command], CommandHandler], *, always: bool) -> dict[type[Command], CommandHandler]:
    """Return handlers whose decisions are checked: the first of each, or all with `always`.

    The handlers are copies, so each runtime counts for itself. After its last check a handler costs nothing extra: its
    method is the user's own again.
    """
    return {command: _guarded(handler, always) for command, handler in handlers.items()}


def _guarded(handler: CommandHandler, always: bool) -> CommandHandler:
    guard = PurityGuard(handler.method, None if always else FIRST_DECISIONS)
    checked = msgspec.structs.replace(handler, method=guard)
    guard.release = lambda: msgspec.structs.force_setattr(checked, "method", handler.method)
    return checked


class PurityGuard:
    """Calls a handler and compares the state before and after; `release` ends the checks."""

    def __init__(self, method: Callable[..., Any], decisions: int | None) -> None:
        self._method = method
        self._left = decisions
        self.release: Callable[[], None] = _nothing

    def __call__(self, state: Any, *arguments: Any) -> Any:
        """Return what the handler returns.

        Raises:
            ImpureDecision: the handler changed the state.
        """
        try:
            before = _fields_of(state)
        except BaseException as raised:  # it holds something that cannot be copied, so no comparison is possible
            let_through(raised)
            self.release()
            return self._method(state, *arguments)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.release()
        try:
            decided = self._method(state, *arguments)
            return decided if decided is None or isinstance(decided, msgspec.Struct) else tuple(decided)
        finally:
            self._require_unchanged(state, before)

    def _require_unchanged(self, state: Any, before: Sequence[_FieldValue]) -> None:
        for name, value, copied in before:
            now = getattr(state, name)
            if (now is value and copied is value) or is_same(copied, now):
                continue
            change = f"{name} from {copied!r:.200} to {now!r:.200}"
            for field in before:
                setattr(state, field.name, field.copied)
            raise ImpureDecision(
                f"{self._method.__qualname__} changed {change}: a command handler may only read the state; return "
                "an event and change the state in its @evolve method"
            )


class _FieldValue(NamedTuple):
    """A field's value before a decision, and a copy of it: the value itself if it cannot be changed in place."""

    name: str
    value: Any
    copied: Any


def _fields_of(state: Any) -> list[_FieldValue]:
    memo: dict[int, Any] = {}  # shared by all fields, so that values they share are shared by the copies too
    fields = []
    for name in state.__struct_fields__:
        value = getattr(state, name)
        fields.append(_FieldValue(name, value, value if type(value) in _ATOMS else _copied(value, memo)))
    return fields


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """Return a deep copy; of a list, set or dict of plain values without looking at each of them."""
    kind = type(value)
    is_flat = kind in _CONTAINERS and _ATOMS.issuperset(map(type, value))
    if is_flat and kind is dict:
        is_flat = _ATOMS.issuperset(map(type, value.values()))
    if not is_flat or id(value) in memo:
        return copy.deepcopy(value, memo)
    copied = memo[id(value)] = value.copy()
    return copied


def _nothing() -> None: ...
