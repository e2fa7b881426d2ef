"""Detect events that are deeply immutable: `frozen` alone is shallow."""

from __future__ import annotations

import functools
import typing
from typing import Any

import msgspec.inspect

from actorium.store.events import Event

_LEAVES = (
    msgspec.inspect.BoolType,
    msgspec.inspect.BytesType,
    msgspec.inspect.DateTimeType,
    msgspec.inspect.DateType,
    msgspec.inspect.DecimalType,
    msgspec.inspect.EnumType,
    msgspec.inspect.FloatType,
    msgspec.inspect.IntType,
    msgspec.inspect.LiteralType,
    msgspec.inspect.NoneType,
    msgspec.inspect.RawType,
    msgspec.inspect.StrType,
    msgspec.inspect.TimeDeltaType,
    msgspec.inspect.TimeType,
    msgspec.inspect.UUIDType,
)


@functools.cache
def is_immutable(event_class: type[Event]) -> bool:
    """Return whether no field of an event, nor anything inside one, can be changed in place."""
    return _is_immutable(msgspec.inspect.type_info(event_class), frozenset())


def _is_immutable(kind: Any, seen: frozenset[Any]) -> bool:
    if isinstance(kind, _LEAVES):
        return True
    if isinstance(kind, msgspec.inspect.StructType):
        if kind.cls in seen:
            return True
        inside = seen | {kind.cls}
        is_frozen = (typing.get_origin(kind.cls) or kind.cls).__struct_config__.frozen  # it may be generic
        return is_frozen and all(_is_immutable(field.type, inside) for field in kind.fields)
    if isinstance(kind, msgspec.inspect.UnionType):
        return all(_is_immutable(one, seen) for one in kind.types)
    if isinstance(kind, msgspec.inspect.TupleType):
        return all(_is_immutable(one, seen) for one in kind.item_types)
    if isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.FrozenSetType):
        return _is_immutable(kind.item_type, seen)
    return False
