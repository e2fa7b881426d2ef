"""Which events are immutable once they are created."""

from typing import Any

import msgspec
import pytest

from actorium import Event
from actorium.actors.immutability import is_immutable


class Inner(msgspec.Struct, frozen=True):
    text: str


class Thawed(msgspec.Struct):
    text: str


class Sealed(Event):
    raw: msgspec.Raw
    either: msgspec.Raw | None
    many: tuple[msgspec.Raw, ...]
    inner: Inner


class WithAList(Event):
    values: list[int]


class WithAThawedOne(Event):
    inner: tuple[Thawed, ...]


class WithAnything(Event):
    value: Any


def test_undecoded_bytes_are_immutable() -> None:
    assert is_immutable(Sealed)


@pytest.mark.parametrize("event", [WithAList, WithAThawedOne, WithAnything])
def test_a_frozen_event_with_a_mutable_value_is_not_immutable(event: type[Event]) -> None:
    assert not is_immutable(event)
