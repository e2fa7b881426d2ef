"""The decoders of a message class are created once, belong to it alone, and are freed with it."""

import gc
import weakref

import msgspec
import pytest

from actorium import Event
from actorium.store.shapes.storable import MAX_NESTING, decoders_of


class Opened(Event):
    owner: str


class Renamed(Opened):
    reason: str


class Nested(Event):
    inside: list["Nested"] = []


def test_the_decoders_of_a_class_are_made_once() -> None:
    assert decoders_of(Opened) is decoders_of(Opened)


def test_a_subclass_has_its_own() -> None:
    decoders_of(Opened)
    assert decoders_of(Renamed).decode(b'{"owner": "alice", "reason": "typo"}') == Renamed("alice", "typo")


def test_only_incoming_messages_are_limited_in_depth() -> None:
    deep = b'{"inside": [' * MAX_NESTING + b"]}" * MAX_NESTING
    assert isinstance(decoders_of(Nested).decode(deep), Nested)
    with pytest.raises(msgspec.ValidationError, match="deeper than 100 levels"):
        decoders_of(Nested).admit(deep)


def test_decoders_keep_no_class_alive() -> None:
    def used_once() -> weakref.ref[type[Event]]:
        class Passing(Event):
            event_type = "passing"

        decoders_of(Passing)
        return weakref.ref(Passing)

    passing = used_once()
    gc.collect()
    assert passing() is None
