"""Which events nobody can change once they are made."""

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


def test_bytes_that_are_not_read_yet_are_as_immutable_as_bytes() -> None:
    assert is_immutable(Sealed)


@pytest.mark.parametrize("event", [WithAList, WithAThawedOne, WithAnything])
def test_a_frozen_event_with_something_inside_that_is_not_is_none(event: type[Event]) -> None:
    assert not is_immutable(event)
