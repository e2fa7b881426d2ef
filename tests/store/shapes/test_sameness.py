"""A value survives JSON unchanged, or a difference is found."""

from collections import OrderedDict, defaultdict
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from actorium.store.shapes.sameness import first_change, is_same

BERLIN = ZoneInfo("Europe/Berlin")
SUMMER, WINTER = timezone(timedelta(hours=2)), timezone(timedelta(hours=1))


class Plain:
    def __init__(self, value: int) -> None:
        self.value = value


class Held(msgspec.Struct):
    value: Any = None
    other: int = 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 30, tzinfo=SUMMER)),
        (datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 30, tzinfo=WINTER)),
        (datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), datetime(2026, 3, 29, 2, 30, tzinfo=WINTER)),
        (Plain(1), Plain(1)),
        (Held({"a": [1, (2.0, {3})]}), Held({"a": [1, (2.0, {3})]})),
        ([], []),
    ],
)
def test_equal_values_of_equal_types_are_the_same(one: Any, other: Any) -> None:
    assert is_same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ({"a": 1}, defaultdict(int, a=1)),
        ({"a": 1}, OrderedDict(a=1)),
        ({1: "a"}, {True: "a"}),
        ([1], [1.0]),
        ((1,), (2,)),
        ([1], [1, 2]),
        ({1}, {1.0}),
        (Held(1), Held(2)),
        (Plain(1), Plain(2)),
        (time(2, 30), time(2, 30, fold=1)),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, fold=1)),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2026, 10, 25, 2, 30, tzinfo=SUMMER), datetime(2026, 10, 25, 1, 30, tzinfo=WINTER)),
    ],
)
def test_other_values_and_other_types_are_not_the_same(one: Any, other: Any) -> None:
    assert not is_same(one, other)


def test_the_first_field_that_differs_is_named() -> None:
    assert first_change(Held(1, 2), Held(1, 2)) is None
    assert first_change(Held(1, 2), Held(1, 3)) == ("other", "2", "3")
