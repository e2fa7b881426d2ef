"""Errors: one branch of the tree for each reaction, and every class survives pickle, copy and the wire."""

import copy
import pickle
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from threading import Lock
from typing import NoReturn

import msgspec
import pytest

from actorium import errors
from actorium.errors import (
    ActoriumError,
    ConfigurationError,
    CorruptEvent,
    DamagedLog,
    DuplicateCommand,
    ErrorWire,
    HandlerFailed,
    InvalidCommand,
    LostRace,
    Overloaded,
    Refused,
    Rejected,
    RuntimeClosed,
    StoreHangs,
    StoreInUse,
    StoreUnavailable,
    Transient,
    UnreadableEvent,
    UnreadableTypes,
    WrongExpectedVersion,
    error_from_wire,
    error_to_wire,
)
from actorium.runtime.errors import CommandTimeout, EventParked
from actorium.store.names import CommandRecord, StoredEventType, StreamName

REACTIONS = (ConfigurationError, InvalidCommand, Refused, LostRace, HandlerFailed, Transient, DamagedLog)
ALICE = StreamName("Account", "alice")


def tree(root: type[ActoriumError] = ActoriumError) -> Iterator[type[ActoriumError]]:
    """Every error class of the package, the root first; classes defined by tests are not included."""
    yield root
    for below in root.__subclasses__():
        if below.__module__.startswith("actorium."):
            yield from tree(below)


CLASSES = sorted(set(tree()), key=lambda one: one.__name__)


def made(error_class: type[ActoriumError]) -> ActoriumError:
    """An error of a class, with a value in each of its attributes."""
    if issubclass(error_class, Rejected):
        return error_class("insufficient funds", balance=5, limits=[1, {"a": None}])
    if issubclass(error_class, WrongExpectedVersion):
        return error_class(ALICE, expected=1, actual=2)
    if issubclass(error_class, DuplicateCommand):
        return error_class(CommandRecord("c1", 7, ALICE, 1, 2, 9))
    if issubclass(error_class, UnreadableEvent):
        return error_class("its checksum is wrong", stream=ALICE, version=3, event_type="Deposited")
    if issubclass(error_class, UnreadableTypes):
        return error_class("two shapes", [StoredEventType("Deposited", 1, 1, 5), StoredEventType("Closed", 2, 4)])
    if issubclass(error_class, StoreInUse):
        return error_class("in use", pid=7)
    if issubclass(error_class, StoreHangs):
        return error_class("it hangs", ["c1", "c2"])
    if issubclass(error_class, Overloaded):
        return error_class("too much", retry_after_s=1.5)
    if issubclass(error_class, CommandTimeout):
        return error_class("no answer", command_id="c1")
    if issubclass(error_class, EventParked):
        return error_class("it is parked", processor="projection Balances version 1", position=7)
    return error_class("what happened, and what to do")


def expect_same(found: ActoriumError, error: ActoriumError) -> None:
    assert type(found) is type(error)
    assert (str(found), repr(found), vars(found)) == (str(error), repr(error), vars(error))
    assert (found.message, found.args, found.http_status) == (error.message, error.args, error.http_status)


# The simulator, the console and the command line have errors that no application gets.
OWN_ERRORS = ("actorium.simulation.", "actorium.console.", "actorium.commands.")


def test_every_class_is_exported_and_nothing_else() -> None:
    shipped = {one.__name__ for one in CLASSES if not one.__module__.startswith(OWN_ERRORS)}
    assert set(errors.__all__) == shipped | {"ErrorWire", "error_from_wire", "error_to_wire"}
    assert list(errors.__all__) == sorted(errors.__all__)


def test_every_class_is_below_one_reaction() -> None:
    below = {one.__name__: [reaction for reaction in REACTIONS if issubclass(one, reaction)] for one in CLASSES}
    del below["ActoriumError"]
    assert {name: found for name, found in below.items() if len(found) != 1} == {}


def test_class_names_are_unique() -> None:
    assert len({one.__name__ for one in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("error_class", CLASSES)
def test_it_survives_pickle(error_class: type[ActoriumError]) -> None:
    error = made(error_class)
    error.__cause__ = sqlite3.OperationalError("disk I/O error")
    found = pickle.loads(pickle.dumps(error))
    expect_same(found, error)
    assert repr(found.__cause__) == repr(error.__cause__)


@pytest.mark.parametrize("error_class", CLASSES)
def test_it_survives_copies(error_class: type[ActoriumError]) -> None:
    error = made(error_class)
    error.__cause__ = ZeroDivisionError()
    for found in (copy.copy(error), copy.deepcopy(error)):
        expect_same(found, error)
        assert found is not error
        assert found.__cause__ is error.__cause__


@pytest.mark.parametrize("error_class", CLASSES)
def test_it_survives_the_wire(error_class: type[ActoriumError]) -> None:
    error = made(error_class)
    wire = msgspec.json.decode(msgspec.json.encode(error_to_wire(error)), type=ErrorWire)
    expect_same(error_from_wire(wire), error)


def test_an_unknown_class_becomes_the_nearest_one_that_is_known() -> None:
    wire = ErrorWire(("Frozen", "Rejected", "Refused", "ActoriumError"), "frozen", {"reason": "frozen", "details": {}})
    found = error_from_wire(wire)
    assert isinstance(found, Rejected)
    assert (found.reason, found.details) == ("frozen", {})
    found = error_from_wire(ErrorWire(("BusDown", "Unavailable", "Transient", "ActoriumError"), "the bus is down"))
    assert type(found) is errors.Unavailable
    assert type(error_from_wire(ErrorWire(("Odd",), "odd"))) is ActoriumError


def test_an_error_whose_fields_do_not_fit_becomes_its_base_class() -> None:
    for fields in ({}, {"stream": "alice", "expected": 1, "actual": 2}):
        found = error_from_wire(ErrorWire(("WrongExpectedVersion", "LostRace", "ActoriumError"), "a race", fields))
        assert type(found) is LostRace
        assert str(found) == "a race"


def test_details_that_json_cannot_carry_travel_as_text() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    error = Rejected(
        "no", at=moment, sum=Decimal("1.50"), odd=float("nan"), lock=Lock, kept=[1, "a", None], to="\ud800"
    )
    found = error_from_wire(msgspec.json.decode(msgspec.json.encode(error_to_wire(error)), type=ErrorWire))
    assert isinstance(found, Rejected)
    assert found.details == {
        "at": "2030-01-01T00:00:00Z",
        "sum": "1.50",
        "odd": "nan",
        "lock": repr(Lock),
        "kept": [1, "a", None],
        "to": repr("\ud800"),
    }


def test_an_attribute_that_cannot_be_pickled_or_copied_does_not_stop_the_error() -> None:
    class Local(Exception):
        pass

    error = Rejected("no", lock=(lock := Lock()), balance=5)
    error.__cause__ = Local()
    found = pickle.loads(pickle.dumps(error))
    assert (found.reason, found.details, found.__cause__) == ("no", {"lock": repr(lock), "balance": 5}, None)
    assert copy.deepcopy(error).details == {"lock": lock, "balance": 5}


def test_a_deep_copy_shares_nothing_that_can_be_changed() -> None:
    error = Rejected("no", seats=[1])
    copied = copy.deepcopy(error)
    copied.details["seats"].append(2)
    assert error.details == {"seats": [1]}


def test_an_applications_own_error_travels_like_ours() -> None:
    class TooYoung(Rejected):
        years: int

        def __init__(self, years: int) -> None:
            super().__init__("too young", years=years)
            self.years = years

    found = error_from_wire(error_to_wire(TooYoung(17)))
    assert isinstance(found, TooYoung)
    assert (found.years, str(found)) == (17, "too young (years=17)")


@pytest.mark.parametrize(
    "error", [StoreUnavailable("away"), RuntimeClosed("closed"), Overloaded("no", retry_after_s=2)]
)
def test_unavailable_errors_say_when_to_retry(error: errors.Unavailable) -> None:
    assert error.retry_after_s == (2 if isinstance(error, Overloaded) else 5)
    assert error.http_status == 503


def test_a_corrupt_event_is_caught_by_what_to_do_about_it() -> None:
    with pytest.raises(DamagedLog):
        raise CorruptEvent("its checksum is wrong", stream=ALICE, version=1, event_type="Deposited")


class Stubborn:
    """A value that cannot be pickled, copied or printed, and raises what is no Exception."""

    def __reduce__(self) -> NoReturn:
        raise SystemExit(1)

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise SystemExit(2)

    def __repr__(self) -> str:
        raise SystemExit(3)


def test_an_error_with_a_value_that_fails_at_everything_pickles_and_copies() -> None:
    error = Rejected("no")
    error.details = {"why": Stubborn()}
    assert pickle.loads(pickle.dumps(error)).details == {"why": "<Stubborn that cannot be printed>"}
    assert copy.deepcopy(error).details["why"] is error.details["why"]
    assert error_to_wire(error).fields["details"] == {"why": "<Stubborn that cannot be printed>"}
